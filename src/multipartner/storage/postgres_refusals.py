"""Refusals in PostgreSQL, kept through a connection of their own, whose commits do not wait for the disk."""

import asyncio
from collections import deque
from typing import Final

import asyncpg

from multipartner.domain.events import RefusalRecord
from multipartner.storage.compiled import postgres_text
from multipartner.storage.kept_connection import KeptConnection
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.postgres import Connection, Postgres, unavailable
from multipartner.storage.refusals import PRUNE, PRUNED_EVERY, row_of, shares_of
from multipartner.storage.tables import refusal

_AT_ONCE: Final = 100
_STATEMENT_S: Final = 1.0
_PRUNE: Final = postgres_text(PRUNE)
_VALUES: Final = "SELECT * FROM unnest($1::text[], $2::boolean[], $3::bytea[])"
_INSERT: Final = f"INSERT INTO {refusal.name} (trace_id, known, body) {_VALUES}"


class RefusalKeeper:
    """Takes refusals from a queue; connects with the first one. What cannot be written is dropped and counted."""

    def __init__(self, place: Postgres, refusals: deque[RefusalRecord], kept: int) -> None:
        self.dropped = 0
        self._place = place
        self._refusals = refusals
        self._kept = shares_of(kept)
        self._until_pruning = 0
        self._connection = KeptConnection(place, "multipartner refusals", _STATEMENT_S, _without_waiting)
        self._keeping: asyncio.Task[None] | None = None

    def keep(self) -> None:
        """Begin to write what waits; does nothing if that is under way."""
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep())

    async def close(self, patience_s: float) -> None:
        """Write what waits, and let go of the connection. Does not raise."""
        if self._keeping is not None and not self._keeping.done():
            await asyncio.wait([self._keeping], timeout=patience_s)
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        self.dropped += len(self._refusals)
        self._refusals.clear()
        await self._connection.close(patience_s)

    async def _keep(self) -> None:
        while self._refusals:
            some = [self._refusals.popleft() for _ in range(min(_AT_ONCE, len(self._refusals)))]
            try:
                connection = await self._connection.get()
                with unavailable(self._place):
                    await connection.execute(_INSERT, *zip(*map(row_of, some), strict=True))
            except (StorageUnavailable, asyncpg.InternalClientError):
                self.dropped += len(some)
                continue
            self._until_pruning -= len(some)
            if self._until_pruning <= 0:
                self._until_pruning = PRUNED_EVERY
                await self._prune(connection)

    async def _prune(self, connection: Connection) -> None:
        for known, kept in self._kept.items():
            given = {"known": known, "kept": kept}
            try:
                with unavailable(self._place):
                    await connection.execute(_PRUNE.sql, *(given[name] for name in _PRUNE.names))
            except StorageUnavailable:
                return  # the next pruning takes more


async def _without_waiting(connection: Connection) -> None:
    await connection.execute("SET synchronous_commit = off")
