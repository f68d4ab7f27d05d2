"""Solutions that two companies make and end themselves: the port `change_ports.SolutionChanges` over one connection."""

from typing import Final

import sqlalchemy as sa

from multipartner.domain.graph import Role, SolutionNode
from multipartner.domain.lifecycle import Step
from multipartner.domain.model import AppId, SolutionId, SolutionStatus
from multipartner.storage import tables as t
from multipartner.storage.change_ports import Mark
from multipartner.storage.graph_queries import SOLUTION_NODE
from multipartner.storage.graph_rows import solution_node
from multipartner.storage.world_rows import WorldRows, mark_columns

_WITH_IDS: Final = (t.business, t.app, t.system_user, t.waba, t.phone_number, t.solution, t.migration_intent)


class SolutionRows(WorldRows):
    """See the port."""

    async def solution_node(self, solution_id: SolutionId) -> SolutionNode | None:
        """See the port."""
        row = (await self._connection.execute(SOLUTION_NODE.statement, {"node_id": solution_id})).first()
        return solution_node(row) if row is not None else None

    async def app_active(self, app_id: AppId) -> bool | None:
        """See the port."""
        status = await self._connection.scalar(sa.select(t.app.c.status).where(t.app.c.id == app_id))
        return None if status is None else status == "ACTIVE"

    async def invitations(self, owner_app_id: AppId) -> int:
        """See the port."""
        waiting = sa.and_(t.solution.c.owner_app_id == owner_app_id, t.solution.c.status == SolutionStatus.INITIATED.value)
        return int(await self._connection.scalar(sa.select(sa.func.count()).select_from(t.solution).where(waiting)) or 0)

    async def is_free(self, some_id: str) -> bool:
        """See the port."""
        taken = sa.or_(*(sa.exists().where(table.c.id == some_id) for table in _WITH_IDS))
        return not await self._connection.scalar(sa.select(taken))

    async def take_step(self, solution_id: SolutionId, app_id: AppId, step: Step, mark: Mark) -> bool:
        """See the port."""
        c = t.solution.c
        columns = {Role.OWNER: c.owner_app_id, Role.PARTNER: c.partner_app_id}
        side = sa.or_(*(columns[role] == app_id for role in step.by))
        active = sa.exists().where(t.app.c.id == app_id, t.app.c.status == "ACTIVE")
        written = {"status": step.to.value} | (mark_columns(mark) if step.marks else {})
        taken = await self._connection.execute(
            sa.update(t.solution).where(c.id == solution_id, c.status == step.status.value, side, active).values(written)
        )
        return bool(taken.rowcount)
