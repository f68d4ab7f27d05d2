"""The feed's triggers, run on both engines by plain SQL."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from multipartner.storage import triggers
from multipartner.storage.ports import Change, ChangeKind
from storage.engines import on_reader

if TYPE_CHECKING:
    from storage.engines import Engine, OnPostgres


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["UPDATE deployment SET generation = 'x'"], [("deployment", "", "")]),
        (["UPDATE app SET connected_businesses = 9"], []),
        (["UPDATE app SET name = 'x'"], []),
        (["UPDATE app SET status = 'SUSPENDED' WHERE id = '301'"], [("app", "301", "")]),
        (["UPDATE app SET calls_per_hour = 3 WHERE id = '301'"], [("app", "301", "")]),
        (["UPDATE app SET calls_per_hour = NULL WHERE id = '301'"], []),
        (["UPDATE credential SET permissions = ''"], [("credential", "601", "")]),
        (["UPDATE credential SET id = '602'"], [("credential", "602", ""), ("credential", "601", "")]),
        (["DELETE FROM credential"], [("credential", "601", "")]),
        (["UPDATE solution SET status = 'DRAFT'"], [("solution", "401", "")]),
        (["INSERT INTO connection VALUES ('302', '201', 1)"], [("connection", "302", "201")]),
        (["UPDATE connection SET app_id = '302'"], [("connection", "302", "201"), ("connection", "301", "201")]),
        (["DELETE FROM connection"], [("connection", "301", "201")]),
        (["INSERT INTO share_waba VALUES ('201', '401', '502')"], [("share", "401", "201")]),
        (["DELETE FROM share_waba"], [("share", "401", "201")]),
        (["UPDATE app_grant SET status = 'REVOKED'"], [("share", "401", "201")]),
        (["INSERT INTO signing_key VALUES ('s', h'', h'', 1, 1, NULL)"], [("signing_key", "s", "")]),
        (["INSERT INTO resource_server VALUES ('801', '', h'', 'k1', 1, NULL)"], [("resource_server", "801", "")]),
        (["UPDATE waba SET name = 'x'", "UPDATE business SET name = 'x'", "UPDATE \"system_user\" SET name = 'x'"], []),
        (["DELETE FROM share"], [("share", "401", "201")] * 3),
    ],
)
def test_whoever_writes_feeds_the_caches(engine: "Engine", statements: list[str], expected: list[tuple[str, str, str]]) -> None:
    """Plain SQL on a fact that decides something leaves its kind and keys in the feed; on one that does not, nothing."""

    async def scenario() -> list[tuple[Any, ...]]:
        ((last,),) = await engine.fetch("SELECT max(revision) FROM change")
        await engine.write(*statements)
        return await engine.fetch(f"SELECT kind, key1, key2 FROM change WHERE revision > {last} ORDER BY revision")  # noqa: S608 - our number

    assert sorted(asyncio.run(scenario())) == sorted(expected)


@pytest.mark.parametrize("verb", ["insert", "update", "delete"])
@pytest.mark.parametrize("fed", triggers.FED, ids=lambda fed: fed.table)
def test_no_verb_on_any_fed_table_is_overlooked(engine: "Engine", fed: triggers.Fed, verb: str) -> None:
    """Each insert, update and delete of each table with facts is in the feed, under the table's kind."""
    column = (
        fed.columns[1] if fed.columns else "generation" if fed.table in {"deployment", "solution", "share", "app_grant"} else ""
    )

    async def scenario() -> list[tuple[Any, ...]]:
        await engine.write(
            "INSERT INTO signing_key VALUES ('s', h'', h'', 1, 1, NULL)",
            "INSERT INTO resource_server VALUES ('801', '', h'', 'k1', 1, NULL)",
            f"CREATE TABLE kept AS SELECT * FROM {fed.table}",  # noqa: S608 - our own table
        )
        if verb == "insert":
            await engine.write(f"DELETE FROM {fed.table}", unchecked=True)  # noqa: S608 - our own table
        ((last,),) = await engine.fetch("SELECT max(revision) FROM change")
        if verb == "insert":
            await engine.write(f"INSERT INTO {fed.table} SELECT * FROM kept")  # noqa: S608 - our own table
        elif verb == "update":
            changed = {"": fed.keys[0] if fed.keys else "id", "status": "status"}.get(column, column)
            new = "CASE status WHEN 'ACTIVE' THEN 'SUSPENDED' ELSE 'ACTIVE' END" if changed == "status" else changed
            new = "'x'" if changed == "generation" else new
            await engine.write(f"UPDATE {fed.table} SET {changed} = {new}")  # noqa: S608 - our own table
        else:
            await _delete(engine, fed.table)
        return await engine.fetch(f"SELECT kind FROM change WHERE revision > {last}")  # noqa: S608 - our number

    assert (fed.kind,) in asyncio.run(scenario())


