"""Tokens that outlive a process and are shared by several on one host: sealed rows in an SQLite file (`ports.TokenStore`).

One connection under a lock: a load takes tens of microseconds, and `PRAGMA data_version` then tells of others' commits alone.
"""

import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from multipartner.client import store_schema as schema
from multipartner.client.keys import TokenKey
from multipartner.client.ports import Stored, StoreUnavailable
from multipartner.client.store_file import StoreRefused, identity
from multipartner.client.store_keys import KeyUse
from multipartner.client.store_opening import Opened, Tombstone, open_store, unavailable
from multipartner.client.store_transactions import durable, never_close, truncate, writing
from multipartner.crypto.tenant_sealing import Binding, SealBroken, TenantKeys

__all__ = ["SqliteTokenStore", "StoreRefused"]

Hook = Callable[[str, TokenKey | None], None]
"""Told `store_row_unopened` and the key whose row did not open. What it raises is dropped."""

MOST_TOMBSTONES: Final = 10_000
_LONGEST_TOKEN: Final = 16_384
_PURGE_EVERY_S: Final = 60
_GONE_AT_ONCE: Final = 200
_FORGET_AT_ONCE: Final = 1000
_KEEPABLE: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT})
_NOTHING: Final[Collection[bytes]] = ()


class SqliteTokenStore:
    """The store in one file. For any number of processes and threads of one host, on a local disk.

    `max_rows` bounds it: what has expired goes first, then what expires next. `wait_s` bounds the wait for another process,
    and for another thread. Opening raises StoreRefused for what somebody has to mend, StoreUnavailable for what may pass; every
    method but `close` may as well, and then the next call tries again.
    """

    def __init__(
        self, path: Path, keys: TenantKeys, *, max_rows: int = 250_000, wait_s: float = 1.0, hooks: Sequence[Hook] = ()
    ) -> None:
        if max_rows < 1:
            raise ValueError("max_rows must be at least 1")
        self._path = Path(path)
        self._keys = keys
        self._max_rows = max_rows
        self._wait_s = wait_s
        self._hooks = tuple(hooks)
        self._opened: Opened | None = None
        self._store_id = b""
        self._naming = b""
        self._last: Tombstone | None = None
        self._all_may_be_forgotten = False
        self._purge_at_s = 0
        self._log_keeps_deleted = False
        self._begin()
        with self._connected():
            pass

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._owner = os.urandom(16)

    # what a provider asks for

    def load(self, key: TokenKey, now_s: int) -> Stored | None:
        """See `ports.TokenStore`."""
        with self._connected() as connection:
            found = connection.execute(schema.LOAD, (self._name(key),)).fetchall()
        if not found or found[0][3] == b"":
            return None
        try:
            stored, end_s = _unsealed(self._keys, key, found[0])
        except SealBroken:
            self._tell("store_row_unopened", key)
            return None
        return stored if now_s < end_s else None

    def lease(self, key: TokenKey, until_s: int, now_s: int) -> int | None:
        """See `ports.TokenStore`. A lease is cut to 120 s."""
        too_late_s = now_s + schema.LONGEST_LEASE_S
        ask: dict[str, Any] = {"now_s": now_s, "until_s": min(until_s, too_late_s), "too_late_s": too_late_s}
        with self._connected() as connection:
            ask |= {"name": self._name(key), "owner": self._owner}
            with writing(connection):
                purged = self._purge(connection, ask)
                leased = self._take(connection, ask)
                self._make_room(connection, ask)
            if purged or self._log_keeps_deleted:
                self._log_keeps_deleted = not truncate(connection)
        return leased

    def publish(self, key: TokenKey, token: Stored) -> bool:
        """See `ports.TokenStore`. False as well for what is no token: the lease is given back."""
        if not _is_keepable(token):
            self.release(key)
            return False
        sealed = self._keys.seal(token.text.encode(), _binding(key, token.generation, token.expires_at_s, token.refresh_at_s))
        with self._connected() as connection:
            values = {
                "name": self._name(key),
                "owner": self._owner,
                "generation": token.generation,
                "expires_at_s": token.expires_at_s,
                "refresh_at_s": token.refresh_at_s,
                "sealed": sealed,
            }
            return connection.execute(schema.PUBLISH, values).rowcount == 1

    def release(self, key: TokenKey) -> None:
        """See `ports.TokenStore`."""
        with self._connected() as connection:
            values = {"name": self._name(key), "owner": self._owner}
            with writing(connection):
                for statement in schema.RELEASE:
                    connection.execute(statement, values)

    def forget(self, keys: Sequence[TokenKey]) -> None:
        """See `ports.TokenStore`. Survives a power failure; what is deleted is overwritten."""
        for start in range(0, len(keys), _FORGET_AT_ONCE):
            with self._connected() as connection:
                rows = [{"name": self._name(key), "owner": self._owner} for key in keys[start : start + _FORGET_AT_ONCE]]
                with durable(connection), writing(connection):
                    connection.executemany(schema.DELETE, rows)
                    connection.executemany(schema.BURY, rows)
                    connection.execute(schema.TRIM, {"most": MOST_TOMBSTONES})
                self._log_keeps_deleted = not truncate(connection)

    def digest(self, key: TokenKey) -> bytes:
        """See `ports.TokenStore`. Once the store has been open it needs no file."""
        if not self._naming:
            with self._connected():
                pass
        return self._name(key)

    def forgotten(self) -> Collection[bytes] | None:
        """See `ports.TokenStore`. Without news one pragma, without a query."""
        with self._connected() as connection:
            if self._all_may_be_forgotten:
                self._all_may_be_forgotten = False
                return None
            ((version,),) = connection.execute("PRAGMA data_version").fetchall()
            if self._opened is None or version == self._opened.version:
                return _NOTHING
            last = self._last
            found: list[Tombstone] = connection.execute(schema.BURIED_FROM, (last[0] if last else 0,)).fetchall()
            self._last = found[-1] if found else None
            self._opened.version = version
        # The last one seen is asked for again: if it is not there as it was, others are missing that were never seen.
        if last is None:
            is_whole = not found or found[0][0] == 1
        else:
            is_whole, found = found[:1] == [last], found[1:]
        return {name for _, name, origin in found if origin != self._owner} if is_whole else None

    def close(self) -> None:
        """See `ports.TokenStore`."""
        self._leave_to_parent()
        with self._lock:
            self._drop()

    # what an operator asks for

    def key_use(self) -> list[KeyUse]:
        """Say what is sealed under which key, so that an old one can be dropped. Reads the whole store."""
        with self._connected() as connection:
            found = {row[0]: row for row in connection.execute(schema.USE).fetchall()}
        ids = self._keys.ids
        return [
            KeyUse(
                key_id.hex(),
                found[key_id][1] if key_id in found else 0,
                found[key_id][2] if key_id in found else 0,
                seals=key_id == ids[0],
                opens=key_id in ids,
            )
            for key_id in dict.fromkeys((*ids, *found))
        ]

    # below

    def _take(self, connection: sqlite3.Connection, ask: dict[str, Any]) -> int | None:
        connection.execute(schema.LEASE, ask)
        found = connection.execute(schema.LEASED, ask).fetchall()
        if found and not _is_whole(found[0][0]):
            # No generation of ours: the file was edited or is damaged. Without this its key would never be kept again.
            connection.execute(schema.DELETE, ask)
            connection.execute(schema.LEASE, ask)
            found = connection.execute(schema.LEASED, ask).fetchall()
        return int(found[0][0]) if found else None

    def _make_room(self, connection: sqlite3.Connection, ask: dict[str, Any]) -> None:
        ((tokens,),) = connection.execute(schema.COUNT).fetchall()
        if tokens > self._max_rows:
            # A bounded number, also when the bound was lowered: others wait for the lock meanwhile.
            excess = min(tokens - self._max_rows, _GONE_AT_ONCE)
            if connection.execute(schema.EVICT, {**ask, "excess": excess}).rowcount < 1:
                raise StoreUnavailable(f"{self._path}: all of its {self._max_rows} rows are leased")

    def _purge(self, connection: sqlite3.Connection, ask: dict[str, Any]) -> bool:
        now_s = ask["now_s"]
        if self._purge_at_s - _PURGE_EVERY_S <= now_s < self._purge_at_s:
            return False
        gone = connection.execute(schema.PURGE, {**ask, "most": _GONE_AT_ONCE}).rowcount
        self._purge_at_s = now_s + _PURGE_EVERY_S if gone < _GONE_AT_ONCE else now_s
        return gone > 0

    def _name(self, key: TokenKey) -> bytes:
        return hashlib.blake2b(key.canonical(), digest_size=32, key=self._naming).digest()

    def _tell(self, event: str, key: TokenKey) -> None:
        for hook in self._hooks:
            with suppress(Exception):
                hook(event, key)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        self._leave_to_parent()
        if not self._lock.acquire(timeout=self._wait_s):
            raise StoreUnavailable(f"{self._path}: another thread waits for it")
        try:
            yield self._current().connection
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _KEEPABLE:
                self._drop()
            raise unavailable(self._path, error) from error
        finally:
            self._lock.release()

    def _current(self) -> Opened:
        if self._opened is not None and identity(self._path) == self._opened.identity:
            return self._opened
        self._drop()
        opened = open_store(self._path, self._keys, self._wait_s)
        if opened.store_id != self._store_id:
            self._all_may_be_forgotten = bool(self._store_id)
            self._store_id, self._naming, self._last = opened.store_id, opened.naming, opened.newest
        self._opened = opened
        return opened

    def _drop(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            with suppress(sqlite3.Error):
                opened.connection.close()

    def _leave_to_parent(self) -> None:
        """In a forked child: the connection is the parent's, and so are lock and leases."""
        if self._pid != os.getpid():
            opened, self._opened = self._opened, None
            if opened is not None:
                never_close(opened.connection)
            self._begin()


def _unsealed(keys: TenantKeys, key: TokenKey, row: tuple[Any, ...]) -> tuple[Stored, int]:
    """Open a row for the key that was asked for; return the token and when it ends. Raises SealBroken."""
    generation, expires_at_s, refresh_at_s, sealed, end_s = row
    if not all(_is_whole(number) for number in row[:3]) or type(sealed) is not bytes:
        raise SealBroken("not a row of ours")
    text = keys.open(sealed, _binding(key, generation, expires_at_s, refresh_at_s)).decode()
    return Stored(text, expires_at_s, refresh_at_s, generation), end_s


def _binding(key: TokenKey, generation: int, expires_at_s: int, refresh_at_s: int) -> Binding:
    return Binding(key.canonical(), generation, expires_at_s, refresh_at_s)


def _is_keepable(token: Stored) -> bool:
    numbers = (token.generation, token.expires_at_s, token.refresh_at_s)
    return token.text.isascii() and 0 < len(token.text) <= _LONGEST_TOKEN and all(map(_is_whole, numbers))


def _is_whole(number: object) -> bool:
    return type(number) is int and 0 <= number <= schema.MAX_NUMBER
