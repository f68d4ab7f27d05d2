"""The trail of one process in PostgreSQL: each batch is one statement, and one transaction, on a connection of its own."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

import asyncpg

from multipartner.domain.events import RefusalRecord
from multipartner.storage import chain
from multipartner.storage.chain import COLUMNS, Head
from multipartner.storage.compiled import postgres_text
from multipartner.storage.grouped_trail import GroupedTrail, Settled, TrailLimits, Waiting
from multipartner.storage.kept_connection import KeptConnection
from multipartner.storage.ports import StorageUnavailable, TrailUnavailable
from multipartner.storage.postgres import Connection, Postgres, reason, unavailable
from multipartner.storage.postgres_engine import in_database
from multipartner.storage.postgres_refusals import RefusalKeeper
from multipartner.storage.tables import trail_event

_HEAD: Final = postgres_text(chain.HEAD).sql
_READ_ONLY: Final = "SELECT current_setting('transaction_read_only') = 'on'"
_TYPES: Final = ("text", "bigint", "bigint", "text", "bigint", "bytea", "bytea")
_PLACES: Final = ", ".join(f"${number}::{name}[]" for number, name in enumerate(_TYPES, 1))
_INSERT: Final = f"INSERT INTO {trail_event.name} ({', '.join(COLUMNS)}) SELECT * FROM unnest({_PLACES})"  # noqa: S608 - names of the schema

_ENDED: Final = ("08", "57P")
"""SQLSTATEs of a session that ends: it may have committed before it said so."""


class PostgresTrail(GroupedTrail):
    """See `GroupedTrail`. `explain_kept`: refusals kept in the table, by all processes; strangers' one fifth of them."""

    def __init__(self, place: Postgres, *, explain_kept: int = 100_000, limits: TrailLimits | None = None) -> None:
        limits, refusals = limits or TrailLimits(), deque[RefusalRecord]()
        super().__init__(_Writer(place, refusals, limits, explain_kept), refusals, limits)


class _Writer:
    """`grouped_trail.Writer`. Where the chain goes on is what the database says, after every connection anew.

    So after a failover to a server that lacks the last events the chain goes on from those it has.
    """

    def __init__(self, place: Postgres, refusals: deque[RefusalRecord], limits: TrailLimits, explain_kept: int) -> None:
        self._place = place
        self._limits = limits
        self._refusals = RefusalKeeper(place, refusals, explain_kept)
        self._kept = KeptConnection(place, "multipartner trail", limits.lock_s, self._prepare)
        self._chain = ""
        self._opened_at_s = 0
        self._head: Head | None = None
        self._in_doubt = False
        self._batch: asyncio.Task[None] | None = None

    @property
    def gathers(self) -> bool:
        """See `Writer`: one batch after the other, so that what is in doubt is never more than one."""
        return False

    @property
    def dropped(self) -> int:
        """See `Writer`."""
        return self._refusals.dropped

    def is_writable(self) -> bool:
        """See `Writer`."""
        return self._kept.is_up

    async def open(self, chain: str, at_s: int, settled: Settled) -> None:
        """See `Writer`."""
        self._chain, self._opened_at_s, self._settled = chain, at_s, settled
        try:
            await self._kept.open()
        except StorageUnavailable as error:
            raise TrailUnavailable(f"the trail cannot be opened: {error}") from None

    def write(self, events: Sequence[Waiting]) -> None:
        """See `Writer`."""
        self._batch = asyncio.create_task(self._write(events))

    def keep_refusals(self) -> None:
        """See `Writer`."""
        self._refusals.keep()

    async def close(self, at_s: int, patience_s: float) -> None:
        """See `Writer`."""
        await self._refusals.close(patience_s)
        # An event of which nobody knows may still be committed: after the end was told it would look like a forgery.
        if self._kept.is_up and not self._in_doubt and (self._batch is None or self._batch.done()):
            try:
                async with asyncio.timeout(patience_s):
                    await in_database(self._place, lambda to: chain.close_writer(to, self._chain, at_s), write=True)
            except (StorageUnavailable, TimeoutError):
                pass  # a chain whose end is not told stays verifiable
        await self._kept.close(patience_s)
        if self._batch is not None:
            await asyncio.wait([self._batch])

    async def _prepare(self, connection: Connection) -> None:
        with unavailable(self._place):
            if await connection.fetchval(_READ_ONLY):
                raise StorageUnavailable(f"{self._place.name}: the server takes no writes: is it a standby?")
            head = await self._read_head(connection)
        if not head.seq:
            # A new chain; or one that a standby never heard of, which is the primary now.
            chain_id, at_s = self._chain, self._opened_at_s
            head = await in_database(self._place, lambda to: chain.open_writer(to, chain_id, at_s), write=True)
        self._head = head

    async def _read_head(self, connection: Connection) -> Head:
        row = await connection.fetchrow(_HEAD, self._chain)
        return Head(*row) if row else Head()

    async def _write(self, batch: Sequence[Waiting]) -> None:
        try:
            error = await self._insert(batch)
        except StorageUnavailable as unable:
            error = f"the trail cannot be written: {unable}"
        except Exception as bug:  # noqa: BLE001 - the batch must be refused, or it would wait for ever
            error = f"the trail's writer failed: {type(bug).__name__}"
        self._settled(len(batch), error)

    async def _insert(self, batch: Sequence[Waiting]) -> str | None:
        """Write a batch; return why not, or None. Raises StorageUnavailable; then nothing was sent."""
        connection = await self._kept.get()
        if self._head is None:
            with unavailable(self._place):
                self._head = await self._read_head(connection)
        entries = [one.entry for one in batch if not one.future.done()]
        if not entries:
            return None
        values, head = chain.linked(self._chain, self._head, entries)
        columns = (values[place :: len(COLUMNS)] for place in range(len(COLUMNS)))
        # Ends the connection rather than the statement: it must not be waited for whether the server hears of it.
        patience = asyncio.get_running_loop().call_later(self._limits.record_s, self._kept.lose, connection)
        was_in_doubt, self._in_doubt = self._in_doubt, True
        try:
            await connection.execute(_INSERT, *columns)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            if _is_known(error):
                self._in_doubt = was_in_doubt
            self._refuse(error, connection)
            return f"the trail cannot be written: {self._place.name}: {reason(error)}"
        finally:
            patience.cancel()
        self._head, self._in_doubt = head, False
        return None

    def _refuse(self, error: Exception, connection: Connection) -> None:
        """Put right what a failed statement tells about the connection and the head."""
        if isinstance(error, asyncpg.UniqueViolationError):
            self._head = None  # what was in doubt has come true
        elif not _is_known(error) or isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            self._kept.lose(connection)


def _is_known(error: Exception) -> bool:
    """Whether the server said that the statement failed: then nothing of it stays."""
    return isinstance(error, asyncpg.PostgresError) and not (error.sqlstate or "08").startswith(_ENDED)
