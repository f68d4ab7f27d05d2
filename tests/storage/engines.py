"""The small world on either engine, and one way to read it, to write it as we do, and to write it as strangers do."""

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from multipartner.storage.backend import Database, ServingReader
from multipartner.storage.engine import Database as SqliteDatabase
from multipartner.storage.ports import Change
from multipartner.storage.postgres import Postgres
from multipartner.storage.postgres_engine import PostgresDatabase
from multipartner.storage.postgres_reader import PostgresReader
from multipartner.storage.rows import LimitDefaults
from multipartner.storage.sqlite import CHECK_EVERY_NS, SqliteReader
from storage.conftest import World

START = 10**12
PATIENCE_S = 30.0

Result = TypeVar("Result")


class Engine(Protocol):
    """One database with the small world in it. Boot time is `now_ns`, turned by hand."""

    world: World
    now_ns: int

    def reader(self, *, stale_for_s: float = 1.0, limits: LimitDefaults = ...) -> ServingReader: ...

    async def write(self, *statements: str, unchecked: bool = False) -> None:
        """Write as a tool that is not ours. `:name` is an id of the world, `h'00'` are bytes; `unchecked`: and no references."""
        ...

    async def fetch(self, query: str) -> list[tuple[Any, ...]]: ...

    async def database(self) -> Database: ...

    async def soon(self, reader: Any) -> Sequence[Change]:
        """What the reader tells once it had the time that a foreign writer's change takes."""
        ...


def in_ids(world: World, statement: str, blob: str) -> str:
    """Write ids and bytes into a statement of a test."""
    named = re.sub(r"(?<!:):([a-z_]+)\b", lambda match: f"'{getattr(world, match[1])}'", statement)
    return re.sub(r"\bh'([0-9a-f]*)'", blob, named)


class OnSqlite:
    """Files."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now_ns = START

    def reader(self, *, stale_for_s: float = 1.0, limits: LimitDefaults = LimitDefaults()) -> SqliteReader:  # noqa: B008 - immutable
        return SqliteReader(self.world.facts, stale_for_s=stale_for_s, limits=limits)

    async def write(self, *statements: str, unchecked: bool = False) -> None:
        # As the sqlite3 shell would: no bell.
        with closing(sqlite3.connect(self.world.facts, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA foreign_keys = {int(not unchecked)}")
            for statement in statements:
                connection.execute(in_ids(self.world, statement, r"x'\1'"))

    async def fetch(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.world.facts, isolation_level=None)) as connection:
            return connection.execute(query).fetchall()

    async def database(self) -> Database:
        return await SqliteDatabase.open(self.world.facts, self.world.trail)

    async def soon(self, reader: Any) -> Sequence[Change]:
        self.now_ns += CHECK_EVERY_NS
        told: Sequence[Change] = reader.poll(self.now_ns)
        return told


class OnPostgres:
    """A database of a server."""

    def __init__(self, url: str) -> None:
        self.world = World(Path(), Path())
        self.url = url
        self.now_ns = START

    def reader(
        self,
        *,
        stale_for_s: float = 1.0,
        limits: LimitDefaults = LimitDefaults(),  # noqa: B008 - immutable
        ask_every_s: float | None = None,
        connections: int = 8,
    ) -> PostgresReader:
        return PostgresReader(
            Postgres(self.url),
            boot_ns=lambda: self.now_ns,
            stale_for_s=stale_for_s,
            limits=limits,
            ask_every_s=ask_every_s,
            connections=connections,
        )

    async def write(self, *statements: str, unchecked: bool = False) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            if unchecked:
                await connection.execute("SET session_replication_role = replica")
            for statement in statements:
                await connection.execute(in_ids(self.world, statement, r"'\\x\1'::bytea"))
        finally:
            await connection.close()

    async def fetch(self, query: str) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(self.url)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    async def database(self) -> Database:
        return PostgresDatabase(Postgres(self.url))

    async def soon(self, reader: Any) -> Sequence[Change]:
        await reader.confirmation()
        told: Sequence[Change] = reader.poll(self.now_ns)
        return told


def on_reader(engine: Engine, use: Callable[[Any], Awaitable[Result]], **options: Any) -> Result:
    """Run something on an open reader that has told all there was to tell."""

    async def opened() -> Result:
        reader = engine.reader(**options)
        await reader.open()
        try:
            async with asyncio.timeout(PATIENCE_S):
                assert reader.poll(engine.now_ns) == ()
                return await use(reader)
        finally:
            await reader.close()

    return asyncio.run(opened())


async def change(engine: Engine, use: Callable[[AsyncConnection], Awaitable[Any]]) -> None:
    """Change something as we do."""
    database = await engine.database()
    try:
        async with database.transaction() as connection:
            await use(connection)
    finally:
        await database.close()


def updated(table: sa.Table, **values: object) -> Callable[[AsyncConnection], Awaitable[Any]]:
    return lambda connection: connection.execute(sa.update(table).values(**values))
