"""The write side: transactions, constraints, the outbox."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from multipartner.domain.events import Event, EventKind
from multipartner.storage import tables as t
from multipartner.storage.audit import verify
from multipartner.storage.engine import Database
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.sqlite_backend import SqliteBackend
from multipartner.storage.trail_reading import Filter, export

if TYPE_CHECKING:
    from storage.conftest import Run, World


def event(name: str) -> Event:
    return Event(EventKind.SHARE_REVOKED, 2000, f"operator:{name}")


def actors(trail: Path) -> list[str]:
    lines: list[str] = []
    export(SqliteBackend(trail, trail), Filter(), lines.append)
    return [line.split('"actor":"operator:')[1].split('"')[0] for line in lines]


async def change(database: Database, name: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(sa.update(t.share).values(status="WITHDRAWN"))
        await database.put_events(connection, [event(name)])


def test_concurrent_read_then_write_loses_nothing(on_database: "Run", world: "World") -> None:
    """Five tasks that read a number and write it back plus one count to five."""

    async def add_one(database: Database) -> None:
        async with database.transaction() as connection:
            count = (await connection.execute(sa.select(t.app.c.calls_per_hour).where(t.app.c.id == world.owner_app))).scalar()
            await asyncio.sleep(0)
            await connection.execute(
                sa.update(t.app).where(t.app.c.id == world.owner_app).values(calls_per_hour=(count or 0) + 1)
            )

    async def use(database: Database) -> int | None:
        other = await Database.open(world.facts, world.trail)
        await asyncio.gather(*(add_one(writer) for writer in (database, other, database, other, database)))
        await other.close()
        async with database.reading() as connection:
            return (await connection.execute(sa.select(t.app.c.calls_per_hour).where(t.app.c.id == world.owner_app))).scalar()

    assert on_database(use) == 5


def test_a_waba_of_another_business_cannot_be_shared(on_database: "Run", world: "World") -> None:
    """Attack 35: the schema itself refuses a share of somebody else's WABA, and so it does a phone number."""

    async def use(database: Database) -> None:
        strange = {"business_id": world.customer, "waba_id": world.strange_waba}
        for statement in (
            sa.insert(t.share_waba).values(solution_id=world.solution, **strange),
            sa.update(t.share_waba).values(waba_id=world.strange_waba),
            sa.insert(t.phone_number).values(id="901", display_phone_number="+1", **strange),
        ):
            with pytest.raises(sa.exc.IntegrityError):
                await _alone(database, statement)

    on_database(use)


async def _alone(database: Database, statement: sa.Executable) -> None:
    async with database.transaction() as connection:
        await connection.execute(statement)


def test_a_locked_database_is_unavailable_and_unchanged(
    world: "World", on_database: "Run", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that cannot have the lock says so without the statement's values, and nothing was changed."""
    monkeypatch.setattr("multipartner.storage.engine._BUSY_S", 0.01)

    async def use(database: Database) -> None:
        with closing(sqlite3.connect(world.facts, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageUnavailable) as caught:
                await change(database, "secret-marker")
            assert "secret-marker" not in str(caught.value)
            other.execute("ROLLBACK")
        await change(database, "second")

    on_database(use)

    assert actors(world.trail) == ["second"]


def test_values_never_reach_an_error_text(on_database: "Run", world: "World") -> None:
    """An IntegrityError names the constraint, not what somebody tried to store."""

    async def use(database: Database) -> None:
        values = {"id": world.credential, "system_user_id": "701", "app_id": world.owner_app, "permissions": ""}
        values |= {"mac_key_id": "k1", "created_at_s": "1"}
        with pytest.raises(sa.exc.IntegrityError) as caught:
            await _alone(database, sa.insert(t.credential).values(mac=b"secret-marker", **values))
        assert "secret-marker" not in str(caught.value)

    on_database(use)


def test_events_of_changes_reach_the_trail_in_order(on_database: "Run", world: "World") -> None:
    """Each acknowledged change stands in the trail, in the order of the commits, and nothing waits."""

    async def use(database: Database) -> None:
        for name in "abc":
            await change(database, name)
        assert not database.outbox_waiting

    on_database(use)

    assert actors(world.trail) == ["a", "b", "c"]
    report = verify(SqliteBackend(world.facts, world.trail))
    assert report.whole
    assert report.pending == 0


def test_a_change_stands_although_the_trail_is_locked(on_database: "Run", world: "World") -> None:
    """Attack 77: a change's event is durable with it and reaches the trail, once, as soon as the trail can be written."""

    async def use(database: Database) -> None:
        database._trail._busy_s = 0.01
        with closing(sqlite3.connect(world.trail, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await change(database, "first")
            assert database.outbox_waiting
            assert verify(SqliteBackend(world.facts, world.trail)).pending == 1
        await change(database, "second")
        assert not database.outbox_waiting

    on_database(use)

    assert actors(world.trail) == ["first", "second"]


def test_opening_moves_what_a_crash_left(on_database: "Run", world: "World") -> None:
    """Attack 77: after a crash between append and delete the event is there once; between commit and append it is not lost."""

    async def use(database: Database) -> None:
        await change(database, "moved")

    on_database(use)
    with closing(sqlite3.connect(world.trail)) as trail, closing(sqlite3.connect(world.facts, isolation_level=None)) as facts:
        moved = trail.execute("SELECT outbox_id, body FROM trail_event WHERE outbox_id IS NOT NULL").fetchone()
        facts.execute("INSERT INTO outbox (id, event) VALUES (?, ?)", moved)
        facts.execute("INSERT INTO outbox (event) VALUES (?)", (moved[1].replace(b"moved", b"unmoved"),))

    async def nothing(database: Database) -> None:
        assert not database.outbox_waiting

    on_database(nothing)

    assert actors(world.trail) == ["moved", "unmoved"]
    assert verify(SqliteBackend(world.facts, world.trail)).whole


@pytest.mark.parametrize("rubbish", [b"no JSON", b"{}", "text"])
def test_rubbish_in_the_outbox_stops_no_change(on_database: "Run", world: "World", rubbish: bytes | str) -> None:
    """What a foreign writer put into the outbox is not passed off as an event, and does not keep the database from opening."""
    with closing(sqlite3.connect(world.facts, isolation_level=None)) as facts:
        facts.execute("INSERT INTO outbox (event) VALUES (?)", (rubbish,))

    async def use(database: Database) -> None:
        await change(database, "a")
        assert database.outbox_waiting

    on_database(use)

    assert verify(SqliteBackend(world.facts, world.trail)).pending == 2


def test_a_restored_backup_loses_no_events(on_database: "Run", world: "World") -> None:
    """Outbox ids that the trail knows from before a restore do not hide the events that bear them again."""

    async def use(database: Database) -> None:
        for name in "ab":
            await change(database, name)

    on_database(use)
    with closing(sqlite3.connect(world.facts, isolation_level=None)) as facts:
        facts.execute("UPDATE sqlite_sequence SET seq = 0 WHERE name = 'outbox'")

    async def again(database: Database) -> None:
        for name in "cd":
            await change(database, name)

    on_database(again)

    assert actors(world.trail) == ["a", "b", "c", "d"]
    assert verify(SqliteBackend(world.facts, world.trail)).pending == 0
