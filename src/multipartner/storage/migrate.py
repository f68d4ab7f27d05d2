"""The two histories of the schema, facts and trail: is a file at this version, and bring it there.

Revisions are numbered 0001, 0002, ... and only go forward. Alembic takes most of a second to import, so it is only loaded when
a version differs.
"""

import functools
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import sqlalchemy as sa

from multipartner.storage.ports import StorageUnavailable

if TYPE_CHECKING:
    from multipartner.storage.engine import Database


class DatabaseVersionError(Exception):
    """A database is missing or of another version; the text is one line: the file, what is wrong, the fix."""


class History(msgspec.Struct, frozen=True):
    """One Alembic history: its folder beside this module, its version table, and its newest revision."""

    name: str
    head: str

    @property
    def version_table(self) -> str:
        """Each history has its own, so that both fit into one PostgreSQL database."""
        return f"version_{self.name}"

    @property
    def folder(self) -> Path:
        """Where its Alembic script directory lies."""
        return Path(__file__).parent / "migrations" / self.name


FACTS: Final = History("facts", "0002")
TRAIL: Final = History("trail", "0001")


def judge(history: History, place: str, version: str | None) -> None:
    """Return if a place is at the version this program knows; raises DatabaseVersionError otherwise."""
    if version is None:
        raise DatabaseVersionError(f"{place}: no {history.name} database; run `multipartner init`")
    if version < history.head:
        raise DatabaseVersionError(f"{place}: version {version}, older than {history.head}; run `multipartner migrate`")
    if version > history.head:
        raise DatabaseVersionError(f"{place}: version {version}, newer than {history.head}; use a newer multipartner")


def is_due(history: History, place: str, version: str | None) -> bool:
    """Tell whether a place must be made or upgraded; raises DatabaseVersionError when it is newer than this program."""
    if version is not None and version > history.head:
        judge(history, place, version)
    return version != history.head


def check_version(facts_path: Path, trail_path: Path) -> None:
    """Return if both SQLite files are at the version this program knows; writes nothing.

    Raises DatabaseVersionError otherwise, StorageUnavailable when a file cannot be read now.
    """
    for history, path in ((FACTS, facts_path), (TRAIL, trail_path)):
        judge(history, str(path), version_of(history, path))


def version_of(history: History, path: Path) -> str | None:
    """Return the revision a file is at, None for no file or an empty one; raises as `check_version` does."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            if not rows:
                return None
            if (history.version_table,) not in rows:
                raise DatabaseVersionError(f"{path}: not multipartner's {history.name} database; name another file")
            found = connection.execute(f"SELECT version_num FROM {history.version_table}").fetchone()  # noqa: S608 - our name
    except sqlite3.OperationalError as error:
        raise StorageUnavailable(f"{path.name}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise DatabaseVersionError(f"{path}: not an SQLite database; name another file") from error
    return str(found[0]) if found else None


def version_in(history: History, connection: sa.Connection) -> str | None:
    """Return the revision that a PostgreSQL database is at, None where the history was not begun."""
    if not sa.inspect(connection).has_table(history.version_table):
        return None
    found = connection.execute(sa.text(f"SELECT version_num FROM {history.version_table}")).scalar()  # noqa: S608 - our name
    return str(found) if found else None


async def migrate(database: "Database") -> None:
    """Create or upgrade both files of a database that was opened for it. Takes the write lock: of two at once, one finds it done.

    Raises DatabaseVersionError when a file is newer than this program, StorageUnavailable when it cannot be written.
    """
    for history, path in ((FACTS, database.facts_path), (TRAIL, database.trail_path)):
        if is_due(history, str(path), version_of(history, path)):
            _make_private(path)
            await database.migrate_file(path, functools.partial(upgrade, history))


def _make_private(path: Path) -> None:
    """Create the file as 0600: SQLite gives its side files the same mode."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StorageUnavailable(f"{path.name}: {error.strerror}") from error


def upgrade(history: History, connection: sa.Connection) -> None:
    """Run the revisions that are missing, in the caller's transaction; none are if another one was faster."""
    from alembic import command  # noqa: PLC0415 - slow to import, and rarely needed
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(history.folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["version_table"] = history.version_table
    command.upgrade(config, "head")
