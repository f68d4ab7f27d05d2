"""The operations of migration intents (contract: Solution Migration, Migration Intent).

The guides name the solution that a WABA moves to, and nothing else; the contract names the one that it leaves as
`solution_id`, and the other as `target_solution_id` (facts: graph-wire 5.4). Without a target `solution_id` is understood as it.
"""

from typing import Final

from multipartner.domain.graph import ViewerKind
from multipartner.domain.migration import IntentId, IntentMove
from multipartner.domain.model import SolutionId, WabaId
from multipartner.domain.reasons import Reason, Refusal
from multipartner.domain.visibility import reads_intent
from multipartner.partnering import migrations
from multipartner.web.graph_operations import Operation, Operations, Work
from multipartner.wire import migrations as wire
from multipartner.wire.graph_ask import Parameters

_SET: Final = frozenset({"solution_id", "migration_intent", "target_solution_id", "migration_reason", "scheduled_migration_time"})
_MOVES: Final = {wire.CANCEL: IntentMove.CANCEL, wire.CONFIRM: IntentMove.CONFIRM}
_TEXT: Final = 500


class MigrationLife:
    """Runs them over a store."""

    def __init__(self, store: migrations.ChangeStore) -> None:
        self._store = store

    def operations(self) -> Operations:
        """By edge and method. An intent itself is read by `read`, behind the one operation that reads nodes."""
        return {"set_solution_migration_intent": {"POST": Operation("setSolutionMigrationIntent", _SET, self.set)}}

    async def set(self, work: Work) -> bytes | Refusal:
        """`POST /{WABA-ID}/set_solution_migration_intent`."""
        given = work.parameters
        solution_id = SolutionId(given.needed_id("solution_id"))
        word = given.choice("migration_intent", wire.WORDS) or wire.INITIATE
        target = given.id("target_solution_id")
        reason = given.text("migration_reason", _TEXT) or ""
        not_before_s = _time_in(given)
        if isinstance(not_before_s, Refusal):
            return not_before_s
        if word == wire.SCHEDULE and not_before_s is None:
            return Refusal(Reason.MISSING_PARAMETER, parameter="scheduled_migration_time")
        if work.viewer.kind is not ViewerKind.CALLER:
            return Refusal(Reason.CREDENTIAL_NOT_ENOUGH, work.viewer.kind.value)
        app_id, waba_id = work.viewer.app_id, WabaId(work.presented.node_id)
        if word in _MOVES:
            ids = frozenset({solution_id} if target is None else {solution_id, SolutionId(target)})
            named = migrations.Named(waba_id, ids, reason)
            intent = await migrations.move_intent(self._store, work.act, app_id, named, _MOVES[word])
        else:
            to, out_of = (solution_id, None) if target is None else (SolutionId(target), solution_id)
            wish = migrations.Wish(waba_id, to, out_of, not_before_s, reason)
            intent = await migrations.set_intent(self._store, work.act, app_id, wish)
        return wire.intent_set(intent, work.presented.now.wall_s)

    async def read(self, work: Work) -> bytes | Refusal | None:
        """`GET /{Migration-Intent-ID}`; None when there is no such intent, or this viewer sees none."""
        node = await migrations.intent_node(self._store, work.viewer.app_id, IntentId(work.presented.node_id))
        if node is None or not reads_intent(work.viewer, node):
            return None
        names = wire.intent_fields(work.parameters.text("fields"))
        return names if isinstance(names, Refusal) else wire.intent(node, names)


def _time_in(given: Parameters) -> int | Refusal | None:
    text = given.text("scheduled_migration_time")
    if text is None:
        return None
    at_s = wire.unix_s(text)
    return Refusal(Reason.INVALID_PARAMETER, parameter="scheduled_migration_time") if at_s is None else at_s
