"""Solutions in a real store: what one side does is one conditional statement, and of two at once one wins."""

import asyncio
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployment import ACT, DemoDeployment
from multipartner.domain.graph import Role, SolutionNode
from multipartner.domain.lifecycle import Move, Step, moved
from multipartner.domain.model import AppId, SolutionId, SolutionStatus
from multipartner.domain.reasons import Reason
from multipartner.operating import Operator, open_operator
from multipartner.partnering.acting import ChangeRefused
from multipartner.partnering.lives import suspend_app
from multipartner.partnering.solutions import MOST_INVITATIONS, Proposal, create_solution, is_name, move_solution, solution
from serving import OWNER_APP, PARTNER_APP, STRANGER_APP

pytestmark = pytest.mark.both_engines

OWNER, PARTNER, NOBODY = AppId(OWNER_APP), AppId(PARTNER_APP), AppId("999999999999999")
PROPOSAL = Proposal(PARTNER, "Orders and replies", owner_messaging=True, partner_messaging=False)
SIDES = {Role.OWNER: OWNER, Role.PARTNER: PARTNER}


async def asked(operator: Operator, solution_id: SolutionId, app_id: AppId, move: Move) -> "SolutionNode | Reason":
    """Make a move; returns the solution, or why it was refused."""
    try:
        return await move_solution(operator.store, ACT, app_id, solution_id, move)
    except ChangeRefused as error:
        return error.refusal.reason if error.refusal else Reason.UNEXPECTED


class Hands:
    """An open deployment, and what two companies do in it."""

    def __init__(self, deployment: DemoDeployment) -> None:
        self._runner = asyncio.Runner()
        self._opened = open_operator(deployment.settings())
        self.operator: Operator = self.run(self._opened.__aenter__())

    def run(self, work: Any) -> Any:
        return self._runner.run(work)

    def create(self, proposal: Proposal = PROPOSAL, owner: AppId = OWNER) -> SolutionNode:
        made: SolutionNode = self.run(create_solution(self.operator.store, ACT, owner, proposal))
        return made

    def move(self, solution_id: SolutionId, app_id: AppId, move: Move) -> "SolutionNode | Reason":
        moved_to: SolutionNode | Reason = self.run(asked(self.operator, solution_id, app_id, move))
        return moved_to

    def at(self, status: SolutionStatus) -> SolutionId:
        """A new solution that was led to a status by the shortest way."""
        made = self.create().id
        for app_id, move in _WAYS[status]:
            assert isinstance(self.move(made, app_id, move), SolutionNode)
        return made

    def status(self, solution_id: SolutionId) -> SolutionStatus:
        node: SolutionNode = self.run(solution(self.operator.store, OWNER, solution_id))
        return node.status

    def close(self) -> None:
        self.run(self._opened.__aexit__(None, None, None))
        self._runner.close()


_ACCEPTED = (PARTNER, Move.ACCEPT)
_ASKED = (OWNER, Move.REQUEST_DEACTIVATION)
_WAYS: dict[SolutionStatus, tuple[tuple[AppId, Move], ...]] = {
    SolutionStatus.INITIATED: (),
    SolutionStatus.ACTIVE: (_ACCEPTED,),
    SolutionStatus.REJECTED: ((PARTNER, Move.REJECT),),
    SolutionStatus.PENDING_DEACTIVATION: (_ACCEPTED, _ASKED),
    SolutionStatus.DEACTIVATED: (_ACCEPTED, _ASKED, (PARTNER, Move.ACCEPT_DEACTIVATION)),
}


@pytest.fixture
def hands(demo: DemoDeployment) -> Iterator[Hands]:
    made = Hands(demo)
    yield made
    made.close()


def test_the_store_moves_as_the_machine_does(hands: Hands) -> None:
    """Attack 45: every move by either side or a stranger, in every status, does what the machine says and nothing else."""
    for status, (role, app_id), move in product(_WAYS, [*SIDES.items(), (None, AppId(STRANGER_APP))], Move):
        made = hands.at(status)
        told = hands.move(made, app_id, move)
        step = moved(status, role, move)
        assert hands.status(made) is (step.to if isinstance(step, Step) else status)
        assert (told.status if isinstance(told, SolutionNode) else told) is (step.to if isinstance(step, Step) else step.reason)


