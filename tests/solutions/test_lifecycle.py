"""The life of a solution as a pure machine, against an oracle in other words: the guide's table of who may do what when."""

from itertools import product
from pathlib import Path

import pytest

from multipartner.domain.graph import Role
from multipartner.domain.lifecycle import STEPS, TOLD, Move, Step, diagram, moved, tasks_of
from multipartner.domain.model import USABLE_SOLUTION, SolutionStatus
from multipartner.domain.reasons import Reason, Refusal

S = SolutionStatus
ALLOWED = {
    ("INITIATED", "PARTNER", "accept"): "ACTIVE",
    ("INITIATED", "PARTNER", "reject"): "REJECTED",
    ("INITIATED", "OWNER", "reject"): "REJECTED",
    ("INITIATED", "OWNER", "send_deactivation_request"): "DEACTIVATED",
    ("ACTIVE", "OWNER", "send_deactivation_request"): "PENDING_DEACTIVATION",
    ("PENDING_DEACTIVATION", "PARTNER", "accept_deactivation_request"): "DEACTIVATED",
    ("PENDING_DEACTIVATION", "PARTNER", "reject_deactivation_request"): "ACTIVE",
    ("PENDING_DEACTIVATION", "OWNER", "reject_deactivation_request"): "ACTIVE",
}


@pytest.mark.parametrize(("status", "role", "move"), list(product(S, [*Role, None], Move)))
def test_each_move_leads_where_it_is_said_to_or_nowhere(status: SolutionStatus, role: Role | None, move: Move) -> None:
    """Attack 45: of all statuses, sides, strangers and moves exactly the listed ones lead anywhere."""
    step = moved(status, role, move)

    wanted = ALLOWED.get((status.value, role.value, move.value)) if role else None
    assert (step.to.value if isinstance(step, Step) else None) == wanted
    if role is None:
        assert step == Refusal(Reason.APP_NOT_PARTY)


def test_nothing_but_acceptance_makes_a_solution_usable() -> None:
    """Breadth first from a new solution: a path to where tokens are issued goes through the partner's acceptance."""
    reached, open_ = {S.INITIATED}, [S.INITIATED]
    while open_:
        status = open_.pop()
        for step in STEPS:
            if step.status is status and step.move is not Move.ACCEPT and step.to not in reached:
                reached.add(step.to)
                open_.append(step.to)

    assert reached.isdisjoint(USABLE_SOLUTION)


def test_what_has_ended_stays_ended() -> None:
    """Attack 44: no move leads out of REJECTED or DEACTIVATED, and every way into them gives a new generation."""
    ends = {S.REJECTED, S.DEACTIVATED}

    assert [step for step in STEPS if step.status in ends] == []
    assert all(step.marks for step in STEPS if step.to in ends)


def test_a_request_for_the_end_ends_nothing_by_itself() -> None:
    """While the partner has not agreed, tokens live on: neither asking nor declining gives a new generation."""
    between = {S.ACTIVE, S.PENDING_DEACTIVATION}

    assert [step.marks for step in STEPS if {step.status, step.to} == between] == [False, False]


def test_every_status_has_its_three_words() -> None:
    """The contract's three status fields are told for every status there is, and a pending end is told as active."""
    assert set(TOLD) == set(S)
    assert (TOLD[S.PENDING_DEACTIVATION].status, TOLD[S.PENDING_DEACTIVATION].pending) == ("ACTIVE", "PENDING_DEACTIVATION")
    assert {status for status in S if TOLD[status].partner == "ACCEPTED"} == set(USABLE_SOLUTION)


def test_the_page_draws_the_machine() -> None:
    """docs/solutions.md shows the diagram that the code draws of itself."""
    page = (Path(__file__).parents[2] / "docs" / "solutions.md").read_text("utf-8")

    assert f"```mermaid\n{diagram()}\n```" in page


def test_a_side_without_messaging_does_not_manage() -> None:
    """The tasks of a side without MESSAGING have neither that nor MANAGE."""
    assert set(tasks_of(messaging=True)) - set(tasks_of(messaging=False)) == {"MANAGE", "MESSAGING"}
