"""The read side on SQLite: one synchronous connection on the event loop, because a read costs less than a hop to a thread."""

import operator
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from multipartner.domain.model import AppId, CredentialId, Facts, SolutionId, Tenant
from multipartner.storage import queries, rows
from multipartner.storage.compiled import Question, sqlite_array_text, sqlite_text
from multipartner.storage.doorbell import Doorbell, bell_path
from multipartner.storage.ports import (
    AppRecord,
    CallerRecord,
    Change,
    ChangeKind,
    ResourceServerRecord,
    SealedKeyRecord,
    SigningKeyRecord,
    StorageUnavailable,
)

CHECK_EVERY_NS: Final = 50_000_000
"""How often the feed is confirmed without a ring: for writers that are not ours, and for files that were replaced."""

MOST_CHANGES: Final = 1000
"""More than these at once are told as EVERYTHING."""

MOST_IN_COMMON: Final = 1000
"""Apps with a solution whose rows are remembered. Ids come from callers, who may ask for solutions that do not exist."""

_BUSY_S: Final = 0.05  # a reader of a WAL hardly ever waits, and the loop waits with it
_NOTHING: Final[Sequence[Change]] = ()  # shared: the hot path makes nothing
_NO_LAGS: Final[Sequence[float]] = ()
_EVERYTHING: Final[Sequence[Change]] = (Change(ChangeKind.EVERYTHING),)
_KINDS: Final = {kind.value: kind for kind in ChangeKind}

_decode: Final = msgspec.json.Decoder(list[Any]).decode


class _OfTenant:
    """A statement whose values are a tenant's ids."""

    def __init__(self, statement: sa.Select[Any]) -> None:
        text = sqlite_array_text(statement)
        self.sql = text.sql
        self.values: Callable[[Tenant], tuple[str, ...]] = operator.attrgetter(*text.names)


_CALLER: Final = sqlite_text(queries.CALLER)
_APP: Final = sqlite_text(queries.APP)


_FACTS: Final = _OfTenant(queries.FACTS_AND_REVISION)
_CUSTOMER: Final = _OfTenant(queries.CUSTOMER_AND_REVISION)
_SIGNING_KEYS: Final = sqlite_text(queries.SIGNING_KEYS)
_SEALED_KEYS: Final = sqlite_text(queries.SEALED_KEYS)
_RESOURCE_SERVER: Final = sqlite_text(queries.RESOURCE_SERVER)
_CHANGES_FROM: Final = sqlite_text(queries.CHANGES_FROM)
_NEWEST_CHANGE: Final = sqlite_text(queries.NEWEST_CHANGE)


