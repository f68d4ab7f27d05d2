"""The read side on PostgreSQL: a few connections for cold reads, each one question and one answer, and the change feed."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import asyncpg

from multipartner.domain.model import AppId, CredentialId, Facts, Tenant
from multipartner.storage import queries, rows
from multipartner.storage.compiled import Question, Text, postgres_text
from multipartner.storage.ports import (
    AppRecord,
    CallerRecord,
    Change,
    ResourceServerRecord,
    SealedKeyRecord,
    SigningKeyRecord,
    StorageUnavailable,
)
from multipartner.storage.postgres import Connection, Postgres, unavailable
from multipartner.storage.postgres_feed import PostgresFeed

READ_S: Final = 2.0
"""Patience with one read, a free connection included. What comes later is not used: facts may have changed long since."""

Pool: TypeAlias = Any
"""`asyncpg.Pool`: the driver's types are not published."""

_CLOSE_S: Final = 1.0
_CALLER: Final = postgres_text(queries.CALLER)
_APP: Final = postgres_text(queries.APP)
_FACTS: Final = postgres_text(queries.FACTS)
_SIGNING_KEYS: Final = postgres_text(queries.SIGNING_KEYS)
_SEALED_KEYS: Final = postgres_text(queries.SEALED_KEYS)
_RESOURCE_SERVER: Final = postgres_text(queries.RESOURCE_SERVER)
_SERVER: Final = postgres_text(queries.POSTGRES_SERVER).sql


class PostgresReader:
    """`backend.ServingReader` of one process and event loop. Making one connects to nothing.

    `boot_ns` reads the clock that `poll` is given; `connections`: at most so many read at once, one more is the feed's.
    `ask_every_s`: how often the feed is confirmed without a notification; None: as `stale_for_s` demands.
    """

    poll: Callable[[int], Sequence[Change]]
    """See `ports.ChangeFeed`."""

    def __init__(
        self,
        place: Postgres,
        *,
        boot_ns: Callable[[], int],
        stale_for_s: float = 1.0,
        limits: rows.LimitDefaults = rows.LimitDefaults(),  # noqa: B008 - immutable
        connections: int = 8,
        ask_every_s: float | None = None,
    ) -> None:
        self._place = place
        self._boot_ns = boot_ns
        self._limits = limits
        self._connections = connections
        self._pool: Pool | None = None
        self._is_open = False
        self._feed = PostgresFeed(place, boot_ns=boot_ns, stale_for_s=stale_for_s, on_move=self._let_go, ask_every_s=ask_every_s)
        # Not a method that calls it: every request does.
        self.poll = self._feed.poll

    async def open(self) -> None:
        """See `backend.ServingReader`."""
        await self._feed.open()
        self._is_open = True
        try:
            await self.sealed_keys()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See `backend.ServingReader`."""
        self._is_open = False
        await self._feed.close()
        if self._pool is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_CLOSE_S):
                    await self._pool.close()
        self._let_go()

    def lag_s(self, boot_ns: int) -> float:
        """See `backend.ServingReader`."""
        return self._feed.lag_s(boot_ns)

    def take_lags_s(self) -> Sequence[float]:
        """See `PostgresFeed`."""
        return self._feed.take_lags_s()

    async def confirmation(self) -> None:
        """Wait for the feed to be confirmed by a query that is sent from now on."""
        await self._feed.confirmation()

    async def caller(self, credential_id: CredentialId) -> CallerRecord | None:
        """See `ports.CallerReader`."""
        found = await self._read(_CALLER, {"credential_id": credential_id})
        return rows.caller_record(found[0], self._limits) if found else None

    async def app(self, app_id: AppId) -> AppRecord | None:
        """See `ports.AppReader`."""
        found = await self._read(_APP, {"app_id": app_id})
        return rows.app_record(found[0], self._limits) if found else None

    async def facts(self, tenant: Tenant) -> Facts:
        """See `ports.FactsReader`."""
        found = await self._read(
            _FACTS, {"app_id": tenant.app_id, "solution_id": tenant.solution_id, "business_id": tenant.business_id}
        )
        if not found:
            raise StorageUnavailable("the database has no deployment yet")
        return rows.facts(tenant, found[0])

    async def signing_keys(self) -> Sequence[SigningKeyRecord]:
        """See `ports.KeyReader`."""
        return [SigningKeyRecord(*row) for row in await self._read(_SIGNING_KEYS)]

    async def sealed_keys(self) -> Sequence[SealedKeyRecord]:
        """See `ports.KeyReader`."""
        return [SealedKeyRecord(*row) for row in await self._read(_SEALED_KEYS)]

    async def resource_server(self, server_id: str) -> ResourceServerRecord | None:
        """See `ports.KeyReader`."""
        found = await self._read(_RESOURCE_SERVER, {"server_id": server_id})
        return ResourceServerRecord(*found[0]) if found else None

    async def ask(self, question: Question, values: Mapping[str, str | int]) -> Sequence[tuple[Any, ...]]:
        """See `backend.ServingReader`."""
        return await self._read(question.postgres, values)

    async def _read(self, text: Text, values: Mapping[str, str | int] = {}) -> list[tuple[Any, ...]]:
        moves, began_ns = self._feed.moves, self._boot_ns()
        with unavailable(self._place):
            async with asyncio.timeout(READ_S):
                found = await self._fetch(text.sql, [values[name] for name in text.names])
        # The loop's clock may have stood still with the process; and the feed vouches only for the server that it stands on.
        if self._boot_ns() - began_ns > READ_S * 1e9 or self._feed.moves != moves:
            raise StorageUnavailable(f"{self._place.name}: the answer came too late")
        return found

    async def _fetch(self, sql: str, values: Sequence[str | int]) -> list[tuple[Any, ...]]:
        pool = await self._open_pool()
        connection = await pool.acquire()
        try:
            return [tuple(row) for row in await connection.fetch(sql, *values)]
        except (asyncio.CancelledError, TimeoutError):
            # Asking a server that does not answer to cancel, and waiting for that, would keep the connection from others.
            connection.terminate()
            raise
        finally:
            await pool.release(connection)

    async def _connect(self, *_arguments: object, **_options: object) -> Connection:
        """Connect for the pool: to the feed's server and to no other, and only to read."""
        connection = await self._feed.dial("multipartner reader", READ_S)
        try:
            started, _ = await connection.fetchrow(_SERVER)
        except BaseException:
            connection.terminate()
            raise
        if started != self._feed.started:
            connection.terminate()
            raise StorageUnavailable(f"{self._place.name}: two servers answer; fence off the one that was left behind")
        return connection

    async def _open_pool(self) -> Pool:
        if self._pool is None:
            if not self._is_open:
                raise StorageUnavailable(f"{self._place.name}: not open")
            # None that are kept without need: the pool would restore them on its own, and log how that fails. So nothing is
            # connected here, and nothing waits: two that come at once cannot make two pools.
            self._pool = await asyncpg.create_pool(
                connect=self._connect, min_size=0, max_size=self._connections, reset=_leave_as_is
            )
        return self._pool

    def _let_go(self) -> None:
        """Drop all connections, also those that wait for an answer: it would be another server's, or none."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()


async def _leave_as_is(_connection: Connection) -> None:
    """Return a connection to the pool without a word to the server: nothing but single reads was done on it."""
