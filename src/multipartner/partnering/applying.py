"""Applying a declared world, and reading it back. Adds and updates, never deletes; the second time nothing is changed.

What already is as declared is not written at all: no new generation, no event, no row in the feed.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from multipartner.crypto.credentials import new_app_secret
from multipartner.crypto.sealing import MasterKeys
from multipartner.domain import world as w
from multipartner.domain.events import EventKind
from multipartner.domain.model import AppId, BusinessId, Secret, SolutionStatus, Tenant, WabaId
from multipartner.domain.world_rules import Contradiction
from multipartner.domain.world_unsaid import Unsaid, staying, with_unsaid
from multipartner.partnering.acting import Act, ChangeRefused
from multipartner.partnering.credentials import newest_mac_key
from multipartner.partnering.shares import share_kind, share_told
from multipartner.storage.change_ports import Changes, ChangeStore, Effect


class Applied(msgspec.Struct, frozen=True):
    """What an application did: one line for each change, and the new apps' secrets, to be shown once.

    `stays` has one line for each end that was left unsaid and therefore stays.
    """

    lines: tuple[str, ...]
    secrets: dict[AppId, Secret]
    stays: tuple[str, ...] = ()


class WorldContradicted(ChangeRefused):
    """A world contradicts facts that do not change: see `contradictions`."""

    def __init__(self, contradictions: tuple[Contradiction, ...]) -> None:
        self.contradictions = contradictions
        super().__init__("\n".join(contradiction.text for contradiction in contradictions))


_ALL_SAID = Unsaid()


async def apply_world(store: ChangeStore, master: MasterKeys, act: Act, world: w.World, unsaid: Unsaid = _ALL_SAID) -> Applied:
    """Bring the facts to what a valid world in normal form declares, all of it or nothing.

    `unsaid` is what the world's file leaves out (`worldfile.read`): that stays as it is. Without it the world says everything.
    Raises WorldContradicted when it contradicts a fact that does not change: who owns an entity, and a solution's two apps.
    """
    async with store.transaction() as changes:
        now = await changes.world(world)
        refused = list(_contradictions(now, world))
        if refused:
            raise WorldContradicted(tuple(refused))
        declared, world = world, with_unsaid(now, world, unsaid)
        application = _Application(changes, master, act)
        await application.entities(now, world)
        await application.apps(now, world)
        await application.solutions(now, world)
        await application.connections(world)
        await application.shares(now, world)
        return await application.end(tuple(staying(declared, world)))


async def export_world(store: ChangeStore) -> w.World:
    """Read the whole world in its normal form; what it holds is no secret."""
    async with store.reading() as changes:
        return await changes.world()


class _Application:
    """One application under way."""

    def __init__(self, changes: Changes, master: MasterKeys, act: Act) -> None:
        self._changes = changes
        self._master = master
        self._act = act
        self._lines: list[str] = []
        self._secrets: dict[AppId, Secret] = {}

    async def end(self, stays: tuple[str, ...]) -> Applied:
        """Sum it up in the trail, if there is anything to."""
        if self._lines:
            await self._changes.record(self._act.event(EventKind.WORLD_APPLIED, changes=str(len(self._lines))))
        return Applied(tuple(self._lines), self._secrets, stays)

    async def entities(self, now: w.World, world: w.World) -> None:
        """Businesses, WABAs with their numbers, system users."""
        names = {b.id: b.name for b in now.businesses}
        businesses = [b for b in world.businesses if names.get(b.id) != b.name]
        await self._changes.put_businesses(businesses)
        for business in businesses:
            await self._say(
                EventKind.BUSINESS_DECLARED, f"business {business.id}", _done(business.id in names), business_id=business.id
            )
        known = {waba.id: waba for _, waba in _wabas(now)}
        wabas = [(owner, waba) for owner, waba in _wabas(world) if not _holds(known.get(waba.id), waba)]
        await self._changes.put_wabas(wabas)
        for owner, waba in wabas:
            numbers = " ".join(n.id for n in waba.phone_numbers)
            told = {"business_id": owner, "waba_id": waba.id, "phone_numbers": numbers}
            await self._say(EventKind.WABA_DECLARED, f"WABA {waba.id}", _done(waba.id in known), **told)
        users = _changed(now.system_users, world.system_users)
        await self._changes.put_system_users([user for user, _ in users])
        for user, old in users:
            told = {"business_id": user.business, "system_user_id": user.id}
            await self._say(EventKind.SYSTEM_USER_DECLARED, f"system user {user.id}", _done(old), **told)

    async def apps(self, now: w.World, world: w.World) -> None:
        """Apps; a new one gets a secret, a suspended or resumed one a new generation."""
        for app, old in _changed(now.apps, world.apps):
            if old is None:
                await newest_mac_key(self._changes, self._master)
                secret = new_app_secret()
                self._secrets[app.id] = Secret(secret)
                sealed = self._master.seal(secret.encode(), "app", "secret", app.id)
                await self._changes.add_app(app, sealed, self._act.mark())
            else:
                await self._changes.change_app(app, self._act.mark() if app.status is not old.status else None)
            kind = EventKind.APP_DECLARED
            if old is not None and app.status is not old.status:
                kind = EventKind.APP_SUSPENDED if app.status is w.AppStatus.SUSPENDED else EventKind.APP_RESUMED
            told = {"app_id": app.id, "business_id": app.business, "status": app.status.value}
            await self._say(kind, f"app {app.id}", _done(old), **told)

    async def solutions(self, now: w.World, world: w.World) -> None:
        """Solutions; one that is more than renamed gets a new generation."""
        for solution, old in _changed(now.solutions, world.solutions):
            kind = EventKind.SOLUTION_DECLARED
            if old is None:
                await self._changes.add_solution(solution, self._act.mark())
            else:
                renamed = msgspec.structs.replace(old, name=solution.name) == solution
                await self._changes.change_solution(solution, None if renamed else self._act.mark())
                if SolutionStatus.DEACTIVATED in {solution.status, old.status} and solution.status is not old.status:
                    ended = solution.status is SolutionStatus.DEACTIVATED
                    kind = EventKind.SOLUTION_DEACTIVATED if ended else EventKind.SOLUTION_REACTIVATED
            told = {"solution_id": solution.id, "status": solution.status.value}
            await self._say(kind, f"solution {solution.id}", _done(old), **told)

    async def connections(self, world: w.World) -> None:
        """Connections, declared or implied."""
        wanted = w.implied_connections(world) | set(world.connections)
        missing = wanted - await self._changes.connections_of(sorted({c.business for c in wanted}))
        made = sorted(missing, key=lambda c: (c.business, c.app))
        await self._changes.connect(made, self._act.now_s)
        for connection in made:
            told = {"app_id": connection.app, "business_id": connection.business}
            await self._say(
                EventKind.CONNECTION_MADE, f"connection of {connection.business} with app {connection.app}", "added", **told
            )

    async def shares(self, now: w.World, world: w.World) -> None:
        """Shares and the grants under them; whatever differs gets a new generation."""
        shares = {(s.business, s.solution): s for s in now.shares}
        apps = {s.id: (s.owner.app, s.partner.app) for s in world.solutions}
        for share in world.shares:
            old = shares.get((share.business, share.solution))
            if old is None:
                await self._add_share(share, apps[share.solution])
            elif old != share:
                await self._change_share(old, share)

    async def _add_share(self, share: w.Share, apps: tuple[AppId, AppId]) -> None:
        await self._changes.add_share(share, self._act.mark(), {app: self._act.mark() for app in apps})
        await self._say_share(share_kind(None, share), share, "added")

    async def _change_share(self, old: w.Share, share: w.Share) -> None:
        if msgspec.structs.replace(old, revoked_apps=share.revoked_apps) != share:
            await self._changes.change_share(share, self._act.mark())
            await self._say_share(share_kind(old, share), share, "changed")
        for app in sorted(set(old.revoked_apps) ^ set(share.revoked_apps)):
            active = app in old.revoked_apps
            tenant = Tenant(app, share.solution, share.business)
            if await self._changes.set_grant(tenant, self._act.mark(), active=active) is not Effect.DONE:
                continue
            told = {"app_id": app, "solution_id": share.solution, "business_id": share.business}
            what = f"grant of app {app} for business {share.business} in solution {share.solution}"
            await self._say(EventKind.GRANT_RESTORED if active else EventKind.GRANT_REVOKED, what, "changed", **told)

    async def _say_share(self, kind: EventKind, share: w.Share, done: str) -> None:
        what = f"share of {share.business} with solution {share.solution}"
        await self._say(kind, what, done, **share_told(share))

    async def _say(self, kind: EventKind, what: str, done: str, /, **told: str) -> None:
        verb = kind.value.rpartition(".")[2]
        self._lines.append(f"{what}: {verb if verb in _TELLING else done}")
        await self._changes.record(self._act.event(kind, **told))


_TELLING = frozenset({"suspended", "resumed", "deactivated", "reactivated", "revoked", "restored"})


def _done(was_known: object) -> str:
    return "changed" if was_known else "added"


Entity = TypeVar("Entity", w.App, w.SystemUser, w.Solution)


def _changed(now: Iterable[Entity], wanted: Iterable[Entity]) -> list[tuple[Entity, Entity | None]]:
    """Each wanted entity that is new or differs, with what it is now."""
    known = {str(entity.id): entity for entity in now}
    return [(entity, known.get(entity.id)) for entity in wanted if known.get(entity.id) != entity]


def _holds(now: w.Waba | None, wanted: w.Waba) -> bool:
    return now is not None and now.name == wanted.name and set(wanted.phone_numbers) <= set(now.phone_numbers)


def _wabas(world: w.World) -> Iterator[tuple[BusinessId, w.Waba]]:
    for business in world.businesses:
        for waba in business.wabas:
            yield business.id, waba


def _contradictions(now: w.World, world: w.World) -> Iterator[Contradiction]:
    """What a declaration may not move: tokens and shares rest on it."""
    owners: dict[WabaId, BusinessId] = {waba.id: owner for owner, waba in _wabas(now)}
    holders = {number.id: waba.id for _, waba in _wabas(now) for number in waba.phone_numbers}
    for owner, waba in _wabas(world):
        if owners.get(waba.id, owner) != owner:
            text = f"WABA {waba.id} belongs to business {owners[waba.id]}, not {owner}"
            yield Contradiction("wabas", waba.id, text)
        for number in waba.phone_numbers:
            if holders.get(number.id, waba.id) != waba.id:
                text = f"phone number {number.id} belongs to WABA {holders[number.id]}, not {waba.id}"
                yield Contradiction("phone_numbers", number.id, text)
    for app, old_app in _changed(now.apps, world.apps):
        if old_app is not None and old_app.business != app.business:
            text = f"app {app.id} belongs to business {old_app.business}, not {app.business}"
            yield Contradiction("apps", app.id, text)
    for user, old_user in _changed(now.system_users, world.system_users):
        if old_user is not None and old_user.business != user.business:
            text = f"system user {user.id} belongs to business {old_user.business}, not {user.business}"
            yield Contradiction("system_users", user.id, text)
    for solution, old in _changed(now.solutions, world.solutions):
        if old is not None and (old.owner.app, old.partner.app) != (solution.owner.app, solution.partner.app):
            text = f"solution {solution.id} is of the apps {old.owner.app} and {old.partner.app}: that does not change"
            yield Contradiction("solutions", solution.id, text)
