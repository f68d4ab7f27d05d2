"""Wiring for `backup` and `restore`: settings, master key, engine and trail, put together."""

import asyncio
import datetime as dt
from pathlib import Path

import msgspec

from multipartner import __version__, keyfile
from multipartner.operating import backend_of, open_store
from multipartner.partnering.acting import Act
from multipartner.partnering.restoring import open_all, renew_restored
from multipartner.settings import Settings
from multipartner.storage import backups
from multipartner.storage.backend import Backend
from multipartner.storage.backups import Backup, BackupRefused, Manifest
from multipartner.storage.changes import SqlChangeStore
from multipartner.storage.ports import StorageUnavailable


class Wish(msgspec.Struct, frozen=True):
    """How to restore: `replace` moves aside what is there, `keep_trail` goes on with the trail that is there. For files only."""

    replace: bool = False
    keep_trail: bool = False


class Restored(msgspec.Struct, frozen=True):
    """What became of a restore.

    `aside`: how the names of what was replaced end now; empty: nothing was. `undone`: what was changed after the backup was
    taken, and so is not in the facts any more: events as `audit export` writes them; None when no trail is there that tells it.
    """

    manifest: Manifest
    aside: str
    undone: list[str] | None


def back_up(settings: Settings, folder: Path, now_s: int) -> Manifest:
    """Write a backup into a new folder. `now_s` is Unix seconds. Raises StorageUnavailable, DatabaseVersionError, OSError."""
    backend = backend_of(settings)
    backend.check_version()
    # Opening moves what waits in the outbox; what cannot be moved now is carried along.
    asyncio.run(_touch(settings))
    with backups.new_folder(folder):
        return backups.finish(folder, backend.take_backup(folder), program=__version__, made_at_s=now_s)


def restore(settings: Settings, folder: Path, act: Act, wish: Wish) -> Restored:
    """Make a deployment of a backup: with the backup's facts, and a generation of its own.

    Raises KeyFileError, SealBroken, DatabaseVersionError, StorageUnavailable; then what was there still is, and nothing serves
    what was begun.
    """
    master = keyfile.read(settings.master_key_file)
    backup = backups.read(folder)
    backend = backend_of(settings)
    engine = "sqlite" if isinstance(settings.database, Path) else "postgresql"
    if backup.manifest.engine != engine:
        raise BackupRefused(f"{folder}: is a backup of {backup.manifest.engine}, and {backend.name} is {engine}")
    open_all(master, list(backups.sealed_rows(backup.manifest)))
    backup.check()
    aside = f".replaced-{dt.datetime.fromtimestamp(act.now_s, dt.UTC):%Y%m%dT%H%M%SZ}" if wish.replace else ""
    undone = _undone(backend, backup) if wish.replace or wish.keep_trail else None
    asyncio.run(_restore(backend, backup, act, aside=aside, keep_trail=wish.keep_trail))
    return Restored(backup.manifest, aside, undone)


async def _touch(settings: Settings) -> None:
    async with open_store(settings):
        pass


async def _restore(backend: Backend, backup: Backup, act: Act, *, aside: str, keep_trail: bool) -> None:
    manifest = backup.manifest
    told = {
        "backup_at_s": str(manifest.made_at_s),
        "backup_changes_seq": str(manifest.changes.seq),
        "backup_changes_head": manifest.changes.hash,
        "backup_chains": str(len(manifest.heads)),
        "backup_heads_sha256": manifest.heads_sha256,
    }
    async with backend.restoring(backup, aside=aside, keep_trail=keep_trail) as database:
        await renew_restored(SqlChangeStore(database), act, told)


def _undone(backend: Backend, backup: Backup) -> list[str] | None:
    """What the trail of the old place tells, if it can be read and is the one the backup was taken of."""
    head = backup.manifest.changes
    try:
        return backend.in_trail(lambda at: backups.changed_since(at, head) if backups.knows(at, head) else None)
    except StorageUnavailable:
        return None
