"""Opening the store's database: which program and release wrote it, whether these keys are its own, and whether sealing binds."""

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from multipartner.client import store_schema as schema
from multipartner.client.ports import StoreUnavailable
from multipartner.client.store_file import Identity, StoreRefused, prepare
from multipartner.crypto.tenant_sealing import KEY_BYTES, Binding, SealBroken, TenantKeys, id_in

_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PAUSE_S: Final = 0.01


Tombstone = tuple[int, bytes, bytes]
"""Revision, name, and who buried it."""


class Opened(msgspec.Struct):
    """A connection, the file it goes to, and what the file says of itself. `version` is what `PRAGMA data_version` last said."""

    connection: sqlite3.Connection
    identity: Identity
    store_id: bytes
    naming: bytes
    newest: Tombstone | None
    version: int | None = None

    def __repr__(self) -> str:
        return "<Opened>"


def open_store(path: Path, keys: TenantKeys, wait_s: float) -> Opened:
    """Open the store, making it if there is none. Raises StoreRefused and StoreUnavailable."""
    if sqlite3.sqlite_version_info < schema.OLDEST_SQLITE:
        raise StoreRefused(f"{path}: SQLite {sqlite3.sqlite_version} is too old; 3.31 or newer is needed")
    give_up = time.monotonic() + wait_s
    while True:
        try:
            return _open(path, keys, wait_s)
        except sqlite3.Error as error:
            # Several processes that make one file at once: SQLite does not wait for each lock that this takes.
            if _code(error) not in _BUSY or time.monotonic() > give_up:
                raise unavailable(path, error) from error
            time.sleep(_PAUSE_S)


def unavailable(path: Path, error: sqlite3.Error) -> StoreUnavailable:
    """Say in one line what SQLite's error means. Its messages name tables and columns, never a value."""
    code = _code(error)
    if code in _DAMAGED:
        return StoreRefused(f"{path}: is damaged, or is no token store; move it away, the tokens will be fetched anew")
    if code in _BUSY:
        return StoreUnavailable(f"{path}: another process held it locked for too long")
    if code == sqlite3.SQLITE_FULL:
        return StoreUnavailable(f"{path}: the disk is full")
    return StoreUnavailable(f"{path}: {error}")


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _open(path: Path, keys: TenantKeys, wait_s: float) -> Opened:
    identity = prepare(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=wait_s, isolation_level=None, check_same_thread=False
    )
    try:
        is_new = _is_new(path, connection)
        _set_up(path, connection)
        if is_new:
            _create(path, connection, keys)
        return _adopt(path, connection, keys, identity)
    except BaseException:
        connection.close()
        raise


def _is_new(path: Path, connection: sqlite3.Connection) -> bool:
    """Tell whether there is nothing in it yet. Raises StoreRefused before anything of it is changed."""
    ((version, application, tables),) = connection.execute(schema.WHOSE).fetchall()
    if (version, application, tables) == (0, 0, 0):
        return True
    if application != schema.APPLICATION_ID or version < 1:
        raise StoreRefused(f"{path}: is another program's database; name another file")
    if version > schema.SCHEMA:
        raise StoreRefused(
            f"{path}: was written by a newer release (schema {version}, this one knows {schema.SCHEMA}); "
            "update this program, or name another file"
        )
    return False


def _set_up(path: Path, connection: sqlite3.Connection) -> None:
    ((mode,),) = connection.execute("PRAGMA journal_mode = WAL").fetchall()
    if mode != "wal":
        raise StoreRefused(f"{path}: no write-ahead log can be kept there; name a file on a local disk")
    # NORMAL: what a power failure takes is fetched anew. A file that lies to us shall not run functions of its choosing.
    for pragma in ("synchronous = NORMAL", "secure_delete = ON", "trusted_schema = OFF", "cell_size_check = ON"):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _create(path: Path, connection: sqlite3.Connection, keys: TenantKeys) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _is_new(path, connection):
            for statement in schema.CREATE:
                connection.execute(statement).fetchall()
            store_id = os.urandom(16)
            # Where a store was removed, its successor must not hand out generations that a process has seen already.
            values = {"store_id": store_id, "floor": int(time.time() * 1000)}
            values |= _sealed(keys, store_id, os.urandom(KEY_BYTES))
            connection.execute(schema.CREATE_STORE, values)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _adopt(path: Path, connection: sqlite3.Connection, keys: TenantKeys, identity: Identity) -> Opened:
    found = connection.execute(schema.READ_STORE).fetchall()
    if len(found) != 1 or not all(isinstance(part, bytes) for part in found[0]):
        raise StoreRefused(f"{path}: is damaged; move it away, the tokens will be fetched anew")
    store_id, naming, tripwire = found[0]
    try:
        naming_key = keys.open(naming, _naming(store_id))
        keys.open(tripwire, _tripwire(store_id))
    except SealBroken:
        raise StoreRefused(
            f"{path}: none of the given keys opens it; name the key file it was made with, or move it away: "
            "the tokens will be fetched anew"
        ) from None
    if not sealing_binds(keys, tripwire, _tripwire(store_id)):
        raise StoreRefused(f"{path}: what was sealed for one tenant opens for another; do not trust the installed cryptography")
    if id_in(naming) != keys.ids[0]:
        connection.execute(schema.SEAL_ANEW, {"before": naming, **_sealed(keys, store_id, naming_key)})
    newest = connection.execute(schema.NEWEST).fetchall()
    return Opened(connection, identity, store_id, naming_key, newest[0] if newest else None)


def sealing_binds(keys: TenantKeys, sealed: bytes, binding: Binding) -> bool:
    """Tell whether a sealed value fails to open under each binding that differs from its own in one field (the tripwire)."""
    return not any(
        _opens(keys, sealed, other)
        for other in (
            binding._replace(tenant=binding.tenant + b"\0"),
            binding._replace(generation=binding.generation + 1),
            binding._replace(expires_at_s=binding.expires_at_s + 1),
            binding._replace(refresh_at_s=binding.refresh_at_s + 1),
            binding._replace(purpose=b"token"),
        )
    )


def _opens(keys: TenantKeys, sealed: bytes, binding: Binding) -> bool:
    with suppress(SealBroken):
        keys.open(sealed, binding)
        return True
    return False


def _sealed(keys: TenantKeys, store_id: bytes, naming: bytes) -> dict[str, bytes]:
    return {"naming": keys.seal(naming, _naming(store_id)), "tripwire": keys.seal(b"no tenant's", _tripwire(store_id))}


def _naming(store_id: bytes) -> Binding:
    return Binding(store_id, 0, 0, 0, b"naming")


def _tripwire(store_id: bytes) -> Binding:
    return Binding(store_id, 0, 0, 0, b"tripwire")
