"""A declared world as rows: how it is read whole or in part, and written. One set of statements for every database."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from multipartner.domain import world as w
from multipartner.domain.model import AppId, BusinessId, Permission, SolutionStatus
from multipartner.storage import tables as t
from multipartner.storage.change_ports import Mark

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_CHUNK: Final = 500
"""Ids in one statement."""

Record = sa.RowMapping


class WorldRows:
    """The port `WorldChanges` over one connection with a transaction open."""

    def __init__(self, connection: "AsyncConnection") -> None:
        self._connection = connection

    async def world(self, named: w.World | None = None) -> w.World:
        """See the port."""
        businesses = await self._businesses(named)
        apps = [_app(row) for row in await self._rows(t.app, t.app.c.id, None if named is None else [a.id for a in named.apps])]
        users = await self._rows(t.system_user, t.system_user.c.id, None if named is None else [u.id for u in named.system_users])
        solutions = await self._rows(t.solution, t.solution.c.id, None if named is None else [s.id for s in named.solutions])
        shares = await self._shares(named)
        connections = await self._rows(t.connection, t.connection.c.business_id, None if named is None else [])
        return w.normal(
            w.World(
                version=w.VERSION,
                businesses=businesses,
                apps=tuple(apps),
                system_users=tuple(w.SystemUser(r["id"], r["business_id"], r["name"]) for r in users),
                solutions=tuple(_solution(row) for row in solutions),
                connections=tuple(w.Connection(r["business_id"], r["app_id"]) for r in connections),
                shares=shares,
            )
        )

    async def connections_of(self, businesses: Sequence[BusinessId]) -> frozenset[w.Connection]:
        """See the port."""
        rows = await self._rows(t.connection, t.connection.c.business_id, businesses)
        return frozenset(w.Connection(row["business_id"], row["app_id"]) for row in rows)

    async def put_businesses(self, businesses: Sequence[w.Business]) -> None:
        """See the port."""
        await self._put(t.business, [{"id": b.id, "name": b.name} for b in businesses])

    async def put_wabas(self, wabas: Sequence[tuple[BusinessId, w.Waba]]) -> None:
        """See the port."""
        await self._put(t.waba, [{"id": waba.id, "business_id": business, "name": waba.name} for business, waba in wabas])
        numbers = [
            {"id": n.id, "waba_id": waba.id, "business_id": business, "display_phone_number": n.display_phone_number}
            for business, waba in wabas
            for n in waba.phone_numbers
        ]
        await self._put(t.phone_number, numbers)

    async def put_system_users(self, users: Sequence[w.SystemUser]) -> None:
        """See the port."""
        await self._put(t.system_user, [{"id": u.id, "business_id": u.business, "name": u.name} for u in users])

    async def add_app(self, app: w.App, secret_sealed: bytes, mark: Mark) -> None:
        """See the port."""
        row = (
            _app_columns(app) | _mark_columns(mark) | {"id": app.id, "business_id": app.business, "secret_sealed": secret_sealed}
        )
        await self._connection.execute(sa.insert(t.app), row)

    async def change_app(self, app: w.App, mark: Mark | None) -> None:
        """See the port."""
        await self._connection.execute(
            sa.update(t.app).where(t.app.c.id == app.id).values(_app_columns(app) | _mark_columns(mark))
        )

    async def add_solution(self, solution: w.Solution, mark: Mark) -> None:
        """See the port."""
        apps = {"owner_app_id": solution.owner.app, "partner_app_id": solution.partner.app}
        row = _solution_columns(solution) | _mark_columns(mark) | {"id": solution.id} | apps
        await self._connection.execute(sa.insert(t.solution), row)

    async def change_solution(self, solution: w.Solution, mark: Mark | None) -> None:
        """See the port."""
        changed = _solution_columns(solution) | _mark_columns(mark)
        await self._connection.execute(sa.update(t.solution).where(t.solution.c.id == solution.id).values(changed))

    async def connect(self, connections: Sequence[w.Connection], now_s: int) -> None:
        """See the port."""
        rows = [{"app_id": c.app, "business_id": c.business, "connected_at_s": now_s} for c in connections]
        if rows:
            await self._connection.execute(self._insert(t.connection).on_conflict_do_nothing(), rows)

    async def add_share(self, share: w.Share, mark: Mark, grants: Mapping[AppId, Mark]) -> None:
        """See the port."""
        key = {"business_id": share.business, "solution_id": share.solution}
        await self._connection.execute(sa.insert(t.share), key | _share_columns(share) | _mark_columns(mark))
        await self._connection.execute(sa.insert(t.share_waba), [key | {"waba_id": waba} for waba in share.wabas])
        rows = [
            key | {"app_id": app, "status": "REVOKED" if app in share.revoked_apps else "ACTIVE"} | _mark_columns(granted)
            for app, granted in grants.items()
        ]
        await self._connection.execute(sa.insert(t.app_grant), rows)

    async def change_share(self, share: w.Share, mark: Mark) -> None:
        """See the port."""
        key = {"business_id": share.business, "solution_id": share.solution}
        of_share = (t.share.c.business_id == share.business, t.share.c.solution_id == share.solution)
        await self._connection.execute(sa.update(t.share).where(*of_share).values(_share_columns(share) | _mark_columns(mark)))
        wabas = t.share_waba.c
        mine = (wabas.business_id == share.business, wabas.solution_id == share.solution)
        await self._connection.execute(sa.delete(t.share_waba).where(*mine, wabas.waba_id.not_in(share.wabas)))
        rows = [key | {"waba_id": waba} for waba in share.wabas]
        await self._connection.execute(self._insert(t.share_waba).on_conflict_do_nothing(), rows)

    async def _businesses(self, named: w.World | None) -> tuple[w.Business, ...]:
        named_wabas = [waba for b in named.businesses for waba in b.wabas] if named else []
        wanted: Collection[str] | None = None
        if named is not None:
            wanted = [n.id for waba in named_wabas for n in waba.phone_numbers]
        numbers: dict[str, list[w.PhoneNumber]] = defaultdict(list)
        for row in await self._rows(t.phone_number, t.phone_number.c.id, wanted):
            numbers[row["waba_id"]].append(w.PhoneNumber(row["id"], row["display_phone_number"]))
        if named is not None:
            wanted = {waba.id for waba in named_wabas} | set(numbers)
        wabas: dict[str, list[w.Waba]] = defaultdict(list)
        for row in await self._rows(t.waba, t.waba.c.id, wanted):
            wabas[row["business_id"]].append(w.Waba(row["id"], row["name"], tuple(numbers[row["id"]])))
        if named is not None:
            wanted = {b.id for b in named.businesses} | set(wabas)
        rows = await self._rows(t.business, t.business.c.id, wanted)
        return tuple(w.Business(row["id"], row["name"], tuple(wabas[row["id"]])) for row in rows)

    async def _shares(self, named: w.World | None) -> tuple[w.Share, ...]:
        businesses = None if named is None else {s.business for s in named.shares}
        wanted = None if named is None else {(s.business, s.solution) for s in named.shares}
        wabas: dict[tuple[str, str], list[Any]] = defaultdict(list)
        revoked: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for row in await self._rows(t.share_waba, t.share_waba.c.business_id, businesses):
            wabas[row["business_id"], row["solution_id"]].append(row["waba_id"])
        for row in await self._rows(t.app_grant, t.app_grant.c.business_id, businesses):
            if row["status"] == "REVOKED":
                revoked[row["business_id"], row["solution_id"]].append(row["app_id"])
        shares = []
        for row in await self._rows(t.share, t.share.c.business_id, businesses):
            key = (row["business_id"], row["solution_id"])
            if wanted is None or key in wanted:
                permissions = tuple(Permission(word) for word in row["permissions"].split(" "))
                status = w.ShareStatus[row["status"]]
                shares.append(w.Share(*key, tuple(wabas[key]), permissions, status, tuple(revoked[key])))
        return tuple(shares)

    async def _rows(self, table: sa.Table, column: sa.Column[Any], wanted: Collection[str] | None) -> list[Record]:
        """Rows whose column has one of the wanted values; all rows for None."""
        if wanted is None:
            return list((await self._connection.execute(sa.select(*table.c))).mappings())
        found: list[Record] = []
        values = list(wanted)
        for start in range(0, len(values), _CHUNK):
            chunk = sa.select(*table.c).where(column.in_(values[start : start + _CHUNK]))
            found.extend((await self._connection.execute(chunk)).mappings())
        return found

    async def _put(self, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        if rows:
            statement = self._insert(table)
            given = {name: statement.excluded[name] for name in rows[0] if name != "id"}
            await self._connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=given), rows)

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self._connection.dialect.name == "sqlite" else postgresql.insert(table)


def permissions_text(permissions: Collection[Permission]) -> str:
    """Write permissions as the `permissions` columns have them."""
    return " ".join(sorted(p.value for p in permissions))


def mark_columns(mark: Mark) -> dict[str, Any]:
    """Write a mark as the columns of its row."""
    return {"generation": mark.generation, "changed_at_s": mark.changed_at_s}


def _mark_columns(mark: Mark | None) -> dict[str, Any]:
    return mark_columns(mark) if mark else {}


def _app(row: Record) -> w.App:
    return w.App(
        id=row["id"],
        business=row["business_id"],
        name=row["name"],
        status=w.AppStatus[row["status"]],
        require_appsecret_proof=row["proof_required"],
        calls_per_hour=row["calls_per_hour"],
        calls_per_business_per_hour=row["calls_per_business_per_hour"],
    )


def _app_columns(app: w.App) -> dict[str, Any]:
    return {
        "name": app.name,
        "status": app.status.name,
        "proof_required": app.require_appsecret_proof,
        "calls_per_hour": app.calls_per_hour,
        "calls_per_business_per_hour": app.calls_per_business_per_hour,
    }


def _solution(row: Record) -> w.Solution:
    return w.Solution(
        id=row["id"],
        name=row["name"],
        owner=w.Side(row["owner_app_id"], row["owner_messaging"]),
        partner=w.Side(row["partner_app_id"], row["partner_messaging"]),
        status=SolutionStatus(row["status"]),
    )


def _solution_columns(solution: w.Solution) -> dict[str, Any]:
    return {
        "name": solution.name,
        "status": solution.status.value,
        "owner_messaging": solution.owner.messaging,
        "partner_messaging": solution.partner.messaging,
    }


def _share_columns(share: w.Share) -> dict[str, Any]:
    return {"status": share.status.name, "permissions": permissions_text(share.permissions)}
