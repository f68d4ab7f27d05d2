"""From one version of the schema to the next, with data, and beside processes of the version before (attack 80)."""

import asyncio
import functools
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from deployment import ACT
from multipartner.domain.consent import Consent
from multipartner.domain.model import MANAGEMENT_ONLY, BusinessId, SolutionId, WabaId
from multipartner.partnering.shares import make_share
from multipartner.storage.backend import Backend
from multipartner.storage.changes import SqlChangeStore
from multipartner.storage.migrate import FACTS, TRAIL, DatabaseVersionError, History, upgrade
from multipartner.storage.postgres import Postgres
from multipartner.storage.postgres_backend import PostgresBackend
from multipartner.storage.sqlite_backend import SqliteBackend
from storage.conftest import World, seed

if TYPE_CHECKING:
    from postgres_server import PostgresServer

OF_0001 = (
    *("app", "app_grant", "business", "change", "connection", "credential", "deployment", "outbox", "phone_number"),
    *("resource_server", "sealed_key", "share", "share_waba", "signing_key", "solution", "system_user", "waba"),
)
"""The tables that the first version made."""


async def executed(statement: sa.TextClause, row: dict[str, Any], connection: AsyncConnection) -> None:
    await connection.execute(statement, row)


def only(history: History, revision: str) -> Callable[[sa.Connection], None]:
    """Run a history's revisions up to one of them, as the program that knew no later one did."""

    def run(connection: sa.Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(history.folder).replace("%", "%%"))
        config.attributes.update(connection=connection, version_table=history.version_table)
        command.upgrade(config, revision)

    return run


