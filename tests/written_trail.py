"""Trails for tests, on either engine: where they lie, what is written to them, ways to damage them."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import msgspec
import sqlalchemy as sa

from multipartner.domain.events import Event, EventKind
from multipartner.storage.audit import Report
from multipartner.storage.backend import Backend
from multipartner.storage.chain import Head, link
from multipartner.storage.grouped_trail import GroupedTrail, TrailLimits
from multipartner.storage.postgres import Postgres
from multipartner.storage.postgres_backend import PostgresBackend
from multipartner.storage.postgres_trail import PostgresTrail
from multipartner.storage.retention import last_pruning
from multipartner.storage.sqlite_backend import SqliteBackend
from multipartner.storage.tables import trail_event
from multipartner.storage.trail import SqliteTrail
from multipartner.storage.trail_reading import Filter, export
from postgres_server import PostgresServer, execute, fetch

EVENTS = 12


class TrailPlace(Protocol):
    """A deployment without facts, whose trail a test may read and damage."""

    backend: Backend

    @property
    def arguments(self) -> list[str]:
        """What names it to a child process: two files, or a URL."""
        ...

    def trail(self, *, explain_kept: int = 100_000, limits: TrailLimits | None = None) -> GroupedTrail:
        """A trail that is not open yet."""
        ...

    def copy(self) -> Backend:
        """A copy of everything, as it is now."""
        ...

    def run(self, *statements: str) -> None:
        """Damage it, as a tool would that is not ours."""
        ...

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Look into it."""
        ...

    def replaced(self, old: str, new: str) -> str:
        """SQL for an event's body with other text in it."""
        ...

    def binary(self, value: bytes) -> str:
        """SQL for bytes."""
        ...

    def locked(self) -> AbstractAsyncContextManager[None]:
        """Meanwhile nobody can write."""
        ...

    async def abandon(self, trail: GroupedTrail) -> None:
        """Leave an open trail as a killed process does."""
        ...


class InFiles:
    """On SQLite."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts_file = folder / "facts.db"
        self.file = folder / "trail.db"
        self.backend: Backend = SqliteBackend(self.facts_file, self.file)
        self.arguments = [str(self.facts_file), str(self.file)]

    def trail(self, *, explain_kept: int = 100_000, limits: TrailLimits | None = None) -> SqliteTrail:
        return SqliteTrail(self.file, explain_kept=explain_kept, limits=limits)

    def copy(self) -> Backend:
        self.run("PRAGMA wal_checkpoint(TRUNCATE)")
        return InFiles(Path(shutil.copytree(self.folder, self.folder.with_name("copy")))).backend

    def run(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute(query).fetchall()

    def replaced(self, old: str, new: str) -> str:
        return f"CAST(replace(body, '{old}', '{new}') AS BLOB)"

    def binary(self, value: bytes) -> str:
        return f"x'{value.hex()}'"

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield

    async def abandon(self, trail: GroupedTrail) -> None:
        trail._is_open = False  # the thread ends with the process


class InDatabase:
    """On PostgreSQL."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        self.server = server
        self.url = url
        self.place = Postgres(url)
        self.backend: Backend = PostgresBackend(self.place)
        self.arguments = [url]

    def trail(self, *, explain_kept: int = 100_000, limits: TrailLimits | None = None) -> PostgresTrail:
        return PostgresTrail(self.place, explain_kept=explain_kept, limits=limits)

    def copy(self) -> Backend:
        return InDatabase(self.server, self.server.new(self.url)).backend

    def run(self, *statements: str) -> None:
        for statement in statements:
            execute(self.url, statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return fetch(self.url, query)

    def replaced(self, old: str, new: str) -> str:
        return f"convert_to(replace(convert_from(body, 'UTF8'), '{old}', '{new}'), 'UTF8')"

    def binary(self, value: bytes) -> str:
        return rf"'\x{value.hex()}'::bytea"

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        connection = await asyncpg.connect(self.url)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE trail_event, refusal IN EXCLUSIVE MODE")
                yield
        finally:
            await connection.close()

    async def abandon(self, trail: GroupedTrail) -> None:
        trail._is_open = False
        writer: Any = trail._writer
        await writer._refusals.close(1)
        await writer._kept.close(1)

    async def end_sessions(self, application: str = "multipartner trail") -> None:
        """End, on the server, the sessions of one of our connections."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = $1",
                application,
            )
        finally:
            await connection.close()


def issued(number: int, business_id: str = "201") -> Event:
    return Event(
        EventKind.TOKEN_ISSUED,
        5000 + number,
        "credential:601",
        trace_id=f"trace{number}",
        app_id="301",
        solution_id="401",
        business_id=business_id,
        jti=f"jti{number}",
    )


def token(number: int, at_s: int = 5000) -> Event:
    return Event(EventKind.TOKEN_ISSUED, at_s + number, "credential:601", business_id=str(201 + number % 2), jti=f"jti{number}")


@asynccontextmanager
async def opened(place: TrailPlace, **options: Any) -> AsyncIterator[GroupedTrail]:
    trail = place.trail(**options)
    await trail.open(5000)
    try:
        yield trail
    finally:
        await trail.close(6000)


def exported(backend: Backend, only: Filter | None = None) -> list[dict[str, Any]]:
    lines: list[str] = []
    export(backend, only or Filter(), lines.append)
    return [msgspec.json.decode(line) for line in lines]


def issued_in(place: TrailPlace) -> list[str]:
    """The `jti`s that stand in the trail, oldest first."""
    return [line["jti"] for line in exported(place.backend) if line["kind"] == "token.issued"]


async def write_chain(place: TrailPlace, at_s: int, *, close: bool = True) -> str:
    trail = place.trail()
    await trail.open(at_s)
    for number in range(EVENTS):
        await trail.record(token(number, at_s))
    database = await place.backend.open()
    async with database.transaction() as connection:
        await database.put_events(connection, [Event(EventKind.SHARE_REVOKED, at_s + EVENTS, "operator:x")])
    await database.close()
    if close:
        await trail.close(at_s + 100)
    else:
        await place.abandon(trail)
    return trail.chain_id


def rehash(place: TrailPlace, chain: str) -> None:
    """Compute a chain's hashes anew, as an attacker would."""
    of_chain = sa.select(trail_event.c.seq, trail_event.c.body).where(trail_event.c.chain == chain).order_by(trail_event.c.seq)

    def compute(connection: sa.Connection) -> None:
        with connection.begin():
            last = last_pruning(connection).get(chain, Head()).hash
            for seq, body in connection.execute(of_chain).all():
                last = link(last, chain, seq, body)
                row = sa.update(trail_event).where(trail_event.c.chain == chain, trail_event.c.seq == seq)
                connection.execute(row.values(hash=last))

    place.backend.in_trail(compute, write=True)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - a thread or a server makes it true; the suite's time-out ends it
        await asyncio.sleep(0)


def assert_found(report: Report, words: str) -> None:
    assert not report.whole
    assert any(words in finding.text for finding in report.findings), report.findings
