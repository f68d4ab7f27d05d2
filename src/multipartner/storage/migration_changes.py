"""Migration intents as rows: the port `migration_ports.MigrationChanges` over one connection."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from multipartner.domain.graph import AppNode
from multipartner.domain.migration import Intent, IntentId, IntentNode, IntentStatus, IntentStep
from multipartner.domain.model import USABLE_SOLUTION, AppId, BusinessId, SolutionId, WabaId
from multipartner.storage import tables as t
from multipartner.storage.solution_changes import SolutionRows

_c = t.migration_intent.c
_INTENT: Final = tuple(_c[field] for field in Intent.__struct_fields__)
_owner, _partner = t.app.alias("owner"), t.app.alias("partner")
_USABLE: Final = t.solution.c.status.in_(sorted(status.value for status in USABLE_SOLUTION))

_NODE: Final = (
    sa.select(
        *_INTENT,
        t.solution.c.name.label("target_name"),
        _owner.c.id.label("owner_id"),
        _owner.c.name.label("owner_name"),
        _partner.c.id.label("partner_id"),
        _partner.c.name.label("partner_name"),
    )
    .join(t.solution, t.solution.c.id == _c.target_solution_id)
    .join(_owner, _owner.c.id == t.solution.c.owner_app_id)
    .join(_partner, _partner.c.id == t.solution.c.partner_app_id)
)

# By the owner's key first: what is shared lies in its order.
_REACHED: Final = (
    sa.select(t.share.c.business_id, t.share.c.solution_id)
    .select_from(t.waba)
    .join(t.share_waba, sa.and_(t.share_waba.c.business_id == t.waba.c.business_id, t.share_waba.c.waba_id == t.waba.c.id))
    .join(
        t.share,
        sa.and_(t.share.c.business_id == t.share_waba.c.business_id, t.share.c.solution_id == t.share_waba.c.solution_id),
    )
    .join(t.solution, t.solution.c.id == t.share.c.solution_id)
    .join(
        t.app_grant,
        sa.and_(t.app_grant.c.business_id == t.share.c.business_id, t.app_grant.c.solution_id == t.share.c.solution_id),
    )
    .join(
        t.connection,
        sa.and_(t.connection.c.app_id == t.app_grant.c.app_id, t.connection.c.business_id == t.share.c.business_id),
    )
    .where(t.share.c.status == "ACTIVE", t.app_grant.c.status == "ACTIVE", _USABLE)
    .order_by(t.share.c.solution_id)
)


class IntentRows(SolutionRows):
    """See the port."""

    async def reached(self, waba_id: WabaId, app_id: AppId) -> tuple[BusinessId, Sequence[SolutionId]] | None:
        """See the port."""
        asked = _REACHED.where(t.waba.c.id == waba_id, t.app_grant.c.app_id == app_id)
        rows = (await self._connection.execute(asked)).all()
        return (BusinessId(rows[0].business_id), [SolutionId(row.solution_id) for row in rows]) if rows else None

    async def intent_node(self, intent_id: IntentId) -> IntentNode | None:
        """See the port."""
        row = (await self._connection.execute(_NODE.where(_c.id == intent_id))).first()
        if row is None:
            return None
        owner, partner = AppNode(AppId(row.owner_id), row.owner_name), AppNode(AppId(row.partner_id), row.partner_name)
        return IntentNode(_intent(row), row.target_name, owner, partner)

    async def intents_of(self, waba_id: WabaId, app_id: AppId) -> Sequence[Intent]:
        """See the port."""
        of_both = sa.select(*_INTENT).where(_c.waba_id == waba_id, _c.app_id == app_id)
        # An open one is the newest, whatever the clock said.
        newest = of_both.order_by((_c.status == IntentStatus.INITIATED.value).desc(), _c.set_at_s.desc(), _c.id)
        return [_intent(row) for row in await self._connection.execute(newest)]

    async def add_intent(self, intent: Intent) -> bool:
        """See the port."""
        row = msgspec.structs.asdict(intent) | {"status": intent.status.value, "changed_at_s": intent.set_at_s}
        added = await self._connection.execute(self._insert(t.migration_intent).values(row).on_conflict_do_nothing())
        return bool(added.rowcount)

    async def take_intent_step(self, intent: Intent, step: IntentStep, now_s: int, *, not_before_s: int | None = None) -> bool:
        """See the port."""
        written: dict[str, Any] = {"status": step.to.value, "changed_at_s": now_s}
        stands = [_c.id == intent.id, _c.status == step.status.value]
        if not_before_s is not None:
            written["not_before_s"] = not_before_s
        if step.moves:
            stands.append(sa.or_(_c.not_before_s.is_(None), _c.not_before_s <= now_s))
            stands.append(sa.exists().where(t.solution.c.id == _c.target_solution_id, _USABLE))
        taken = await self._connection.execute(sa.update(t.migration_intent).where(*stands).values(written))
        return bool(taken.rowcount)

    async def forget_intents(self, intents: Sequence[Intent]) -> None:
        """See the port."""
        if intents:
            ids = [intent.id for intent in intents]
            await self._connection.execute(sa.delete(t.migration_intent).where(_c.id.in_(ids)))


def _intent(row: Any) -> Intent:  # noqa: ANN401 - a row of either select
    fields = {field: getattr(row, field) for field in Intent.__struct_fields__}
    return Intent(**(fields | {"status": IntentStatus(row.status)}))
