"""The schema: histories, versions, the files themselves."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from multipartner.storage import tables as t
from multipartner.storage.doorbell import Doorbell, bell_path
from multipartner.storage.engine import Database
from multipartner.storage.migrate import FACTS, TRAIL, DatabaseVersionError, History, check_version

if TYPE_CHECKING:
    from storage.conftest import World

HISTORIES = [(FACTS, t.metadata), (TRAIL, t.trail_metadata)]


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