class SqliteReader:
    """`ports.Reader` of one process and one thread. Opening raises StorageUnavailable.

    `stale_for_s`: how long `poll` may go on without having been able to confirm the feed.
    """

    _seen: int
    _version: int
    _last: tuple[Any, ...] | None

    def __init__(self, path: Path, *, stale_for_s: float = 1.0, limits: rows.LimitDefaults = rows.LimitDefaults()) -> None:  # noqa: B008 - immutable
        self._path = path
        self._limits = limits
        self._stale_for_ns = int(stale_for_s * 1e9)
        self._failing = False
        self._next_check_ns = 0
        self.confirmed_boot_ns: int | None = None
        """When the feed was last confirmed (boot clock); None before the first poll."""
        try:
            self._adopt(_Opened(path))
        except (sqlite3.Error, OSError) as error:
            raise StorageUnavailable(f"{path.name}: {error}") from error

    async def open(self) -> None:
        """See `backend.ServingReader`: all was opened when it was made."""

    async def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def lag_s(self, boot_ns: int) -> float:
        """How long ago the feed was confirmed, in seconds; infinite before the first poll."""
        return float("inf") if self.confirmed_boot_ns is None else (boot_ns - self.confirmed_boot_ns) / 1e9

    async def confirmation(self) -> None:
        """See `backend.ServingReader`: whoever commits rings the bell, and each request looks at it."""

    def take_lags_s(self) -> Sequence[float]:
        """See `backend.ServingReader`: the bell is looked at in each request, so there is no lag to tell of."""
        return _NO_LAGS

    async def caller(self, credential_id: CredentialId) -> CallerRecord | None:
        """See `ports.CallerReader`."""
        found = self._read(_CALLER, {"credential_id": credential_id})
        return rows.caller_record(found[0], self._limits) if found else None

    async def app(self, app_id: AppId) -> AppRecord | None:
        """See `ports.AppReader`."""
        found = self._read(_APP, {"app_id": app_id})
        return rows.app_record(found[0], self._limits) if found else None

    async def facts(self, tenant: Tenant) -> Facts:
        """See `ports.FactsReader`.

        What all customers of an app and a solution have in common is read again after any change, and else remembered: half of
        the tables. Rows of one revision belong together, and each statement tells the one it read at.
        """
        known = self._in_common.get((tenant.app_id, tenant.solution_id))
        if known is not None:
            revision, *of_customer = self._row(_CUSTOMER, tenant)
            if revision == known[0] and revision is not None:
                return rows.facts(tenant, [*known[1:], *of_customer])
        row = self._row(_FACTS, tenant)
        in_common = row[: 1 + queries.OF_SOLUTION_COLUMNS]
        if len(self._in_common) >= MOST_IN_COMMON:
            self._in_common.clear()
        self._in_common[tenant.app_id, tenant.solution_id] = in_common
        return rows.facts(tenant, row[1:])

    def _row(self, asked: "_OfTenant", tenant: Tenant) -> list[Any]:
        found = self._read(asked.sql, asked.values(tenant))
        if not found:
            raise StorageUnavailable("the database has no deployment yet")
        return _decode(found[0][0])

    async def signing_keys(self) -> Sequence[SigningKeyRecord]:
        """See `ports.KeyReader`."""
        return [SigningKeyRecord(*row) for row in self._read(_SIGNING_KEYS)]

    async def sealed_keys(self) -> Sequence[SealedKeyRecord]:
        """See `ports.KeyReader`."""
        return [SealedKeyRecord(*row) for row in self._read(_SEALED_KEYS)]

    async def resource_server(self, server_id: str) -> ResourceServerRecord | None:
        """See `ports.KeyReader`."""
        found = self._read(_RESOURCE_SERVER, {"server_id": server_id})
        return ResourceServerRecord(*found[0]) if found else None

    async def ask(self, question: Question, values: Mapping[str, str | int]) -> Sequence[tuple[Any, ...]]:
        """See `backend.ServingReader`."""
        return self._read(question.sqlite, values)

    def poll(self, boot_ns: int) -> Sequence[Change]:
        """See `ports.ChangeFeed`. Costs a glance at the bell, and every 50 ms a look at the database itself."""
        if self._view[0] == self._seen and boot_ns < self._next_check_ns:
            return _NOTHING
        return self._look(boot_ns)

    def _look(self, boot_ns: int) -> Sequence[Change]:
        # The bell's value is taken before the rows are read: a ring in between is met again by the next poll.
        value = self._view[0]
        try:
            changes = self._news(value)
        except (sqlite3.Error, OSError) as error:
            self._failing = True
            self._next_check_ns = 0
            rang = value != self._seen
            if rang or self.confirmed_boot_ns is None or boot_ns - self.confirmed_boot_ns > self._stale_for_ns:
                raise StorageUnavailable(f"the change feed cannot be confirmed: {error}") from error
            return _NOTHING
        if self._failing:
            self._failing = False
            changes = _EVERYTHING
        self.confirmed_boot_ns = boot_ns
        self._next_check_ns = boot_ns + CHECK_EVERY_NS
        return changes

    def _news(self, value: int) -> Sequence[Change]:
        if self._opened.replaced():
            old = self._connection
            self._adopt(_Opened(self._path))
            old.close()
            return _EVERYTHING
        version = _data_version(self._connection)
        if value == self._seen and version == self._version:
            return _NOTHING
        # A copy put into the same file may have come to the same revision by another way.
        self._in_common.clear()
        changes = self._fetch()
        self._seen, self._version = value, version
        return changes

    def _fetch(self) -> Sequence[Change]:
        revision = self._last[0] if self._last else 0
        found = self._connection.execute(_CHANGES_FROM, {"revision": revision, "most": MOST_CHANGES + 2}).fetchall()
        if self._last is None:
            whole = not found or found[0][0] == 1
        else:
            whole = bool(found) and found[0] == self._last
            found = found[1:]
        newest = found[-1][0] if found else revision
        if not whole or newest - revision != len(found) or len(found) > MOST_CHANGES:
            self._last = _newest(self._connection)
            return _EVERYTHING
        if not found:
            return _NOTHING
        self._last = found[-1]
        if any(row[1] not in _KINDS for row in found):
            return _EVERYTHING
        return tuple(Change(_KINDS[kind], key1, key2) for _, kind, key1, key2 in found)

    def _adopt(self, opened: "_Opened") -> None:
        self._in_common: dict[tuple[AppId, SolutionId], list[Any]] = {}
        self._opened = opened
        self._connection = opened.connection
        self._view = opened.bell.view
        self._seen = opened.seen
        self._version = opened.version
        self._last = opened.last

    def _read(self, text: str, parameters: Mapping[str, str | int] | tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            # All rows at once: a statement left unfinished would hold its read transaction, and with it the past.
            return self._connection.execute(text, parameters).fetchall()
        except sqlite3.Error as error:
            raise StorageUnavailable(f"{self._path.name}: {error}") from error


def fold(path: Path) -> None:
    """Fold a database's write-ahead log into it as far as others let it; never raises.

    Readers never do. Without it a copy of the database alone, taken after a stop, would lack the last changes.
    """
    uri = f"{path.absolute().as_uri()}?mode=rw"
    with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S)) as last:
        last.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


class _Opened:
    """Bell and database, and where the feed stood before anything was read from it. Raises OSError, sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.bell = Doorbell(bell_path(path))
        self.seen = self.bell.value
        self._identity = self._stat()
        self.connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            # 64 MB: the inner pages of a million shares. A memory map would save another 10 us of a cold grant's 40, and kill the
            # worker (SIGBUS) when somebody copies another file over the database: that must be the transient 500.
            self.connection.execute("PRAGMA cache_size = -65536")
            self.version = _data_version(self.connection)
            self.last = _newest(self.connection)
        except sqlite3.Error:
            self.connection.close()
            raise

    def replaced(self) -> bool:
        """Tell whether other files have our files' names; raises OSError when the database is gone."""
        return self._stat() != self._identity or self.bell.replaced()

    def _stat(self) -> tuple[int, int]:
        status = os.stat(self._path)  # noqa: PTH116 - twice as fast, and on every check
        return status.st_dev, status.st_ino


def _data_version(connection: sqlite3.Connection) -> int:
    """A number that moves with every commit of another connection."""
    return int(connection.execute("PRAGMA data_version").fetchall()[0][0])


def _newest(connection: sqlite3.Connection) -> tuple[Any, ...] | None:
    found = connection.execute(_NEWEST_CHANGE).fetchall()
    return found[0] if found else None
