"""`migration`: move a WABA to another solution; the app's side as over HTTP, and the customer's answer."""

from typing import TYPE_CHECKING, Annotated

import typer

from multipartner.cli.calling import Call, command, noun, when
from multipartner.cli.credentials import Scope

if TYPE_CHECKING:
    from multipartner.domain.migration import Intent, IntentMove

_IntentArgument = Annotated[str, typer.Argument(metavar="INTENT", help="Id of the migration intent.", show_default=False)]
_As = Annotated[str, typer.Option("--as", metavar="APP", help="Id of the app that asks.", show_default=False)]
_Waba = Annotated[str, typer.Option(help="Id of the WABA.", show_default=False)]
_To = Annotated[str, typer.Option("--to", metavar="SOLUTION", help="Id of the solution to move to.", show_default=False)]
_From = Annotated[
    str | None,
    typer.Option("--from", metavar="SOLUTION", help="Id of the solution to leave; not needed if it is one.", show_default=False),
]
_NotBefore = Annotated[
    str | None,
    typer.Option(metavar="INSTANT", help="The customer cannot accept earlier: 2030-01-31T10:00:00Z.", show_default=False),
]
_Business = Annotated[str, typer.Option(help="Id of the customer's business: who answers.", show_default=False)]
_Permission = Annotated[
    list[Scope], typer.Option(help="What it consents to for the new solution; give it once for each.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    migrations = noun(app, "migration", "Move a WABA to another solution, when its customer consents.")
    command(migrations, "set")(set_)
    command(migrations, "show")(show)
    command(migrations, "cancel")(cancel)
    command(migrations, "confirm")(confirm)
    command(migrations, "accept")(accept)
    command(migrations, "decline")(decline)


def set_(call: Call, waba: _Waba, to: _To, app: _As, out_of: _From = None, not_before: _NotBefore = None) -> None:
    """Ask the customer to move a WABA to another solution, for an app that is a side of both; print the intent's id."""
    from multipartner.domain.model import AppId, SolutionId, WabaId  # noqa: PLC0415 - not for --help
    from multipartner.partnering import migrations  # noqa: PLC0415 - as above

    source = None if out_of is None else SolutionId(out_of)
    wish = migrations.Wish(WabaId(waba), SolutionId(to), source, _instant(not_before))
    intent = call.read(lambda store: migrations.set_intent(store, call.act, AppId(app), wish))
    call.tell(
        {"migration_intent_id": intent.id}, f"{intent.id}\n\nWABA {waba}: waits for business {intent.business_id} to answer."
    )


def show(call: Call, intent: _IntentArgument, app: _As) -> None:
    """Print an intent as an app sees it: the one that set it or, once the customer has consented, the new solution's."""
    from multipartner.domain.migration import IntentId  # noqa: PLC0415 - not for --help
    from multipartner.domain.model import AppId  # noqa: PLC0415 - as above
    from multipartner.partnering import migrations  # noqa: PLC0415 - as above
    from multipartner.partnering.acting import UnknownEntity  # noqa: PLC0415 - as above

    node = call.read(lambda store: migrations.intent_node(store, AppId(app), IntentId(intent)))
    if node is None:
        raise UnknownEntity(f"migration intent {intent}: unknown, or not to be seen by app {app}")
    found = node.intent
    facts = {
        "id": found.id,
        "status": found.status.value,
        "waba_id": found.waba_id,
        "source_solution_id": found.source_solution_id,
        "target_solution_id": found.target_solution_id,
        "app_id": found.app_id,
        "set_at_s": found.set_at_s,
        "not_before_s": found.not_before_s,
    }
    told = {name.removesuffix("_s"): when(value) if isinstance(value, int) else value or "-" for name, value in facts.items()}
    call.tell(facts, "\n".join(f"{name:<20}{value}" for name, value in told.items()))


def cancel(call: Call, waba: _Waba, solution: _To, app: _As) -> None:
    """Take a request back that the customer has not answered."""
    from multipartner.domain.migration import IntentMove  # noqa: PLC0415 - not for --help

    _move(call, waba, solution, app, IntentMove.CANCEL)


def confirm(call: Call, waba: _Waba, solution: _To, app: _As) -> None:
    """Say that the app has seen the consent and is done: the intent is completed."""
    from multipartner.domain.migration import IntentMove  # noqa: PLC0415 - not for --help

    _move(call, waba, solution, app, IntentMove.CONFIRM)


def accept(call: Call, intent: _IntentArgument, business: _Business, permission: _Permission) -> None:
    """Consent, for the customer: the WABA leaves the old share, whose tokens are dead, and enters one with the new solution."""
    from multipartner.domain.migration import IntentId  # noqa: PLC0415 - not for --help
    from multipartner.domain.model import BusinessId, Permission  # noqa: PLC0415 - as above
    from multipartner.partnering import migrations  # noqa: PLC0415 - as above

    given = frozenset(Permission(scope.value) for scope in permission)
    who, what = BusinessId(business), IntentId(intent)
    _tell(call, call.read(lambda store: migrations.accept_intent(store, call.act, who, what, given)))


def decline(call: Call, intent: _IntentArgument, business: _Business) -> None:
    """Say no, for the customer: nothing moves."""
    from multipartner.domain.migration import IntentId  # noqa: PLC0415 - not for --help
    from multipartner.domain.model import BusinessId  # noqa: PLC0415 - as above
    from multipartner.partnering import migrations  # noqa: PLC0415 - as above

    _tell(call, call.read(lambda store: migrations.decline_intent(store, call.act, BusinessId(business), IntentId(intent))))


def _move(call: Call, waba: str, solution: str, app: str, move: "IntentMove") -> None:
    from multipartner.domain.model import AppId, SolutionId, WabaId  # noqa: PLC0415 - not for --help
    from multipartner.partnering import migrations  # noqa: PLC0415 - as above

    named = migrations.Named(WabaId(waba), frozenset({SolutionId(solution)}))
    _tell(call, call.read(lambda store: migrations.move_intent(store, call.act, AppId(app), named, move)))


def _tell(call: Call, intent: "Intent") -> None:
    facts = {"migration_intent_id": intent.id, "status": intent.status.value}
    call.tell(facts, f"migration intent {intent.id}: {intent.status.value}")


def _instant(text: str | None) -> int | None:
    from multipartner.wire.migrations import unix_s  # noqa: PLC0415 - not for --help

    if text is None:
        return None
    at_s = unix_s(text)
    if at_s is None:
        raise typer.BadParameter("an instant with its offset: 2030-01-31T10:00:00Z", param_hint="--not-before")
    return at_s
