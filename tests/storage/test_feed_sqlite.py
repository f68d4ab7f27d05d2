"""The change feed on SQLite: the bell, replaced files, and the clock of its looks. Boot time is passed by hand."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from multipartner.storage import tables as t
from multipartner.storage.doorbell import bell_path
from multipartner.storage.engine import Database
from multipartner.storage.ports import Change, ChangeKind, StorageUnavailable
from multipartner.storage.sqlite import CHECK_EVERY_NS, SqliteReader

if TYPE_CHECKING:
    from storage.conftest import Run, World

EVERYTHING = (Change(ChangeKind.EVERYTHING),)
START = 10**12


@pytest.fixture
def reader(world: "World") -> Iterator[SqliteReader]:
    opened = SqliteReader(world.facts)
    assert opened.poll(START) == ()
    yield opened
    asyncio.run(opened.close())


def foreign(world: "World", *statements: str) -> None:
    """Write as the sqlite3 shell would: no bell, and foreign keys off as by default. Parameters: the world's ids."""
    with closing(sqlite3.connect(world.facts, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement, world._asdict() | {"facts": "", "trail": ""})


def change_share(world: "World") -> Any:
    async def use(database: Database) -> None:
        async with database.transaction() as connection:
            await connection.execute(sa.update(t.share).where(t.share.c.solution_id == world.solution).values(status="WITHDRAWN"))

    return use


def test_our_change_is_seen_by_the_very_next_poll(on_database: "Run", world: "World", reader: SqliteReader) -> None:
    """Once a change is acknowledged the next request obeys it, with no time passing at all."""
    on_database(change_share(world))

    assert reader.poll(START) == (Change(ChangeKind.SHARE, world.solution, world.customer),)
    assert reader.poll(START) == ()


def test_a_change_by_another_process_is_seen_by_the_very_next_poll(world: "World", reader: SqliteReader) -> None:
    """The bell rings across processes."""
    program = (
        "import asyncio, sys, pathlib, sqlalchemy as sa\n"
        "from multipartner.storage.engine import Database\n"
        "async def main():\n"
        "    database = await Database.open(*map(pathlib.Path, sys.argv[1:]))\n"
        "    async with database.transaction() as connection:\n"
        "        await connection.execute(sa.text(\"UPDATE solution SET status = 'DEACTIVATED'\"))\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", program, str(world.facts), str(world.trail)], check=True, timeout=60)

    assert reader.poll(START) == (Change(ChangeKind.SOLUTION, world.solution),)


def test_a_foreign_writer_is_seen_within_50_ms(world: "World", reader: SqliteReader) -> None:
    """Whoever writes with plain SQL is obeyed 50 ms later: the triggers feed it, the data version tells of it."""
    foreign(world, "UPDATE credential SET revoked_at_s = 5 WHERE id = :credential", "DELETE FROM connection")

    assert reader.poll(START + CHECK_EVERY_NS - 1) == ()
    assert reader.poll(START + CHECK_EVERY_NS) == (
        Change(ChangeKind.CREDENTIAL, world.credential),
        Change(ChangeKind.CONNECTION, world.owner_app, world.customer),
    )


def test_a_replaced_database_is_opened_anew(world: "World", reader: SqliteReader) -> None:
    """A backup put in the file's place is what the next answers come from."""
    copy = world.facts.with_name("copy.db")
    with closing(sqlite3.connect(world.facts)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("UPDATE share SET status = 'WITHDRAWN'")
        target.commit()
    copy.rename(world.facts)

    assert reader.poll(START + CHECK_EVERY_NS) == EVERYTHING
    share = asyncio.run(reader.facts(world.tenant)).share
    assert share is not None
    assert not share.active


def test_a_replaced_bell_is_heard_again(on_database: "Run", world: "World", reader: SqliteReader) -> None:
    """A bell that somebody deleted is hung anew, and heard after 50 ms."""
    bell_path(world.facts).unlink()
    on_database(change_share(world))

    assert reader.poll(START + CHECK_EVERY_NS) == EVERYTHING
    on_database(change_share(world))
    assert reader.poll(START + CHECK_EVERY_NS) == (Change(ChangeKind.SHARE, world.solution, world.customer),)


def test_an_unconfirmed_feed_stops_answering(world: "World") -> None:
    """A cache may answer for `stale_for_s` after the last confirmation, not a nanosecond longer; then all is dropped."""
    reader = SqliteReader(world.facts, stale_for_s=0.2)
    assert reader.poll(START) == ()
    hidden = world.facts.with_name("hidden.db")
    world.facts.rename(hidden)

    assert reader.poll(START + CHECK_EVERY_NS) == ()
    assert reader.poll(START + 200_000_000) == ()
    with pytest.raises(StorageUnavailable):
        reader.poll(START + 200_000_001)
    assert reader.lag_s(START + 200_000_001) == pytest.approx(0.2)
    with pytest.raises(StorageUnavailable):
        reader.poll(START + 200_000_002)

    hidden.rename(world.facts)
    assert reader.poll(START + 200_000_003) == EVERYTHING
    assert reader.poll(START + 200_000_004) == ()
    asyncio.run(reader.close())


def test_a_ring_that_cannot_be_followed_stops_answering_at_once(on_database: "Run", world: "World", reader: SqliteReader) -> None:
    """An acknowledged change whose rows cannot be read is not overlooked, however fresh the last confirmation."""
    on_database(change_share(world))
    world.facts.rename(world.facts.with_name("hidden.db"))

    with pytest.raises(StorageUnavailable):
        reader.poll(START)
