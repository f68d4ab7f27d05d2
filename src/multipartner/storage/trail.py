"""The trail of one process, as the event loop sees it; `trail_writer` is the thread behind it.

Issuance fails closed: `record` returns once the event is on disk and raises if it cannot be. While one commit waits for the
disk the next events gather, and share the following one. Refusals are kept best effort.
"""

import asyncio
import queue
import secrets
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from multipartner.domain.events import Event, RefusalRecord
from multipartner.storage.chain import Entry
from multipartner.storage.ports import TrailUnavailable
from multipartner.storage.trail_writer import MOST_AT_ONCE, Batch, TrailWriter, Waiting

_STRANGERS_PER_S: Final = 100


class TrailLimits(msgspec.Struct, frozen=True):
    """What one process may keep waiting: events and refusals, and how long (seconds) for the file's lock and for the disk.

    `lock_s` is below `record_s`, so that a lock which is held ends in an orderly refusal before anybody loses patience.
    """

    waiting_events: int = 4096
    waiting_refusals: int = 10_000
    lock_s: float = 2.0
    record_s: float = 5.0


class SqliteTrail:
    """`ports.Trail` of one process and event loop. Call `open` after any fork, `close` at the end.

    Each opening starts a chain of its own. Its first link and a link of the shared chain `changes` say that it was opened; on
    closing, the shared chain says where it ended. So `audit.verify` finds a missing chain and a cut end of a closed one.

    `explain_kept`: refusals kept in the file, strangers' one fifth of them.
    """

    def __init__(self, path: Path, *, explain_kept: int = 100_000, limits: TrailLimits | None = None) -> None:
        self._path = path
        self._explain_kept = explain_kept
        self._limits = limits or TrailLimits()
        self._outstanding: deque[Waiting] = deque()
        self._refusals: deque[RefusalRecord] = deque()
        self._gathered: list[Waiting] = []
        self._in_flight = False
        self._queue: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._writer: TrailWriter | None = None
        self._is_open = False
        self._settled = 0
        self._watch: asyncio.TimerHandle | None = None
        self._strangers_at_s = 0
        self._strangers = 0
        self._not_queued = 0
        self.chain_id = ""
        """The name of this opening's chain."""

    @property
    def dropped(self) -> int:
        """Refusals that were not kept: too many waited, too many strangers came, or the file could not be written."""
        return self._not_queued + (self._writer.dropped if self._writer else 0)

    @property
    def waiting(self) -> int:
        """Events that are not durable yet."""
        return len(self._outstanding)

    @property
    def refusals_waiting(self) -> int:
        """Refusals that are not in the file yet."""
        return len(self._refusals)

    async def open(self, at_s: int) -> None:
        """Open the file and start the thread and a chain; `at_s` is Unix seconds. Raises TrailUnavailable."""
        self._loop = asyncio.get_running_loop()
        self.chain_id = f"{at_s}-{secrets.token_hex(8)}"
        self._writer = TrailWriter(self._path, self.chain_id, self._queue, self._refusals)
        self._writer.lock_s = self._limits.lock_s
        self._writer.refusals_kept = self._explain_kept
        await asyncio.to_thread(self._writer.open, at_s)
        self._thread = threading.Thread(target=self._writer.run, args=(self._from_thread,), name="trail", daemon=True)
        self._thread.start()
        self._is_open = True

    async def close(self, at_s: int) -> None:
        """Write what waits, say where the chain ends, stop the thread.

        Never raises: a chain whose end is not told stays verifiable.
        """
        if not self._is_open or self._writer is None:
            return
        self._is_open = False
        self._hand_over()
        patience_s = self._limits.lock_s + self._limits.record_s
        if self._outstanding:
            await asyncio.wait([waiting.future for waiting in self._outstanding], timeout=patience_s)
        self._writer.stop(at_s)
        await asyncio.to_thread(self._thread.join, patience_s)
        await asyncio.sleep(0)  # what the thread told the loop last is delivered
        self._give_up("the trail is closed")
        if self._watch is not None:
            self._watch.cancel()

    async def record(self, event: Event) -> None:
        """See `ports.Trail`.

        Only if the disk hangs within the commit may an event be in the chain that was told as unrecorded; never the reverse.
        """
        if not self._is_open:
            raise TrailUnavailable("the trail is closed")
        if len(self._outstanding) >= self._limits.waiting_events:
            raise TrailUnavailable("too many events wait for the trail")
        future = self._loop.create_future()
        waiting = Waiting(Entry(event.at_s, event.trace_id, msgspec.json.encode(event)), future)
        self._outstanding.append(waiting)
        self._gathered.append(waiting)
        if len(self._gathered) == 1:
            # When every task that is ready now had its turn: one wake of the thread, and one commit, for all of them.
            self._loop.call_soon(self._hand_over)
        if self._watch is None:
            self._watch_progress(-1)
        await future

    def refused(self, record: RefusalRecord) -> None:
        """See `ports.Trail`. Of strangers 100 a second are kept, because there is no end to them."""
        if not self._is_open or len(self._refusals) >= self._limits.waiting_refusals or not self._admits(record):
            self._not_queued += 1
            return
        self._refusals.append(record)
        if len(self._refusals) == 1:
            self._queue.put(None)

    def _hand_over(self) -> None:
        """Give the thread what gathered, unless it has a batch: then that one's end comes back here."""
        while self._gathered and not self._in_flight and self._writer is not None:
            batch, self._gathered = self._gathered[:MOST_AT_ONCE], self._gathered[MOST_AT_ONCE:]
            try:
                prepared = self._writer.prepare(batch)
            except TrailUnavailable as error:
                self._tell(batch, str(error))
            else:
                self._in_flight = True
                self._queue.put(prepared)

    def _admits(self, record: RefusalRecord) -> bool:
        if record.credential_id:
            return True
        # The request's own time: a wall clock that steps only moves the borders between seconds.
        if record.at_s != self._strangers_at_s:
            self._strangers_at_s, self._strangers = record.at_s, 0
        self._strangers += 1
        return self._strangers <= _STRANGERS_PER_S

    def _watch_progress(self, settled_before: int) -> None:
        """Give up all that waits when nothing at all was settled for a while.

        One timer for all events: a timer for each would cost as much as the event.
        """
        if settled_before == self._settled and self._outstanding:
            self._give_up("the trail did not answer in time")
        self._watch = None
        if self._outstanding:
            self._watch = self._loop.call_later(self._limits.record_s, self._watch_progress, self._settled)

    def _give_up(self, why: str) -> None:
        for waiting in self._outstanding:
            if not waiting.future.done():
                waiting.future.set_exception(TrailUnavailable(why))

    def _from_thread(self, batch: Batch, error: str | None) -> None:
        """Called in the thread, once for each batch."""
        self._loop.call_soon_threadsafe(self._settle, batch, error)

    def _settle(self, batch: Batch, error: str | None) -> None:
        self._in_flight = False
        if self._writer is not None:
            self._writer.head = None if error else batch.head
        self._tell(batch.waiting, error)
        self._hand_over()

    def _tell(self, batch: Sequence[Waiting], error: str | None) -> None:
        self._settled += 1
        for waiting in batch:
            self._outstanding.popleft()  # the queue keeps order, so these are they
            if waiting.future.done():  # given up, or its task was cancelled
                continue
            if error is None:
                waiting.future.set_result(None)
            else:
                waiting.future.set_exception(TrailUnavailable(error))