@pytest.mark.parametrize(
    ("status", "one", "other", "ends"),
    [
        (SolutionStatus.INITIATED, (PARTNER, Move.ACCEPT), (OWNER, Move.REJECT), {"ACTIVE", "REJECTED"}),
        (SolutionStatus.INITIATED, (PARTNER, Move.ACCEPT), (PARTNER, Move.REJECT), {"ACTIVE", "REJECTED"}),
        (
            SolutionStatus.PENDING_DEACTIVATION,
            (PARTNER, Move.ACCEPT_DEACTIVATION),
            (OWNER, Move.REJECT_DEACTIVATION),
            {"DEACTIVATED", "ACTIVE"},
        ),
        (
            SolutionStatus.PENDING_DEACTIVATION,
            (PARTNER, Move.ACCEPT_DEACTIVATION),
            (PARTNER, Move.ACCEPT_DEACTIVATION),
            {"DEACTIVATED"},
        ),
    ],
    ids=["accept-or-take-back", "accept-or-decline", "agree-or-take-back", "agree-twice"],
)
def test_of_two_racing_moves_exactly_one_wins(
    hands: Hands, demo: DemoDeployment, status: SolutionStatus, one: tuple[AppId, Move], other: tuple[AppId, Move], ends: set[str]
) -> None:
    """Attack 45: of two moves at once, over two connections, one is made and the other is told that it came too late."""

    async def both(solution_id: SolutionId) -> list["SolutionNode | Reason"]:
        async with open_operator(demo.settings()) as elsewhere:
            here = asked(elsewhere, solution_id, *one)
            there = asked(hands.operator, solution_id, *other)
            return list(await asyncio.gather(here, there))

    for _ in range(5):
        made = hands.at(status)
        told = hands.run(both(made))
        won = [answer for answer in told if isinstance(answer, SolutionNode)]
        assert len(won) == 1
        assert [answer for answer in told if isinstance(answer, Reason)] == [Reason.STATUS_FORBIDS]
        assert hands.status(made) is won[0].status
        assert won[0].status.value in ends


def test_a_proposal_decides_name_partner_and_messaging_alone(hands: Hands) -> None:
    """Attacks 39, 40: a new solution waits for its partner, is its maker's and has an id of 15 to 17 digits that nobody chose."""
    made = hands.create()

    assert (made.status, made.owner_app.id, made.partner_app.id) == (SolutionStatus.INITIATED, OWNER, PARTNER)
    assert (made.name, made.owner_messaging, made.partner_messaging) == ("Orders and replies", True, False)
    assert made.id.isdigit()
    assert 15 <= len(made.id) <= 17


@pytest.mark.parametrize(
    ("proposal", "reason"),
    [
        (Proposal(NOBODY, "Orders", True, False), Reason.PARTNER_APP_INVALID),
        (Proposal(OWNER, "Orders", True, False), Reason.PARTNER_APP_INVALID),
        (Proposal(PARTNER, "Orders", False, False), Reason.MESSAGING_INVALID),
        (Proposal(PARTNER, "Orders", True, True), Reason.MESSAGING_INVALID),
        (Proposal(PARTNER, "x", True, False), Reason.INVALID_PARAMETER),
        (Proposal(PARTNER, "x" * 76, True, False), Reason.INVALID_PARAMETER),
        (Proposal(PARTNER, "nul \0", True, False), Reason.INVALID_PARAMETER),
    ],
    ids=["unknown", "itself", "no-side", "both-sides", "short", "long", "nul"],
)
def test_a_bad_proposal_makes_nothing(hands: Hands, proposal: Proposal, reason: Reason) -> None:
    """A proposal with a wrong partner, name or division of messaging is refused with its reason."""
    with pytest.raises(ChangeRefused) as caught:
        hands.create(proposal)

    assert caught.value.refusal is not None
    assert caught.value.refusal.reason is reason


def test_a_suspended_app_makes_no_move(hands: Hands) -> None:
    """Attack 41: a suspended app neither invites, nor is invited, nor accepts."""
    made = hands.create()
    hands.run(suspend_app(hands.operator.store, ACT, PARTNER))

    assert hands.move(made.id, PARTNER, Move.ACCEPT) is Reason.APP_SUSPENDED
    assert hands.status(made.id) is SolutionStatus.INITIATED
    for proposal, owner, reason in [
        (PROPOSAL, OWNER, Reason.PARTNER_APP_INVALID),
        (Proposal(OWNER, "Orders", owner_messaging=True, partner_messaging=False), PARTNER, Reason.APP_SUSPENDED),
    ]:
        with pytest.raises(ChangeRefused) as caught:
            hands.create(proposal, owner)
        assert caught.value.refusal is not None
        assert caught.value.refusal.reason is reason


def test_invitations_that_wait_have_an_end(hands: Hands) -> None:
    """Attack 53: an app with 100 unanswered invitations makes no more until one is answered or taken back."""
    made = [hands.create().id for _ in range(MOST_INVITATIONS)]
    with pytest.raises(ChangeRefused) as caught:
        hands.create()
    assert caught.value.refusal is not None
    assert caught.value.refusal.reason is Reason.TOO_MANY_INVITATIONS

    hands.move(made[0], OWNER, Move.REJECT)
    assert hands.create().status is SolutionStatus.INITIATED


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=0, max_size=80))
def test_names_are_what_people_can_read(name: str) -> None:
    """Attack 10: a name has 2 to 75 code points, none of them a control, format or surrogate character."""
    readable = all(char.isprintable() or char == " " for char in name)

    if is_name(name):
        assert 2 <= len(name) <= 75
        assert "\0" not in name
        assert "\n" not in name
        name.encode()
    elif 2 <= len(name) <= 75 and readable:
        assert name != name.strip()
