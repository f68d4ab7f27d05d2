"""`credential` and `resource-server`: what authenticates to the service."""

import asyncio
import enum
from typing import TYPE_CHECKING, Annotated

import typer

from multipartner.cli.calling import Call, command, noun, table, when

if TYPE_CHECKING:
    from multipartner.storage.change_ports import Credential


class Scope(enum.Enum):
    """The permissions that a caller token may carry."""

    MANAGEMENT = "whatsapp_business_management"
    MESSAGING = "whatsapp_business_messaging"


_SystemUser = Annotated[str, typer.Option(help="Id of the system user whose token it is.", show_default=False)]
_App = Annotated[str, typer.Option(help="Id of the app it is for.", show_default=False)]
_Scopes = Annotated[list[Scope], typer.Option("--permission", help="What it may do; give it once for each.")]
_Scope = Annotated[Scope, typer.Option(help="What it may do no more.", show_default=False)]
_Lifetime = Annotated[int | None, typer.Option(min=1, help="Seconds until it expires; default: never.", show_default=False)]
_Id = Annotated[str, typer.Argument(help="Id, as shown at its creation.", show_default=False)]
_Name = Annotated[str, typer.Argument(help="A name for people.", show_default=False)]

_ONCE = "Shown this once; only a fingerprint is kept."
_MANAGEMENT_ONLY = [Scope.MANAGEMENT]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    callers = noun(app, "credential", "Caller tokens: what a partner's backend sends.")
    command(callers, "create")(create)
    command(callers, "revoke")(revoke)
    command(callers, "revoke-all")(revoke_all)
    command(callers, "narrow")(narrow)
    command(callers, "list")(list_)
    servers = noun(app, "resource-server", "Resource servers: who may introspect tokens.")
    command(servers, "create")(create_server)
    command(servers, "revoke")(revoke_server)
    command(servers, "list")(list_servers)


def create(
    call: Call, system_user: _SystemUser, app: _App, permission: _Scopes = _MANAGEMENT_ONLY, lifetime_s: _Lifetime = None
) -> None:
    """Make a caller token for a system user and an app of the same business, and print it this once."""
    from multipartner.domain.model import AppId, Permission, SystemUserId  # noqa: PLC0415 - not for --help
    from multipartner.operating import open_operator  # noqa: PLC0415 - as above
    from multipartner.partnering.credentials import Made, Wanted, create_credential  # noqa: PLC0415 - as above

    settings = call.settings()
    granted = frozenset(Permission(scope.value) for scope in permission)
    expires_at_s = None if lifetime_s is None else call.now_s + lifetime_s
    wanted = Wanted(SystemUserId(system_user), AppId(app), granted, expires_at_s)

    async def made() -> Made:
        async with open_operator(settings) as operator:
            return await create_credential(operator.store, operator.master, call.act, wanted)

    new = asyncio.run(made())
    facts = {
        "id": new.id,
        "token": new.text.reveal(),
        "system_user_id": system_user,
        "app_id": app,
        "permissions": sorted(p.value for p in granted),
        "expires_at_s": expires_at_s,
    }
    what = f"credential {new.id} of system user {system_user} for app {app}"
    lives = "never expires" if expires_at_s is None else f"expires {when(expires_at_s)}"
    call.tell(facts, f"{new.text.reveal()}\n\n{what}, {lives}. {_ONCE}")


def revoke(call: Call, credential: _Id) -> None:
    """End a caller token. What it fetched lives to its expiry: it stands for the grant, not for the caller."""
    from multipartner.domain.model import CredentialId  # noqa: PLC0415 - not for --help
    from multipartner.partnering.credentials import revoke_credential  # noqa: PLC0415 - as above

    call.change(lambda store: revoke_credential(store, call.act, CredentialId(credential)))


def revoke_all(call: Call, system_user: _SystemUser, app: _App) -> None:
    """End all caller tokens of a system user for an app, as the user itself can over HTTP."""
    from multipartner.domain.model import AppId, SystemUserId  # noqa: PLC0415 - not for --help
    from multipartner.partnering.credentials import revoke_access  # noqa: PLC0415 - as above

    call.change(lambda store: revoke_access(store, call.act, SystemUserId(system_user), AppId(app)))


def narrow(call: Call, system_user: _SystemUser, app: _App, permission: _Scope) -> None:
    """Take a permission out of all caller tokens of a system user for an app; one that has no other is revoked."""
    from multipartner.domain.model import AppId, Permission, SystemUserId  # noqa: PLC0415 - not for --help
    from multipartner.partnering.credentials import narrow_access  # noqa: PLC0415 - as above

    user, taken = SystemUserId(system_user), Permission(permission.value)
    call.change(lambda store: narrow_access(store, call.act, user, AppId(app), taken))


def list_(call: Call) -> None:
    """List the caller tokens, the revoked ones too."""
    from multipartner.partnering.credentials import list_credentials  # noqa: PLC0415 - not for --help

    found = call.read(list_credentials)
    rows = [
        {
            "id": c.id,
            "system_user_id": c.system_user_id,
            "app_id": c.app_id,
            "permissions": sorted(p.value for p in c.permissions),
            "created_at_s": c.created_at_s,
            "expires_at_s": c.expires_at_s,
            "revoked_at_s": c.revoked_at_s,
            "state": _state(c, call.now_s),
        }
        for c in found
    ]
    call.tell(rows, table(rows, ("id", "system_user_id", "app_id", "state", "expires_at_s", "permissions"), "no caller tokens"))


def create_server(call: Call, name: _Name) -> None:
    """Register a resource server: its credential, printed this once, lets it introspect tokens."""
    from multipartner.operating import open_operator  # noqa: PLC0415 - not for --help
    from multipartner.partnering.credentials import Made, create_resource_server  # noqa: PLC0415 - as above

    settings = call.settings()

    async def made() -> Made:
        async with open_operator(settings) as operator:
            return await create_resource_server(operator.store, operator.master, call.act, name)

    new = asyncio.run(made())
    facts = {"id": new.id, "secret": new.text.reveal(), "name": name}
    call.tell(facts, f"{new.text.reveal()}\n\nresource server {new.id} ({name}). {_ONCE}")


def revoke_server(call: Call, server: _Id) -> None:
    """End a resource server's credential."""
    from multipartner.partnering.credentials import revoke_resource_server  # noqa: PLC0415 - not for --help

    call.change(lambda store: revoke_resource_server(store, call.act, server))


def list_servers(call: Call) -> None:
    """List the resource servers, the revoked ones too."""
    from multipartner.partnering.credentials import list_resource_servers  # noqa: PLC0415 - not for --help

    found = call.read(list_resource_servers)
    rows = [
        {"id": s.id, "name": s.name, "revoked_at_s": s.revoked_at_s, "state": "revoked" if s.revoked_at_s else "active"}
        for s in found
    ]
    call.tell(rows, table(rows, ("id", "name", "state"), "no resource servers"))


def _state(credential: "Credential", now_s: int) -> str:
    if credential.revoked_at_s is not None:
        return "revoked"
    return "expired" if credential.expires_at_s is not None and credential.expires_at_s <= now_s else "active"
