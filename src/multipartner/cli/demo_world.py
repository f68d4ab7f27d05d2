"""The demo's deployment: the bundled world in fresh databases, with a caller token for each app."""

from collections.abc import Mapping
from importlib import resources

import msgspec

from multipartner import keyfile
from multipartner.domain.model import ALL_PERMISSIONS, AppId, Secret, SolutionStatus
from multipartner.domain.world import Business, Connection, Share, ShareStatus, Solution, World, implied_connections
from multipartner.operating import create_deployment, open_operator
from multipartner.partnering import worldfile
from multipartner.partnering.acting import Act
from multipartner.partnering.applying import apply_world
from multipartner.partnering.credentials import Made, Wanted, create_credential, create_resource_server
from multipartner.settings import Settings


class DemoApp(msgspec.Struct, frozen=True):
    """An app with all it needs to ask; `role` is owner, partner or stranger, as the demo's solution sees it."""

    id: str
    name: str
    secret: Secret
    caller_token: Secret
    role: str


class DemoBusiness(msgspec.Struct, frozen=True):
    """A customer, and the HTTP status that the owner's app is answered when it asks for its token."""

    id: str
    name: str
    waba_ids: tuple[str, ...]
    outcome: int


class Demo(msgspec.Struct, frozen=True):
    """Who is who."""

    solution: Solution
    apps: tuple[DemoApp, ...]
    businesses: tuple[DemoBusiness, ...]
    resource_server: Made

    def app(self, role: str) -> DemoApp:
        """The app with a role."""
        return next(app for app in self.apps if app.role == role)

    def business(self, outcome: int) -> DemoBusiness:
        """The first customer with an outcome."""
        return next(business for business in self.businesses if business.outcome == outcome)

    def facts(self) -> dict[str, object]:
        """Everything as JSON's types, secrets included: for scripts, about a deployment that is gone in a minute."""
        shown = [
            {"id": a.id, "name": a.name, "secret": a.secret.reveal(), "caller_token": a.caller_token.reveal(), "role": a.role}
            for a in self.apps
        ]
        return {
            "solution_id": self.solution.id,
            "apps": shown,
            "businesses": [msgspec.structs.asdict(business) for business in self.businesses],
            "resource_server": {"id": self.resource_server.id, "secret": self.resource_server.text.reveal()},
        }


async def make_demo(settings: Settings, act: Act) -> Demo:
    """Create the deployment that `settings` name, key file included, and apply the bundled world."""
    text = resources.files("multipartner.worlds").joinpath("demo.yaml").read_bytes()
    world = worldfile.parse(text, "demo.yaml")
    keyfile.create(settings.master_key_file)
    await create_deployment(settings, act)
    async with open_operator(settings) as operator:
        applied = await apply_world(operator.store, operator.master, act, world)
        tokens: dict[AppId, Secret] = {}
        for app in world.apps:
            user = next(user for user in world.system_users if user.business == app.business)
            wanted = Wanted(user.id, app.id, ALL_PERMISSIONS)
            tokens[app.id] = (await create_credential(operator.store, operator.master, act, wanted)).text
        server = await create_resource_server(operator.store, operator.master, act, "Demo resource server")
    return _who_is_who(world, applied.secrets, tokens, server)


def _who_is_who(world: World, secrets: Mapping[AppId, Secret], tokens: Mapping[AppId, Secret], server: Made) -> Demo:
    active = [solution for solution in world.solutions if solution.status is SolutionStatus.ACTIVE]
    solution = max(active, key=lambda s: sum(share.solution == s.id for share in world.shares))
    roles = {solution.owner.app: "owner", solution.partner.app: "partner"}
    apps = tuple(DemoApp(a.id, a.name, secrets[a.id], tokens[a.id], roles.get(a.id, "stranger")) for a in world.apps)
    customers = sorted(
        (
            DemoBusiness(b.id, b.name, tuple(waba.id for waba in b.wabas), _outcome(world, solution, b))
            for b in world.businesses
            if b.wabas
        ),
        key=lambda b: b.outcome,
    )
    return Demo(solution, apps, tuple(customers), server)


def _outcome(world: World, solution: Solution, business: Business) -> int:
    connected = Connection(business.id, solution.owner.app) in implied_connections(world) | set(world.connections)
    shares: list[Share] = [share for share in world.shares if (share.business, share.solution) == (business.id, solution.id)]
    if not connected:
        return 404
    if not shares or shares[0].status is ShareStatus.WITHDRAWN:
        return 422
    return 403 if solution.owner.app in shares[0].revoked_apps else 200
