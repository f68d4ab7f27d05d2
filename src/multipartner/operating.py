"""Wiring for the operators' verbs: what the command line holds while it changes one deployment's facts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from multipartner import keyfile
from multipartner.crypto.sealing import MasterKeys
from multipartner.partnering.acting import Act, ChangeRefused
from multipartner.partnering.keys import init_deployment
from multipartner.settings import Settings
from multipartner.storage.change_ports import ChangeStore
from multipartner.storage.changes import SqlChangeStore
from multipartner.storage.engine import Database
from multipartner.storage.migrate import FACTS, TRAIL, DatabaseVersionError, version_of


class Operator(msgspec.Struct, frozen=True):
    """An open deployment and its master keys."""

    store: ChangeStore
    master: MasterKeys


@asynccontextmanager
async def open_operator(settings: Settings) -> AsyncIterator[Operator]:
    """Open a deployment for changes. Raises KeyFileError, DatabaseVersionError, StorageUnavailable; then nothing was written."""
    master = keyfile.read(settings.master_key_file)
    async with open_store(settings) as store:
        yield Operator(store, master)


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[ChangeStore]:
    """As `open_operator`, for what needs no key."""
    database = await Database.open(settings.database, settings.trail_file)
    try:
        yield SqlChangeStore(database)
    finally:
        await database.close()


async def begin_deployment(settings: Settings, act: Act) -> str:
    """Make a new deployment where there is nothing yet: key file, databases, first keys. Returns the first signing key's kid.

    Raises ChangeRefused, KeyFileError, StorageUnavailable; then nothing is left behind.
    """
    files = (settings.master_key_file, settings.database, settings.trail_file)
    for path in files:
        if path.exists() or path.is_symlink():
            raise ChangeRefused(f"{path}: exists already; `init` makes a new deployment, name other files or move this one away")
        if not path.parent.is_dir():
            raise ChangeRefused(f"{path.parent}: there is no such folder; make it first")
    keyfile.create(settings.master_key_file)
    try:
        return await create_deployment(settings, act)
    except BaseException:
        # Half a deployment would stand in the way of the next `init`.
        for path in files:
            for suffix in ("", "-wal", "-shm", ".bell"):
                with suppress(OSError):
                    path.with_name(path.name + suffix).unlink()
        raise


async def create_deployment(settings: Settings, act: Act) -> str:
    """Create databases and first keys under an existing key file; returns the first signing key's kid.

    Raises ChangeRefused when the deployment exists, and what `open_operator` raises.
    """
    master = keyfile.read(settings.master_key_file)
    database = await Database.create(settings.database, settings.trail_file)
    try:
        return await init_deployment(SqlChangeStore(database), master, act)
    finally:
        await database.close()


async def migrate_deployment(settings: Settings) -> None:
    """Bring existing databases to this program's version. Raises DatabaseVersionError, StorageUnavailable."""
    for history, path in ((FACTS, settings.database), (TRAIL, settings.trail_file)):
        if version_of(history, path) is None:
            raise DatabaseVersionError(f"{path}: no {history.name} database; run `multipartner init`")
    database = await Database.create(settings.database, settings.trail_file)
    await database.close()
