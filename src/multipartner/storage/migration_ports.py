"""What migrations ask of a store that changes: intents, and what a WABA's apps reach. Part of `change_ports.Changes`."""

from collections.abc import Sequence
from typing import Protocol

from multipartner.domain.migration import Intent, IntentId, IntentNode, IntentStep
from multipartner.domain.model import AppId, BusinessId, SolutionId, WabaId


class MigrationChanges(Protocol):
    """A WABA on its way from one solution to another."""

    async def reached(self, waba_id: WabaId, app_id: AppId) -> tuple[BusinessId, Sequence[SolutionId]] | None:
        """Whose a WABA is, and through which solutions the app reaches it now (ascending ids); None where it does not."""
        ...

    async def intent_node(self, intent_id: IntentId) -> IntentNode | None:
        """Read an intent with the solution that it leads to; None when there is none."""
        ...

    async def intents_of(self, waba_id: WabaId, app_id: AppId) -> Sequence[Intent]:
        """All intents that an app has set for a WABA: the open one first, then newest first."""
        ...

    async def add_intent(self, intent: Intent) -> bool:
        """Add an open intent, unless the app has one for the WABA: one statement."""
        ...

    async def take_intent_step(self, intent: Intent, step: IntentStep, now_s: int, *, not_before_s: int | None = None) -> bool:
        """Take a step if the intent stands where it leads from; one that moves the WABA, only when it is time and the
        solution it moves to is in use: one statement. `not_before_s` is written if it is given.
        """  # noqa: D205 - one thought
        ...

    async def forget_intents(self, intents: Sequence[Intent]) -> None:
        """Delete intents."""
        ...
