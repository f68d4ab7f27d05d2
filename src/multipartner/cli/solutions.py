"""`solution`: invite a partner, and all that its two sides do with a solution; the API's functions from the command line."""

from typing import TYPE_CHECKING, Annotated

import typer

from multipartner.cli.calling import Call, command, noun

if TYPE_CHECKING:
    from multipartner.domain.lifecycle import Move

_SolutionArgument = Annotated[str, typer.Argument(metavar="SOLUTION", help="Id of the solution.", show_default=False)]
_As = Annotated[str, typer.Option("--as", metavar="APP", help="Id of the app that acts: a side of it.", show_default=False)]
_Owner = Annotated[str, typer.Option(help="Id of the app that invites.", show_default=False)]
_Partner = Annotated[str, typer.Option(help="Id of the app that is invited.", show_default=False)]
_Name = Annotated[str, typer.Option(help="Its name, 2 to 75 characters.", show_default=False)]
_Messaging = Annotated[str, typer.Option(help="Which side may message: owner or partner.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    solutions = noun(app, "solution", "Make, accept and end solutions.")
    command(solutions, "create")(create)
    command(solutions, "show")(show)
    command(solutions, "accept")(accept)
    command(solutions, "reject")(reject)
    command(solutions, "request-deactivation")(request_deactivation)
    command(solutions, "accept-deactivation")(accept_deactivation)
    command(solutions, "reject-deactivation")(reject_deactivation)
    command(solutions, "deactivate")(deactivate)


def create(call: Call, owner: _Owner, partner: _Partner, name: _Name, messaging: _Messaging) -> None:
    """Make a solution that waits for its partner's answer, and print its id."""
    from multipartner.domain.model import AppId  # noqa: PLC0415 - not for --help
    from multipartner.partnering import solutions  # noqa: PLC0415 - as above

    if messaging not in {"owner", "partner"}:
        raise typer.BadParameter("owner or partner", param_hint="--messaging")
    proposal = solutions.Proposal(AppId(partner), name, messaging == "owner", messaging == "partner")
    made = call.read(lambda store: solutions.create_solution(store, call.act, AppId(owner), proposal))
    call.tell({"solution_id": made.id}, f"{made.id}\n\nsolution {made.id}: waits for app {partner} to accept.")


def show(call: Call, solution: _SolutionArgument, app: _As) -> None:
    """Print a solution as one of its sides sees it: status, what is pending, who is who."""
    from multipartner.domain.lifecycle import TOLD  # noqa: PLC0415 - not for --help
    from multipartner.domain.model import AppId, SolutionId  # noqa: PLC0415 - as above
    from multipartner.partnering import solutions  # noqa: PLC0415 - as above

    node = call.read(lambda store: solutions.solution(store, AppId(app), SolutionId(solution)))
    told = TOLD[node.status]
    facts = {
        "id": node.id,
        "name": node.name,
        "status": told.status,
        "status_for_pending_request": told.pending,
        "owner_app": node.owner_app.id,
        "partner_app": node.partner_app.id,
        "partner_status": told.partner,
        "messaging": "owner" if node.owner_messaging else "partner",
    }
    call.tell(facts, "\n".join(f"{name:<28}{value}" for name, value in facts.items()))


def accept(call: Call, solution: _SolutionArgument, app: _As) -> None:
    """Accept an invitation, for the invited app: the solution is active."""
    from multipartner.domain.lifecycle import Move  # noqa: PLC0415 - not for --help

    _move(call, solution, app, Move.ACCEPT)


def reject(call: Call, solution: _SolutionArgument, app: _As) -> None:
    """Turn an invitation down, or take one's own back."""
    from multipartner.domain.lifecycle import Move  # noqa: PLC0415 - not for --help

    _move(call, solution, app, Move.REJECT)


def request_deactivation(call: Call, solution: _SolutionArgument, app: _As) -> None:
    """Ask for the end of a solution, for its owner; tokens live on until the partner agrees."""
    from multipartner.domain.lifecycle import Move  # noqa: PLC0415 - not for --help

    _move(call, solution, app, Move.REQUEST_DEACTIVATION)


def accept_deactivation(call: Call, solution: _SolutionArgument, app: _As) -> None:
    """Agree to the end of a solution, for its partner: all its tokens are dead at once."""
    from multipartner.domain.lifecycle import Move  # noqa: PLC0415 - not for --help

    _move(call, solution, app, Move.ACCEPT_DEACTIVATION)


def reject_deactivation(call: Call, solution: _SolutionArgument, app: _As) -> None:
    """Decline the end of a solution, or take one's own request back: it stays active."""
    from multipartner.domain.lifecycle import Move  # noqa: PLC0415 - not for --help

    _move(call, solution, app, Move.REJECT_DEACTIVATION)


def deactivate(call: Call, solution: _SolutionArgument) -> None:
    """End a solution without asking either side: all tokens for it are dead at once."""
    from multipartner.domain.model import SolutionId  # noqa: PLC0415 - not for --help
    from multipartner.partnering import lives  # noqa: PLC0415 - as above

    call.change(lambda store: lives.deactivate_solution(store, call.act, SolutionId(solution)))


def _move(call: Call, solution: str, app: str, move: "Move") -> None:
    from multipartner.domain.model import AppId, SolutionId  # noqa: PLC0415 - not for --help
    from multipartner.partnering import solutions  # noqa: PLC0415 - as above

    node = call.read(lambda store: solutions.move_solution(store, call.act, AppId(app), SolutionId(solution), move))
    call.tell({"solution_id": node.id, "status": node.status.value}, f"solution {node.id}: {node.status.value}")
