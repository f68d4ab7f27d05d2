"""The life of a solution: which move leads where, whose it is, and how the contract spells where it stands. Pure.

Contract and guides agree on the states and differ on who rejects; docs/decisions/0021 says what was chosen. `DRAFT` comes from
world files alone and has no move.
"""

import enum
from types import MappingProxyType
from typing import Final

import msgspec

from multipartner.domain.events import EventKind
from multipartner.domain.graph import Role
from multipartner.domain.model import SolutionStatus
from multipartner.domain.reasons import Reason, Refusal


class Move(enum.Enum):
    """What one side of a solution can do; the value is the path's last part."""

    ACCEPT = "accept"
    REJECT = "reject"
    REQUEST_DEACTIVATION = "send_deactivation_request"
    ACCEPT_DEACTIVATION = "accept_deactivation_request"
    REJECT_DEACTIVATION = "reject_deactivation_request"


class Step(msgspec.Struct, frozen=True):
    """Where a move leads. With `marks` the solution gets a new generation: what was issued before it is dead."""

    move: Move
    status: SolutionStatus
    by: frozenset[Role]
    to: SolutionStatus
    event: EventKind
    marks: bool


_OWNER, _PARTNER, _EITHER = frozenset({Role.OWNER}), frozenset({Role.PARTNER}), frozenset(Role)
_S, _E = SolutionStatus, EventKind

STEPS: Final = (
    # Marked, so that no token claims to have been issued before the partner agreed.
    Step(Move.ACCEPT, _S.INITIATED, _PARTNER, _S.ACTIVE, _E.SOLUTION_ACCEPTED, marks=True),
    # The owner's: it takes the invitation back.
    Step(Move.REJECT, _S.INITIATED, _EITHER, _S.REJECTED, _E.SOLUTION_REJECTED, marks=True),
    # Nobody has agreed to anything yet, so nobody is asked. A pending deactivation can be used; this must not become one.
    Step(Move.REQUEST_DEACTIVATION, _S.INITIATED, _OWNER, _S.DEACTIVATED, _E.SOLUTION_DEACTIVATED, marks=True),
    Step(Move.REQUEST_DEACTIVATION, _S.ACTIVE, _OWNER, _S.PENDING_DEACTIVATION, _E.SOLUTION_DEACTIVATION_REQUESTED, marks=False),
    Step(Move.ACCEPT_DEACTIVATION, _S.PENDING_DEACTIVATION, _PARTNER, _S.DEACTIVATED, _E.SOLUTION_DEACTIVATED, marks=True),
    # The owner's: it takes its request back.
    Step(Move.REJECT_DEACTIVATION, _S.PENDING_DEACTIVATION, _EITHER, _S.ACTIVE, _E.SOLUTION_DEACTIVATION_REJECTED, marks=False),
)
"""All there is: a move that is not listed is refused."""


def moved(status: SolutionStatus, role: Role | None, move: Move) -> Step | Refusal:
    """Say where a move leads. `role` is None for an app that is no party.

    Whose the move is comes before whether it is possible now: one who may never make it learns nothing from the answer.
    """
    if role is None:
        return Refusal(Reason.APP_NOT_PARTY)
    steps = [step for step in STEPS if step.move is move and role in step.by]
    if not steps:
        return Refusal(Reason.NOT_THIS_SIDES, fact=f"{move.value} is not the {role.value.lower()}'s")
    for step in steps:
        if step.status is status:
            return step
    return Refusal(Reason.STATUS_FORBIDS, fact=f"status is {status.value}")


class Told(msgspec.Struct, frozen=True):
    """A status in the contract's three words: of the solution, of what is pending, of the partner."""

    status: str
    pending: str
    partner: str


TOLD: Final = MappingProxyType(
    {
        _S.DRAFT: Told("DRAFT", "NONE", "DRAFT"),
        _S.INITIATED: Told("INITIATED", "PENDING_ACTIVATION", "NOTIFICATION_SENT"),
        _S.ACTIVE: Told("ACTIVE", "NONE", "ACCEPTED"),
        _S.PENDING_DEACTIVATION: Told("ACTIVE", "PENDING_DEACTIVATION", "ACCEPTED"),
        _S.REJECTED: Told("REJECTED", "NONE", "REJECTED"),
        _S.DEACTIVATED: Told("DEACTIVATED", "NONE", "DEACTIVATED"),
    }
)
"""Contract: WhatsAppBusinessSolutionStatus, ...PendingStatus, ...PartnerStatus."""

_ALWAYS: Final = (
    "DEVELOP",
    "MANAGE_TEMPLATES",
    "MANAGE_PHONE",
    "VIEW_COST",
    "MANAGE_EXTENSIONS",
    "VIEW_PHONE_ASSETS",
    "MANAGE_PHONE_ASSETS",
    "VIEW_TEMPLATES",
    "VIEW_INSIGHTS",
)


def tasks_of(*, messaging: bool) -> tuple[str, ...]:
    """What a side may do, in the contract's permission tasks; MANAGE goes with MESSAGING (facts: graph-wire 5.2, B)."""
    return ("MANAGE", *_ALWAYS, "MESSAGING") if messaging else _ALWAYS


def diagram() -> str:
    """Draw the machine as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", "    [*] --> INITIATED: create (owner)"]
    for step in STEPS:
        sides = " or ".join(role.value.lower() for role in Role if role in step.by)
        lines.append(f"    {step.status.value} --> {step.to.value}: {step.move.value} ({sides})")
    lines += [f"    {status.value} --> [*]" for status in (_S.REJECTED, _S.DEACTIVATED)]
    return "\n".join(lines)
