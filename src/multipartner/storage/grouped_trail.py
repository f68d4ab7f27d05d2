"""The trail of one process as its event loop sees it, on whatever engine; a `Writer` is the engine's side of it.

Issuance fails closed: `record` returns once the event is durable and raises if it cannot be. While one commit is under way the
next events gather, here or in the writer, and share the following one. Refusals are kept best effort.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from multipartner.domain.events import Event, RefusalRecord
from multipartner.storage.chain import Entry, entry_of_event
from multipartner.storage.ports import TrailUnavailable

MOST_AT_ONCE: Final = 256
"""Events that become durable together, at most."""

_STRANGERS_PER_S: Final = 100


class TrailLimits(msgspec.Struct, frozen=True):
    """What one process may keep waiting: events and refusals, and how long (seconds) for a lock and for the disk.

    `lock_s` is below `record_s`, so that a lock which is held ends in an orderly refusal before anybody loses patience.
    """

    waiting_events: int = 4096
    waiting_refusals: int = 10_000
    lock_s: float = 2.0
    record_s: float = 5.0


class Waiting(msgspec.Struct, gc=False):
    """An event on its way. Whoever asked has gone when the future is done; then it is not written any more."""

    entry: Entry
    future: asyncio.Future[None]


Settled = Callable[[int, str | None], None]
"""Takes how many events, the oldest of those handed over, were settled, and why they are not durable (None: they are)."""


class Writer(Protocol):
    """Makes one process's chain durable. All methods belong to the event loop."""

    @property
    def gathers(self) -> bool:
        """Whether it takes events while others are under way, and gathers them itself."""
        ...

    @property
    def dropped(self) -> int:
        """Refusals that were taken and not kept."""
        ...

    def is_writable(self) -> bool:
        """Tell, without waiting, whether `write` would have a chance."""
        ...

    async def open(self, chain: str, at_s: int, settled: Settled) -> None:
        """Begin the chain. Raises TrailUnavailable; then nothing is left open."""
        ...

    def write(self, events: Sequence[Waiting]) -> None:
        """Begin to write what is still wanted of these, after all that was handed over before. `settled` follows for each of
        them, in order. Unless it `gathers`, it is only called when nothing is under way, and settles all at once. Never raises.
        """  # noqa: D205 - one thought
        ...

    def keep_refusals(self) -> None:
        """Begin to keep the refusals that wait; does nothing if that is under way."""
        ...

    async def close(self, at_s: int, patience_s: float) -> None:
        """Keep the refusals that wait, say where the chain ends, let go of everything. Never raises."""
        ...


class GroupedTrail:
    """`backend.ServingTrail` of one process and event loop. Call `open` after any fork, `close` at the end; once.

    Each opening starts a chain of its own. Its first link and a link of the shared chain `changes` say that it was opened; on
    closing, the shared chain says where it ended. So `audit.verify` finds a missing chain and a cut end of a closed one.
    """

    def __init__(self, writer: Writer, refusals: deque[RefusalRecord], limits: TrailLimits) -> None:
        self._writer = writer
        self._refusals = refusals
        self._limits = limits
        self._outstanding: deque[Waiting] = deque()
        self._gathered: list[Waiting] = []
        self._under_way = 0
        self._is_open = False
        self._settled_batches = 0
        self._watch: asyncio.TimerHandle | None = None
        self._strangers_at_s = 0
        self._strangers = 0
        self._not_queued = 0
        self.chain_id = ""
        """The name of this opening's chain."""

    @property
    def dropped(self) -> int:
        """Refusals that were not kept: too many waited, too many strangers came, or they could not be written."""
        return self._not_queued + self._writer.dropped

    @property
    def waiting(self) -> int:
        """Events that are not durable yet."""
        return len(self._outstanding)

    @property
    def refusals_waiting(self) -> int:
        """Refusals that are not stored yet."""
        return len(self._refusals)

    def is_writable(self) -> bool:
        """See `backend.ServingTrail`."""
        return self._is_open and self._writer.is_writable()

    async def open(self, at_s: int) -> None:
        """Begin a chain; `at_s` is Unix seconds. Raises TrailUnavailable."""
        self._loop = asyncio.get_running_loop()
        chain = f"{at_s}-{secrets.token_hex(8)}"
        await self._writer.open(chain, at_s, self._settle)
        self.chain_id = chain
        self._is_open = True

    async def close(self, at_s: int) -> None:
        """Write what waits, say where the chain ends, let go of everything.

        Never raises: a chain whose end is not told stays verifiable.
        """
        if not self._is_open:
            return
        self._is_open = False
        self._hand_over()
        patience_s = self._limits.lock_s + self._limits.record_s
        if self._outstanding:
            await asyncio.wait([waiting.future for waiting in self._outstanding], timeout=patience_s)
        await self._writer.close(at_s, patience_s)
        await asyncio.sleep(0)  # what the writer told the loop last is delivered
        self._give_up("the trail is closed")
        if self._watch is not None:
            self._watch.cancel()

    async def record(self, event: Event) -> None:
        """See `ports.Trail`.

        Only if the disk or the server does not answer within the commit may an event be in the chain that was told as
        unrecorded; never the reverse.
        """
        if not self._is_open:
            raise TrailUnavailable("the trail is closed")
        if len(self._outstanding) >= self._limits.waiting_events:
            raise TrailUnavailable("too many events wait for the trail")
        future = self._loop.create_future()
        waiting = Waiting(entry_of_event(event), future)
        self._outstanding.append(waiting)
        self._gathered.append(waiting)
        if len(self._gathered) == 1:
            # When every task that is ready now had its turn: one wake of the writer, and one commit, for all of them.
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
            self._writer.keep_refusals()

    def _hand_over(self) -> None:
        """Give the writer what gathered. If it has something and takes no more, that one's end comes back here."""
        while self._gathered and (self._writer.gathers or not self._under_way):
            batch, self._gathered = self._gathered[:MOST_AT_ONCE], self._gathered[MOST_AT_ONCE:]
            self._under_way += len(batch)
            self._writer.write(batch)

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
        if settled_before == self._settled_batches and self._outstanding:
            self._give_up("the trail did not answer in time")
        self._watch = None
        if self._outstanding:
            self._watch = self._loop.call_later(self._limits.record_s, self._watch_progress, self._settled_batches)

    def _give_up(self, why: str) -> None:
        for waiting in self._outstanding:
            if not waiting.future.done():
                waiting.future.set_exception(TrailUnavailable(why))

    def _settle(self, count: int, error: str | None) -> None:
        self._under_way -= count
        self._settled_batches += 1
        for _ in range(count):
            waiting = self._outstanding.popleft()  # they are settled in the order in which they were handed over
            if waiting.future.done():  # given up, or its task was cancelled
                continue
            if error is None:
                waiting.future.set_result(None)
            else:
                waiting.future.set_exception(TrailUnavailable(error))
        self._hand_over()
