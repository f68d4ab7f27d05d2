"""A deployment in two SQLite files: facts, and the trail beside them."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import sqlalchemy as sa

from multipartner.storage import sqlite_backup
from multipartner.storage.backups import Backup, Taken
from multipartner.storage.migrate import FACTS, TRAIL, check_version, judge, version_of
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.rows import LimitDefaults
from multipartner.storage.sqlite import SqliteReader, fold
from multipartner.storage.sqlite_connections import READING, core_on
from multipartner.storage.trail import SqliteTrail
from multipartner.storage.trail_file import connect

if TYPE_CHECKING:
    from multipartner.storage.engine import Database

_BUSY_S: Final = 5.0

Result = TypeVar("Result")


class SqliteBackend:
    """See `backend.Backend`."""

    def __init__(self, facts_path: Path, trail_path: Path) -> None:
        self.facts_path = facts_path
        self.trail_path = trail_path

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self.facts_path)

    @property
    def trail_name(self) -> str:
        """The file's path."""
        return str(self.trail_path)

    def check_version(self) -> None:
        """See the port."""
        check_version(self.facts_path, self.trail_path)

    def check_writable(self) -> None:
        """See the port."""
        for path in (self.facts_path, self.trail_path, self.facts_path.parent, self.trail_path.parent):
            if not os.access(path, os.W_OK):
                raise StorageUnavailable(f"{path}: cannot be written; give it to the user that serves")

    def exists(self) -> bool:
        """See the port."""
        return any(path.exists() or path.is_symlink() for path in (self.facts_path, self.trail_path))

    async def open(self) -> "Database":
        """See the port."""
        return await (await asyncio.to_thread(_write_side)).open(self.facts_path, self.trail_path)

    async def create(self) -> "Database":
        """See the port."""
        return await (await asyncio.to_thread(_write_side)).create(self.facts_path, self.trail_path)

    async def upgrade(self) -> None:
        """See the port."""
        for history, path in ((FACTS, self.facts_path), (TRAIL, self.trail_path)):
            if (version := version_of(history, path)) is None:
                judge(history, str(path), version)
        await (await self.create()).close()

    def reader(self, limits: LimitDefaults, *, stale_for_s: float, boot_ns: Callable[[], int]) -> SqliteReader:
        """See the port. Its feed asks for no clock: each request brings the time."""
        del boot_ns
        return SqliteReader(self.facts_path, stale_for_s=stale_for_s, limits=limits)

    def trail(self, *, explain_kept: int) -> SqliteTrail:
        """See the port."""
        return SqliteTrail(self.trail_path, explain_kept=explain_kept)

    def in_facts(self, ask: Callable[[sa.Connection], Result]) -> Result:
        """See the port."""
        with _connected(self.facts_path, write=False) as connection, connection.begin():
            return ask(connection)

    def in_trail(self, ask: Callable[[sa.Connection], Result], *, write: bool = False) -> Result:
        """See the port."""
        with _connected(self.trail_path, write=write) as connection:
            if write:
                return ask(connection)
            with connection.begin():
                return ask(connection)

    def take_backup(self, folder: Path) -> Taken:
        """See the port."""
        return sqlite_backup.take(self, folder)

    def restoring(self, backup: Backup, *, aside: str, keep_trail: bool) -> "AbstractAsyncContextManager[Database]":
        """See the port."""
        return sqlite_backup.restoring(self, backup, aside=aside, keep_trail=keep_trail)

    def tidy(self) -> None:
        """See the port: fold the write-ahead log into the file."""
        fold(self.facts_path)


def _write_side() -> "type[Database]":
    """Import what only a change needs: a tenth of a start, and in a thread, since a loop that serves would stand still."""
    from multipartner.storage.engine import Database  # noqa: PLC0415 - as above

    return Database


@contextmanager
def _connected(path: Path, *, write: bool) -> Iterator[sa.Connection]:
    """Open an existing file for one question; raises StorageUnavailable, also for what goes wrong meanwhile."""
    options: dict[str, Any] = {} if write else {READING: True}
    try:
        with core_on(lambda: connect(path, _BUSY_S) if write else _connect_to_read(path)) as connection:
            yield connection.execution_options(**options)
    except sa.exc.DBAPIError as error:
        raise StorageUnavailable(f"{path.name}: {error.orig}") from None
    except sqlite3.Error as error:
        raise StorageUnavailable(f"{path.name}: {error}") from None


def _connect_to_read(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