async def _delete(engine: "Engine", table: str) -> None:
    first = {"app": ("app_grant", "share_waba", "share", "solution", "connection", "credential"), "solution": ("share",)}
    await engine.write(*(f"DELETE FROM {each}" for each in (*first.get(table, ()), table)))  # noqa: S608 - our own tables


def test_connected_businesses_is_kept(engine: "Engine") -> None:
    """An app's count of connected businesses follows its connections, whoever makes, moves or drops them."""

    async def scenario() -> list[list[int]]:
        counts = []
        for statement in (
            "INSERT INTO connection VALUES ('301', '202', 1)",
            "UPDATE connection SET app_id = '302' WHERE business_id = '202'",
            "DELETE FROM connection",
        ):
            await engine.write(statement)
            counts.append([row[0] for row in await engine.fetch("SELECT connected_businesses FROM app ORDER BY id")])
        return counts

    assert asyncio.run(scenario()) == [[2, 0], [1, 1], [0, 0]]


def test_an_emptied_table_is_everything(on_postgres: "OnPostgres") -> None:
    """TRUNCATE, which touches no rows, is told too, and counts follow it."""

    async def use(reader: Any) -> None:
        for table in ("connection", "signing_key", "share"):
            await on_postgres.write(f"TRUNCATE {table} CASCADE")
            assert Change(ChangeKind.EVERYTHING) in await on_postgres.soon(reader)
        assert await on_postgres.fetch("SELECT DISTINCT connected_businesses FROM app") == [(0,)]

    on_reader(on_postgres, use)


def test_a_writer_without_search_path_feeds(on_postgres: "OnPostgres") -> None:
    """A restored dump, which knows no search path, is in the feed like any writer."""

    async def use(reader: Any) -> object:
        connection = await asyncpg.connect(on_postgres.url, server_settings={"search_path": ""})
        await connection.execute("UPDATE public.solution SET name = 'New'")
        await connection.close()
        return await on_postgres.soon(reader)

    assert on_reader(on_postgres, use) == (Change(ChangeKind.SOLUTION, on_postgres.world.solution),)


def _with_two(engine: "OnPostgres", use: Callable[[Any, Any, Any], Coroutine[Any, Any, None]]) -> None:
    async def opened(reader: Any) -> None:
        first, second = [await asyncpg.connect(engine.url) for _ in range(2)]
        try:
            await use(reader, first, second)
        finally:
            first.terminate()
            second.terminate()

    on_reader(engine, opened)


def test_overlapping_foreign_transactions_lose_nothing(on_postgres: "OnPostgres") -> None:
    """Two strangers' transactions that overlap become visible in the feed's order: the one that feeds second waits."""

    async def use(reader: Any, first: Any, second: Any) -> None:
        await first.execute("BEGIN")
        await second.execute("BEGIN")
        await first.execute("UPDATE share SET status = 'WITHDRAWN'")
        later = asyncio.create_task(second.execute("UPDATE solution SET status = 'DEACTIVATED'"))
        while not await on_postgres.fetch("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            assert not later.done()
        assert await on_postgres.soon(reader) == ()
        await first.execute("COMMIT")
        await later
        assert await on_postgres.soon(reader) == (Change(ChangeKind.SHARE, "401", "201"),)
        await second.execute("COMMIT")
        assert await on_postgres.soon(reader) == (Change(ChangeKind.SOLUTION, "401"),)

    _with_two(on_postgres, use)


def test_strangers_do_not_lock_each_other_out(on_postgres: "OnPostgres") -> None:
    """Two strangers that change the same rows in opposite order both end well: the second waits before it holds a row."""

    async def use(reader: Any, first: Any, second: Any) -> None:
        await first.execute("BEGIN")
        await first.execute("UPDATE share SET status = 'WITHDRAWN'")
        both = asyncio.create_task(
            second.execute("BEGIN; UPDATE solution SET name = 'x'; UPDATE share SET permissions = ''; COMMIT")
        )
        while not await on_postgres.fetch("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            assert not both.done()
        await first.execute("UPDATE solution SET status = 'DEACTIVATED'")
        await first.execute("COMMIT")
        await both
        assert len(await on_postgres.soon(reader)) == 4

    _with_two(on_postgres, use)
