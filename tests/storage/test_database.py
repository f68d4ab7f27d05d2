"""The write side: transactions, constraints, the outbox, versions of the schema."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from multipartner.domain.events import Event, EventKind
from multipartner.storage import tables as t
from multipartner.storage import triggers
from multipartner.storage.audit import verify
from multipartner.storage.doorbell import Doorbell, bell_path
from multipartner.storage.engine import Database
from multipartner.storage.migrate import FACTS, TRAIL, DatabaseVersionError, History, check_version
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.trail_reading import export

if TYPE_CHECKING:
    from storage.conftest import Run, World

HISTORIES = [(FACTS, t.metadata), (TRAIL, t.trail_metadata)]


def event(name: str) -> Event:
    return Event(EventKind.SHARE_REVOKED, 2000, f"operator:{name}")


def actors(trail: Path) -> list[str]:
    return [line.split('"actor":"operator:')[1].split('"')[0] for line in export(trail)]


async def change(database: Database, name: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(sa.update(t.share).values(status="WITHDRAWN"))
        await database.put_event(connection, event(name))


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
    report = verify(world.trail, facts_path=world.facts)
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
            assert verify(world.trail, facts_path=world.facts).pending == 1
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
    assert verify(world.trail, facts_path=world.facts).whole


@pytest.mark.parametrize("rubbish", [b"no JSON", b"{}", "text"])
def test_rubbish_in_the_outbox_stops_no_change(on_database: "Run", world: "World", rubbish: bytes | str) -> None:
    """What a foreign writer put into the outbox is not passed off as an event, and does not keep the database from opening."""
    with closing(sqlite3.connect(world.facts, isolation_level=None)) as facts:
        facts.execute("INSERT INTO outbox (event) VALUES (?)", (rubbish,))

    async def use(database: Database) -> None:
        await change(database, "a")
        assert database.outbox_waiting

    on_database(use)

    assert verify(world.trail, facts_path=world.facts).pending == 2


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
    assert verify(world.trail, facts_path=world.facts).pending == 0


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["UPDATE deployment SET generation = 'x'"], [("deployment", "", "")]),
        (["UPDATE app SET connected_businesses = 9"], []),
        (["UPDATE app SET name = 'x'"], []),
        (["UPDATE app SET status = 'SUSPENDED' WHERE id = '301'"], [("app", "301", "")]),
        (["UPDATE app SET calls_per_hour = 3 WHERE id = '301'"], [("app", "301", "")]),
        (["UPDATE credential SET permissions = ''"], [("credential", "601", "")]),
        (["DELETE FROM credential"], [("credential", "601", "")]),
        (["UPDATE solution SET status = 'DRAFT'"], [("solution", "401", "")]),
        (["INSERT INTO connection VALUES ('302', '201', 1)"], [("connection", "302", "201")]),
        (["UPDATE connection SET app_id = '302'"], [("connection", "302", "201"), ("connection", "301", "201")]),
        (["INSERT INTO share_waba VALUES ('201', '401', '502')"], [("share", "401", "201")]),
        (["DELETE FROM share_waba"], [("share", "401", "201")]),
        (["UPDATE app_grant SET status = 'REVOKED'"], [("share", "401", "201")]),
        (["INSERT INTO signing_key VALUES ('s', x'', x'', 1, 1, NULL)"], [("signing_key", "s", "")]),
        (["INSERT INTO resource_server VALUES ('801', '', x'', 'k1', 1, NULL)"], [("resource_server", "801", "")]),
        (["UPDATE waba SET name = 'x'", "UPDATE business SET name = 'x'", "UPDATE system_user SET name = 'x'"], []),
        (["PRAGMA foreign_keys = ON", "DELETE FROM share"], [("share", "401", "201")] * 3),
    ],
)
def test_whoever_writes_feeds_the_caches(world: "World", statements: list[str], expected: list[tuple[str, str, str]]) -> None:
    """Plain SQL on a fact that decides something leaves its kind and keys in the feed; on one that does not, nothing."""
    with closing(sqlite3.connect(world.facts, isolation_level=None)) as connection:
        last = connection.execute("SELECT max(revision) FROM change").fetchone()
        for statement in statements:
            connection.execute(statement)
        fed = connection.execute("SELECT kind, key1, key2 FROM change WHERE revision > ? ORDER BY revision", last).fetchall()

    assert sorted(fed) == sorted(expected)


def test_connected_businesses_is_kept(world: "World") -> None:
    """An app's count of connected businesses follows its connections, whoever makes, moves or drops them."""
    counts = []
    with closing(sqlite3.connect(world.facts, isolation_level=None)) as connection:
        for statement in (
            "INSERT INTO connection VALUES ('301', '202', 1)",
            "UPDATE connection SET app_id = '302' WHERE business_id = '202'",
            "DELETE FROM connection",
        ):
            connection.execute(statement)
            counts.append([row[0] for row in connection.execute("SELECT connected_businesses FROM app ORDER BY id")])

    assert counts == [[2, 0], [1, 1], [0, 0]]


