"""`app`, `share` and `grant`: what ends, what is resumed, and an app's secret."""

import asyncio
from typing import Annotated

import typer

from multipartner.cli.calling import Call, command, noun
from multipartner.cli.credentials import Scope

_AppArgument = Annotated[str, typer.Argument(metavar="APP", help="Id of the app.", show_default=False)]
_Business = Annotated[str, typer.Option(help="Id of the customer's business.", show_default=False)]
_Solution = Annotated[str, typer.Option(help="Id of the solution.", show_default=False)]
_App = Annotated[str, typer.Option(help="Id of the app.", show_default=False)]
_Wabas = Annotated[
    list[str], typer.Option("--waba", help="Id of a WABA that it shares; give it once for each.", show_default=False)
]
_Scopes = Annotated[
    list[Scope], typer.Option("--permission", help="What it consents to; give it once for each.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    apps = noun(app, "app", "Suspend and resume apps, renew their secrets.")
    command(apps, "suspend")(suspend)
    command(apps, "resume")(resume)
    app_secrets = noun(apps, "secret", "The secret that an app's callers prove their token with.")
    command(app_secrets, "renew")(renew_secret)
    shares = noun(app, "share", "Make, change and withdraw what a business shares with a solution.")
    command(shares, "make")(make_share)
    command(shares, "revoke")(revoke_share)
    grants = noun(app, "grant", "Take one app out of a share, and put it back.")
    command(grants, "revoke")(revoke_grant)
    command(grants, "restore")(restore_grant)


def suspend(call: Call, app: _AppArgument) -> None:
    """Suspend an app: it gets no tokens, and those it has are dead at once."""
    from multipartner.domain.model import AppId  # noqa: PLC0415 - not for --help
    from multipartner.partnering import lives  # noqa: PLC0415 - as above

    call.change(lambda store: lives.suspend_app(store, call.act, AppId(app)))


def resume(call: Call, app: _AppArgument) -> None:
    """Resume a suspended app: it can have new tokens; the old ones stay dead."""
    from multipartner.domain.model import AppId  # noqa: PLC0415 - not for --help
    from multipartner.partnering import lives  # noqa: PLC0415 - as above

    call.change(lambda store: lives.resume_app(store, call.act, AppId(app)))


def renew_secret(call: Call, app: _AppArgument) -> None:
    """Give an app a new secret, printed this once; the old one proves nothing any more. Tokens live on.

    For a secret that was lost or seen: an app's first one is shown only by the `world apply` that adds it.
    """
    from multipartner.domain.model import AppId, Secret  # noqa: PLC0415 - not for --help
    from multipartner.operating import open_operator  # noqa: PLC0415 - as above
    from multipartner.partnering.credentials import renew_app_secret  # noqa: PLC0415 - as above

    settings = call.settings()

    async def renewed() -> Secret:
        async with open_operator(settings) as operator:
            return await renew_app_secret(operator.store, operator.master, call.act, AppId(app))

    secret = asyncio.run(renewed()).reveal()
    call.tell({"app_id": app, "secret": secret}, f"{secret}\n\nsecret of app {app}. Shown this once; it is kept sealed.")


def make_share(call: Call, business: _Business, solution: _Solution, waba: _Wabas, permission: _Scopes) -> None:
    """Consent, for a customer: from now on it shares exactly these WABAs, for exactly these permissions, with a solution.

    Whatever was shared otherwise with the solution is so no more, and its tokens are dead.
    """
    from multipartner.domain.consent import Consent  # noqa: PLC0415 - not for --help
    from multipartner.domain.model import BusinessId, Permission, SolutionId, WabaId  # noqa: PLC0415 - as above
    from multipartner.partnering.shares import make_share as make  # noqa: PLC0415 - as above

    permissions = frozenset(Permission(scope.value) for scope in permission)
    consent = Consent(BusinessId(business), SolutionId(solution), frozenset(map(WabaId, waba)), permissions)
    call.change(lambda store: make(store, call.act, consent))


def revoke_share(call: Call, business: _Business, solution: _Solution) -> None:
    """Withdraw a share, for both apps of the solution: all tokens for it are dead at once. The connections stay."""
    from multipartner.domain.model import BusinessId, SolutionId  # noqa: PLC0415 - not for --help
    from multipartner.partnering import lives  # noqa: PLC0415 - as above

    call.change(lambda store: lives.revoke_share(store, call.act, BusinessId(business), SolutionId(solution)))


def revoke_grant(call: Call, business: _Business, solution: _Solution, app: _App) -> None:
    """Take one app out of a share: its tokens for this business are dead at once, the other app's are not."""
    from multipartner.domain.model import AppId, BusinessId, SolutionId, Tenant  # noqa: PLC0415 - not for --help
    from multipartner.partnering import lives  # noqa: PLC0415 - as above

    tenant = Tenant(AppId(app), SolutionId(solution), BusinessId(business))
    call.change(lambda store: lives.revoke_grant(store, call.act, tenant))


def restore_grant(call: Call, business: _Business, solution: _Solution, app: _App) -> None:
    """Put an app back into a share: it can have new tokens; the old ones stay dead."""
    from multipartner.domain.model import AppId, BusinessId, SolutionId, Tenant  # noqa: PLC0415 - not for --help
    from multipartner.partnering import lives  # noqa: PLC0415 - as above

    tenant = Tenant(AppId(app), SolutionId(solution), BusinessId(business))
    call.change(lambda store: lives.restore_grant(store, call.act, tenant))
