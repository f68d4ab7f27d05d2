"""Wiring for the operators' verbs: what the command line holds while it changes one deployment's facts."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from multipartner import keyfile
from multipartner.crypto.sealing import MasterKeys
from multipartner.partnering.acting import Act, ChangeRefused
from multipartner.partnering.keys import init_deployment
from multipartner.settings import Settings
from multipartner.storage.backend import Backend
from multipartner.storage.change_ports import ChangeStore
from multipartner.storage.changes import SqlChangeStore
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.sqlite_backend import SqliteBackend

_SIDE_FILES: Final = ("-wal", "-shm", "-journal", ".bell")
"""What comes into being beside a database."""


class Operator(msgspec.Struct, frozen=True):
    """An open deployment and its master keys."""

    store: ChangeStore
    master: MasterKeys


def backend_of(settings: Settings) -> Backend:
    """The engine that the settings name. Opens nothing; raises StorageUnavailable when its driver is not installed."""
    if isinstance(settings.database, Path):
        return SqliteBackend(settings.database, settings.trail_file)
    try:
        # Loaded here: whoever stays with files needs no driver.
        from multipartner.storage.postgres import Postgres  # noqa: PLC0415 - as the line above says
        from multipartner.storage.postgres_backend import PostgresBackend  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise StorageUnavailable("the driver for PostgreSQL is missing: pip install 'multipartner[server,postgres]'") from None
    return PostgresBackend(Postgres(settings.database.reveal()), settings.database_connections)


@asynccontextmanager
async def open_operator(settings: Settings) -> AsyncIterator[Operator]:
    """Open a deployment for changes. Raises KeyFileError, DatabaseVersionError, StorageUnavailable; then nothing was written."""
    master = keyfile.read(settings.master_key_file)
    async with open_store(settings) as store:
        yield Operator(store, master)


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[ChangeStore]:
    """As `open_operator`, for what needs no key."""
    database = await backend_of(settings).open()
    try:
        yield SqlChangeStore(database)
    finally:
        await database.close()


def begin_deployment(settings: Settings, act: Act) -> str:
    """Make a new deployment where there is nothing yet: key file, databases, first keys. Returns the first signing key's kid.

    Raises ChangeRefused, KeyFileError, StorageUnavailable; then nothing is left behind, but for empty tables on a server.
    """
    files = [settings.master_key_file]
    if isinstance(settings.database, Path):
        files += [settings.database, settings.trail_file]
    for path in files:
        if path.exists() or path.is_symlink():
            raise _exists(str(path))
        if not path.parent.is_dir():
            raise ChangeRefused(f"{path.parent}: there is no such folder; make it first")
    backend = backend_of(settings)
    if backend.exists():
        raise _exists(backend.name)
    keyfile.create(settings.master_key_file)
    with ExitStack() as made:
        # Half a deployment would stand in the way of the next `init`, and another's must not be lost by ours.
        made.enter_context(_taken_back(settings.master_key_file))
        for path in files[1:]:
            beside = [side for suffix in _SIDE_FILES if not (side := path.with_name(path.name + suffix)).exists()]
            _claim(path)
            made.enter_context(_taken_back(path, *beside))
        return asyncio.run(create_deployment(settings, act))


@contextmanager
def _taken_back(*ours: Path) -> Iterator[None]:
    """Delete files when what is done meanwhile fails."""
    try:
        yield
    except BaseException:
        for path in ours:
            with suppress(OSError):
                path.unlink()
        raise


def _claim(path: Path) -> None:
    """Create an empty database file (0600): of two at once only one does."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    except FileExistsError:
        raise _exists(str(path)) from None
    except OSError as error:
        raise ChangeRefused(f"{path}: cannot be written: {error.strerror}") from None


def _exists(place: str) -> ChangeRefused:
    return ChangeRefused(f"{place}: exists already; `init` makes a new deployment, name another place or move this one away")


async def create_deployment(settings: Settings, act: Act) -> str:
    """Create databases and first keys under an existing key file; returns the first signing key's kid.

    Raises ChangeRefused when the deployment exists, and what `open_operator` raises.
    """
    master = keyfile.read(settings.master_key_file)
    database = await backend_of(settings).create()
    try:
        return await init_deployment(SqlChangeStore(database), master, act)
    finally:
        await database.close()


async def migrate_deployment(settings: Settings) -> None:
    """Bring existing databases to this program's version. Raises DatabaseVersionError, StorageUnavailable."""
    await backend_of(settings).upgrade()
