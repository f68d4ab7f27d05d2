"""Copies of two SQLite files of one moment, and how they come back: beside the place first, and under its name last."""

import asyncio
import os
import secrets
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from multipartner.storage import backups
from multipartner.storage.audit import heads_in
from multipartner.storage.backups import Backup, BackupRefused, Taken
from multipartner.storage.doorbell import Doorbell, bell_path
from multipartner.storage.migrate import FACTS, TRAIL, version_of
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.sqlite import fold

if TYPE_CHECKING:
    from multipartner.storage.engine import Database
    from multipartner.storage.sqlite_backend import SqliteBackend

_BUSY_S: Final = 5.0
_SIDE: Final = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database: another one's must never lie beside ours."""


def take(place: "SqliteBackend", folder: Path) -> Taken:
    """Copy facts and trail as they are at one moment into a folder. Raises StorageUnavailable, DatabaseVersionError."""
    names = backups.PARTS["sqlite"]
    try:
        with _moment(place.facts_path, place.trail_path) as sources:
            for source, name in zip(sources, names, strict=True):
                _copy(source, folder / name)
    except (sqlite3.Error, OSError) as error:
        raise StorageUnavailable(f"{place.name}: cannot be copied: {error}") from None
    copies = type(place)(*(folder / name for name in names))
    generation, sealed = copies.in_facts(lambda connection: backups.keys_in(connection, place.name))
    versions = {history.name: version_of(history, folder / name) for history, name in zip((FACTS, TRAIL), names, strict=True)}
    return Taken(
        engine="sqlite",
        histories={name: version or "" for name, version in versions.items()},
        generation=generation,
        sealed=sealed,
        heads=copies.in_trail(heads_in),
    )


@asynccontextmanager
async def restoring(place: "SqliteBackend", backup: Backup, *, aside: str, keep_trail: bool) -> "AsyncIterator[Database]":
    """See `backend.Backend.restoring`. `aside`: with it the names of what is there now end from then on; empty: refuse it."""
    paths = (place.facts_path,) if keep_trail else (place.facts_path, place.trail_path)
    if not aside:
        _check_free(paths)
    if keep_trail and not await asyncio.to_thread(place.in_trail, lambda at: backups.knows(at, backup.manifest.changes)):
        raise BackupRefused(f"{place.trail_name}: is not the trail that the backup was taken of; restore without --keep-trail")
    with _drafts(paths) as drafts:
        await asyncio.to_thread(_lay_out, backup, drafts)
        database = await type(place)(drafts[0], place.trail_path if keep_trail else drafts[1]).create()
        try:
            yield database
            if database.outbox_waiting:
                raise StorageUnavailable(f"{place.trail_name}: cannot be written; nothing was restored")
        finally:
            await database.close()
        await asyncio.to_thread(_put_in_place, drafts, paths, aside)


@contextmanager
def _moment(*paths: Path) -> Iterator[list[sqlite3.Connection]]:
    """See both files at one moment: nobody commits to the first while the moment of both begins."""
    sources = [_connect(path, "ro") for path in paths]
    try:
        with closing(_connect(paths[0], "rw")) as lock:
            lock.execute("BEGIN IMMEDIATE")
            for source in sources:
                source.execute("BEGIN")
                source.execute("SELECT count(*) FROM sqlite_master").fetchall()  # BEGIN alone does not fix the moment
            lock.execute("ROLLBACK")
        yield sources
    finally:
        for source in sources:
            source.close()


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=_BUSY_S, isolation_level=None)


def _copy(source: sqlite3.Connection, path: Path) -> None:
    backups.new_file(path).close()
    with closing(_connect(path, "rw")) as target:
        source.backup(target)
        # One file, that can be read where nothing can be written.
        target.execute("PRAGMA journal_mode = DELETE").fetchall()


@contextmanager
def _drafts(paths: tuple[Path, ...]) -> Iterator[list[Path]]:
    """Names beside the places, and nothing left under them afterwards."""
    name = secrets.token_hex(8)
    drafts = [path.with_name(f".{path.name}.restoring-{name}") for path in paths]
    try:
        yield drafts
    finally:
        for draft in drafts:
            for left in (draft, bell_path(draft), *_beside(draft)):
                with suppress(OSError):
                    left.unlink()


def _lay_out(backup: Backup, drafts: list[Path]) -> None:
    for name, draft in zip(backups.PARTS["sqlite"], drafts, strict=False):
        try:
            with backups.new_file(draft) as file:
                backup.copy_part(name, file.write)
        except OSError as error:
            raise BackupRefused(f"{draft.parent}: cannot be written: {error.strerror}") from None
        with closing(_connect(draft, "rw")) as connection:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()


def _put_in_place(drafts: list[Path], paths: tuple[Path, ...], aside: str) -> None:
    """Give the drafts their names, the facts last: without them nothing serves."""
    try:
        for draft in drafts:
            fold(draft)
            if any(side.exists() and side.stat().st_size for side in _beside(draft)):
                raise BackupRefused(f"{draft}: was not written to its end; try again")
            _fsync(draft)
        if aside:
            for path in paths:
                _move_aside(path, aside)
        _check_free(paths)
        for draft, path in reversed(list(zip(drafts, paths, strict=True))):
            os.link(draft, path)  # unlike a renaming it never replaces what came there meanwhile
            draft.unlink()
            backups.sync_folder(path.absolute().parent)
        # Whoever still has the old file open looks now.
        Doorbell(bell_path(paths[0])).ring()
    except OSError as error:
        raise BackupRefused(f"{paths[0]}: cannot be put in place: {error.strerror or error}") from None


def _move_aside(path: Path, aside: str) -> None:
    if path.exists():
        fold(path)
    for side in ("", *_SIDE):
        old, new = path.with_name(path.name + side), path.with_name(path.name + aside + side)
        if os.path.lexists(new):
            raise BackupRefused(f"{new}: exists already; move it away")
        if os.path.lexists(old):
            old.rename(new)


def _check_free(paths: tuple[Path, ...]) -> None:
    for path in paths:
        if not path.absolute().parent.is_dir():
            raise BackupRefused(f"{path.parent}: there is no such folder; make it first")
        for there in (path, *_beside(path)):
            if os.path.lexists(there):
                raise BackupRefused(f"{there}: exists already; stop what serves, then move it away or say --replace")


def _beside(path: Path) -> list[Path]:
    return [path.with_name(path.name + side) for side in _SIDE]


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
