"""The life of a migration intent as a pure machine, against an oracle in other words."""

from itertools import product
from pathlib import Path

import pytest

from multipartner.domain.migration import (
    ANSWERED,
    INTENT_STEPS,
    IntentMove,
    IntentStatus,
    IntentStep,
    Mover,
    intent_diagram,
    intent_moved,
)
from multipartner.domain.reasons import Reason, Refusal

S = IntentStatus
ALLOWED = {
    ("INITIATED", "app", "schedule"): "INITIATED",
    ("INITIATED", "app", "cancel"): "REJECTED",
    ("INITIATED", "customer", "accept"): "ACCEPTED",
    ("INITIATED", "customer", "decline"): "REJECTED",
    ("ACCEPTED", "app", "confirm"): "COMPLETED",
}


@pytest.mark.parametrize(("status", "mover", "move"), list(product(S, Mover, IntentMove)))
def test_each_move_leads_where_it_is_said_to_or_nowhere(status: S, mover: Mover, move: IntentMove) -> None:
    """Attack 45: of all statuses, sides and moves exactly the listed ones lead anywhere; whose a move is is told first."""
    step = intent_moved(status, mover, move)

    wanted = ALLOWED.get((status.value, mover.value, move.value))
    assert (step.to.value if isinstance(step, IntentStep) else None) == wanted
    if isinstance(step, Refusal):
        others = not any(mover.value == by and move.value == made for _, by, made in ALLOWED)
        assert step.reason is (Reason.NOT_THIS_SIDES if others else Reason.MIGRATION_FORBIDS)


def test_nothing_moves_without_the_customer() -> None:
    """Attack 38: breadth first, an app alone never comes to a status in which a WABA has moved, and one step alone moves it."""
    reached, open_ = {S.INITIATED}, [S.INITIATED]
    while open_:
        status = open_.pop()
        for step in INTENT_STEPS:
            if step.status is status and step.by is Mover.APP and step.to not in reached:
                reached.add(step.to)
                open_.append(step.to)

    assert reached == {S.INITIATED, S.REJECTED}
    assert [(step.move, step.by) for step in INTENT_STEPS if step.moves] == [(IntentMove.ACCEPT, Mover.CUSTOMER)]


def test_what_has_ended_stays_ended() -> None:
    """Attack 44: no move leads out of REJECTED or COMPLETED, and none back to an intent that waits."""
    assert [step for step in INTENT_STEPS if step.status in {S.REJECTED, S.COMPLETED}] == []
    assert [step.move for step in INTENT_STEPS if step.to is S.INITIATED] == [IntentMove.SCHEDULE]


def test_every_status_has_its_word_in_the_answer() -> None:
    """The contract's other enumeration is told for every status there is."""
    assert set(ANSWERED) == set(S)


def test_the_page_draws_the_machine() -> None:
    """docs/solutions.md shows the diagram that the code draws of itself."""
    page = (Path(__file__).parents[2] / "docs" / "solutions.md").read_text("utf-8")

    assert f"```mermaid\n{intent_diagram()}\n```" in page
