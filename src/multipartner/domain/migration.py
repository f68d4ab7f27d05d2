"""The life of a migration intent: a WABA moves from one solution to another when its owner consents. Pure.

Contract and guides agree on the four statuses of the node and say little of how one leads to another; docs/decisions/0022 says
what was chosen: nothing moves before the customer's consent, and everything moves with it.
"""

import enum
from types import MappingProxyType
from typing import Final, NewType

import msgspec

from multipartner.domain.events import EventKind
from multipartner.domain.graph import AppNode
from multipartner.domain.model import AppId, BusinessId, SolutionId, WabaId
from multipartner.domain.reasons import Reason, Refusal

IntentId = NewType("IntentId", str)


class IntentStatus(enum.Enum):
    """Where an intent stands (contract: WhatsAppBusinessAccountMigrationStatus)."""

    INITIATED = "INITIATED"
    ACCEPTED = "ACCEPTED"
    COMPLETED = "COMPLETED"
    REJECTED = "REJECTED"


class Mover(enum.Enum):
    """Whose a move is."""

    APP = "app"
    """The app that set the intent; no other one knows of it before the customer consents."""
    CUSTOMER = "customer"
    """The business that owns the WABA."""


class IntentMove(enum.Enum):
    """What can be done with an intent; the value is its name on the command line, and in the diagram."""

    SCHEDULE = "schedule"
    CANCEL = "cancel"
    ACCEPT = "accept"
    DECLINE = "decline"
    CONFIRM = "confirm"


class IntentStep(msgspec.Struct, frozen=True):
    """Where a move leads. With `moves` the WABA leaves the one share and enters the other in the same transaction."""

    move: IntentMove
    status: IntentStatus
    by: Mover
    to: IntentStatus
    event: EventKind
    moves: bool = False


_S, _E = IntentStatus, EventKind

INTENT_STEPS: Final = (
    IntentStep(IntentMove.SCHEDULE, _S.INITIATED, Mover.APP, _S.INITIATED, _E.MIGRATION_SCHEDULED),
    IntentStep(IntentMove.CANCEL, _S.INITIATED, Mover.APP, _S.REJECTED, _E.MIGRATION_CANCELLED),
    IntentStep(IntentMove.ACCEPT, _S.INITIATED, Mover.CUSTOMER, _S.ACCEPTED, _E.MIGRATION_ACCEPTED, moves=True),
    IntentStep(IntentMove.DECLINE, _S.INITIATED, Mover.CUSTOMER, _S.REJECTED, _E.MIGRATION_DECLINED),
    # The app has seen the consent and is done on its side; what the customer shares is decided by the customer alone.
    IntentStep(IntentMove.CONFIRM, _S.ACCEPTED, Mover.APP, _S.COMPLETED, _E.MIGRATION_CONFIRMED),
)
"""All there is: a move that is not listed is refused."""


def intent_moved(status: IntentStatus, mover: Mover, move: IntentMove) -> IntentStep | Refusal:
    """Say where a move leads; whose it is comes before whether it is possible now."""
    steps = [step for step in INTENT_STEPS if step.move is move and step.by is mover]
    if not steps:
        return Refusal(Reason.NOT_THIS_SIDES, fact=f"{move.value} is not the {mover.value}'s")
    for step in steps:
        if step.status is status:
            return step
    return Refusal(Reason.MIGRATION_FORBIDS, fact=f"status is {status.value}")


class Intent(msgspec.Struct, frozen=True):
    """A migration intent: `app_id` asks the business to move its WABA. Times are Unix seconds."""

    id: IntentId
    waba_id: WabaId
    business_id: BusinessId
    app_id: AppId
    source_solution_id: SolutionId
    target_solution_id: SolutionId
    status: IntentStatus
    set_at_s: int
    not_before_s: int | None = None
    """Before it the customer cannot accept: the app is not ready yet."""


class IntentNode(msgspec.Struct, frozen=True):
    """An intent as one app may read it, with the solution that the WABA moves to."""

    intent: Intent
    target_name: str
    owner_app: AppNode
    partner_app: AppNode

    def is_visible_to(self, app_id: AppId) -> bool:
        """The app that set it reads it; the other side of the solution once the customer has let it know."""
        if app_id == self.intent.app_id:
            return True
        return self.intent.status in _CONSENTED and app_id in (self.owner_app.id, self.partner_app.id)


_CONSENTED: Final = frozenset({_S.ACCEPTED, _S.COMPLETED})

ANSWERED: Final = MappingProxyType(
    {_S.INITIATED: "PENDING", _S.ACCEPTED: "APPROVED", _S.COMPLETED: "APPROVED", _S.REJECTED: "REJECTED"}
)
"""The words of the answer to setting one (contract: SetSolutionMigrationIntentResponse); SCHEDULED is PENDING with a time."""


def intent_diagram() -> str:
    """Draw the machine as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", "    [*] --> INITIATED: set (app)"]
    lines += [f"    {step.status.value} --> {step.to.value}: {step.move.value} ({step.by.value})" for step in INTENT_STEPS]
    lines += [f"    {status.value} --> [*]" for status in (_S.REJECTED, _S.COMPLETED)]
    return "\n".join(lines)