@pytest.mark.parametrize(("history", "metadata"), HISTORIES, ids=lambda value: getattr(value, "name", ""))
def test_migrations_make_the_schema(world: "World", history: History, metadata: sa.MetaData) -> None:
    """What the revisions build is what the statements are written against, checks included."""
    path = world.facts if history is FACTS else world.trail
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)))
    declared = sa.create_engine("sqlite://")
    with engine.connect() as connection, declared.connect() as model:
        metadata.create_all(model)
        options = {"target_metadata": metadata, "version_table": history.version_table, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        for table in metadata.tables:
            found, wanted = (sa.inspect(each).get_check_constraints(table) for each in (connection, model))
            assert sorted(map(str, found)) == sorted(map(str, wanted))
    engine.dispose()
    declared.dispose()


@pytest.mark.parametrize(("history", "metadata"), HISTORIES, ids=lambda value: getattr(value, "name", ""))
def test_histories_are_linear_and_known(history: History, metadata: sa.MetaData) -> None:
    """Revisions are numbered upwards without branches, and the newest is the one the start-up check knows."""
    del metadata
    config = Config()
    config.set_main_option("script_location", str(history.folder))
    script = ScriptDirectory.from_config(config)
    revisions = [revision.revision for revision in script.walk_revisions()][::-1]

    assert script.get_heads() == [history.head]
    assert revisions == [f"{number:04}" for number in range(1, len(revisions) + 1)]


def test_migrating_again_changes_nothing(world: "World") -> None:
    """Creating what is there is no mistake and keeps every row."""

    async def use() -> None:
        database = await Database.create(world.facts, world.trail)
        await database.close()

    asyncio.run(use())

    check_version(world.facts, world.trail)
    with closing(sqlite3.connect(world.facts)) as connection:
        assert connection.execute("SELECT count(*) FROM share").fetchone() == (1,)


_CREATE = """
import asyncio, pathlib, sys
from multipartner.storage.engine import Database
async def main():
    database = await Database.create(*map(pathlib.Path, sys.argv[1:]))
    await database.close()
asyncio.run(main())
"""


def test_two_creations_at_once_make_one_database(empty: "World") -> None:
    """Of two processes that create the same database at the same time both find it done."""
    both = [subprocess.Popen([sys.executable, "-c", _CREATE, str(empty.facts), str(empty.trail)]) for _ in range(2)]

    assert [process.wait(60) for process in both] == [0, 0]
    check_version(empty.facts, empty.trail)


@pytest.mark.parametrize(
    ("version", "fix"),
    [("9999", "use a newer multipartner"), ("0000", "run `multipartner migrate`"), (None, "run `multipartner init`")],
)
@pytest.mark.parametrize("name", ["facts", "trail"])
def test_another_version_is_told_in_one_line(world: "World", name: str, version: str | None, fix: str) -> None:
    """A missing, older or newer database stops the start with its name and the fix, and nothing is written."""
    path = world.facts if name == "facts" else world.trail
    if version is None:
        path.unlink()
    else:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"UPDATE version_{name} SET version_num = '{version}'")  # noqa: S608 - a test's own words

    with pytest.raises(DatabaseVersionError) as caught:
        asyncio.run(Database.open(world.facts, world.trail))

    assert str(path) in str(caught.value)
    assert fix in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.exists() is (version is not None)


def test_a_newer_database_is_not_migrated(world: "World") -> None:
    """Creating over a newer database is refused."""
    with closing(sqlite3.connect(world.facts, isolation_level=None)) as connection:
        connection.execute("UPDATE version_facts SET version_num = '9999'")

    with pytest.raises(DatabaseVersionError, match="newer"):
        asyncio.run(Database.create(world.facts, world.trail))


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be read as a header" * 4, None])
def test_a_file_that_is_not_ours_is_left_alone(empty: "World", content: bytes | None) -> None:
    """A foreign file under the database's name is refused, not filled with tables."""
    if content is None:
        with closing(sqlite3.connect(empty.facts)) as connection:
            connection.execute("CREATE TABLE mine (id)")
    else:
        empty.facts.write_bytes(content)
    before = empty.facts.read_bytes()

    with pytest.raises(DatabaseVersionError, match="name another file"):
        asyncio.run(Database.create(empty.facts, empty.trail))

    assert empty.facts.read_bytes() == before


def test_files_are_private(world: "World") -> None:
    """Attack 49: nobody else on the host can read the facts, the trail or ring the bell."""
    for path in (world.facts, world.trail, bell_path(world.facts)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_bell_is_never_made_anew_by_us(world: "World") -> None:
    """Opening, ringing and opening again keep the file; a file of another length is refused, not cut."""
    path = bell_path(world.facts)
    before = path.stat().st_ino
    first, second = Doorbell(path), Doorbell(path)
    heard = first.value
    second.ring()

    assert first.value == second.value != heard
    assert path.stat().st_ino == before
    path.unlink()
    path.write_bytes(b"x" * 7)
    with pytest.raises(OSError, match="7 bytes"):
        Doorbell(path)


def test_postgresql_triggers_can_be_written() -> None:
    """Every fed table has one PostgreSQL function and trigger, and none speaks SQLite's dialect."""
    statements = list(triggers._postgresql())

    assert len(statements) == 3 * len(triggers.FED)
    assert not any(" IS NOT " in statement for statement in statements)
    for fed in triggers.FED:
        assert any(f"ON {fed.table} FOR EACH ROW EXECUTE FUNCTION feed_{fed.table}()" in text for text in statements)