class Old:
    """A database of the first version with the small world in it, and our own hands on it after its migration."""

    def __init__(self, world: World, facts_url: str, url: str = "") -> None:
        self.world = world
        self._facts_url = facts_url
        self._url = url

    async def at(self, use: Callable[[AsyncConnection], Any]) -> Any:
        """Run something on a connection that knows nothing of our classes; foreign keys are enforced."""
        engine = create_async_engine(self._facts_url)
        try:
            async with engine.begin() as connection:
                if not self._url:
                    await connection.exec_driver_sql("PRAGMA foreign_keys = 1")
                return await use(connection)
        finally:
            await engine.dispose()

    async def made(self) -> "Old":
        async def make(connection: AsyncConnection) -> None:
            await connection.run_sync(only(FACTS, "0001"))
            if self._url:
                await connection.run_sync(lambda c: upgrade(TRAIL, c))

        await self.at(make)
        await self.at(lambda connection: seed(connection, self.world))
        return self

    @property
    def backend(self) -> Backend:
        if self._url:
            return PostgresBackend(Postgres(self._url), 2)
        return SqliteBackend(self.world.facts, self.world.trail)

    async def migrate(self) -> None:
        await (await self.backend.create()).close()


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    """On each of the engines."""
    world = World(tmp_path / "facts.db", tmp_path / "trail.db")
    if request.param == "sqlite":
        with closing(sqlite3.connect(world.facts)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        return asyncio.run(Old(world, f"sqlite+aiosqlite:///{world.facts}").made())
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.new()
    return asyncio.run(Old(world, url.replace("postgresql://", "postgresql+asyncpg://"), url).made())


async def rows_of(old: Old) -> dict[str, list[Any]]:
    async def read(connection: AsyncConnection) -> dict[str, list[Any]]:
        return {
            name: sorted(map(tuple, await connection.execute(sa.text(f"SELECT * FROM {name}"))), key=repr)  # noqa: S608 - ours
            for name in OF_0001
        }

    found: dict[str, list[Any]] = await old.at(read)
    return found


def test_a_database_of_the_first_version_is_brought_here_with_its_data(old: Old) -> None:
    """Attack 80: a migration from 0001 keeps every row, and what is new works on what was there."""

    async def use() -> None:
        before = await rows_of(old)
        assert before["share"]
        with pytest.raises(DatabaseVersionError, match="older than"):
            await old.backend.open()
        await old.migrate()
        assert await rows_of(old) == before
        database = await old.backend.open()
        try:
            w = old.world
            consent = Consent(
                BusinessId(w.customer), w.solution, frozenset({WabaId(w.shared_waba), WabaId(w.kept_waba)}), MANAGEMENT_ONLY
            )
            assert (await make_share(SqlChangeStore(database), ACT, consent)).changed
        finally:
            await database.close()

    asyncio.run(use())


def test_a_process_of_the_first_version_goes_on(old: Old) -> None:
    """Attack 80: statements over the tables as 0001 knew them read and write all of them after the migration, and are fed."""

    async def use() -> None:
        then = sa.MetaData()
        await old.at(lambda connection: connection.run_sync(lambda c: then.reflect(c, only=list(OF_0001))))
        await old.migrate()
        world = old.world

        async def work(connection: AsyncConnection) -> None:
            for table in then.sorted_tables:
                rows = (await connection.execute(sa.select(*table.c))).mappings().all()
                if rows and "name" in table.c:
                    await connection.execute(sa.update(table).values(name="renamed"))
            fed = len((await connection.execute(sa.select(then.tables["change"].c.revision))).all())
            share, waba = then.tables["share"], then.tables["waba"]
            new = {"id": "599", "business_id": world.customer, "name": "A WABA of the old version"}
            await connection.execute(sa.insert(waba), new)
            await connection.execute(
                sa.insert(then.tables["share_waba"]),
                {"business_id": world.customer, "solution_id": world.solution, "waba_id": "599"},
            )
            await connection.execute(sa.update(share).values(status="WITHDRAWN", generation="B" * 11))
            # What the old version deletes: shares' WABAs, pruned changes, moved events, keys.
            for name in ("share_waba", "signing_key", "outbox"):
                await connection.execute(sa.delete(then.tables[name]))
            told = (await connection.execute(sa.select(then.tables["change"].c.revision))).all()
            assert len(told) > fed + 2
            await connection.execute(sa.delete(then.tables["change"]))

        await old.at(work)

    asyncio.run(use())


def test_an_open_intent_is_one_per_app_and_waba(old: Old) -> None:
    """The schema itself refuses a second intent that waits, a status that is none, and a move from a solution to itself."""

    async def use() -> None:
        await old.migrate()
        w = old.world
        other = SolutionId("402")

        async def prepare(connection: AsyncConnection) -> None:
            await connection.execute(
                sa.text(
                    "INSERT INTO solution SELECT '402', name, status, owner_app_id, partner_app_id, owner_messaging, "
                    "partner_messaging, generation, changed_at_s FROM solution"
                )
            )

        await old.at(prepare)

        def intent(intent_id: str, **other_than: str) -> dict[str, Any]:
            row = {
                "id": intent_id,
                "waba_id": w.shared_waba,
                "business_id": w.customer,
                "app_id": w.owner_app,
                "source_solution_id": w.solution,
                "target_solution_id": other,
                "status": "INITIATED",
                "set_at_s": 1,
                "changed_at_s": 1,
            }
            return row | other_than

        names = ", ".join(intent("1"))
        insert = sa.text(
            f"INSERT INTO migration_intent ({names}) VALUES ({', '.join(f':{n}' for n in intent('1'))})"  # noqa: S608 - ours
        )
        for right in (intent("1"), intent("2", status="REJECTED")):
            await old.at(functools.partial(executed, insert, right))
        for wrong in (
            intent("3"),
            intent("4", status="DONE"),
            intent("5", status="REJECTED", target_solution_id=w.solution),
            intent("6", status="REJECTED", business_id=w.stranger),
        ):
            with pytest.raises(sa.exc.IntegrityError):
                await old.at(functools.partial(executed, insert, wrong))

    asyncio.run(use())
