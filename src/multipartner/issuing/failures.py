"""What a process tells the shared counts of addresses that fail to authenticate: in the background, the heaviest first.

A failed authentication never waits for it, and a flood of them costs no more than 64 questions in half a second.
"""

import asyncio
import hashlib
import heapq
from collections.abc import Coroutine
from typing import Any, Final

from multipartner.domain.leases import FAILURES_WINDOW_S, SECOND_NS, Cut, cut
from multipartner.issuing.limits import MAX_KEYS
from multipartner.storage.ports import SharedCounts, SharedCountsUnavailable

REPORT_AFTER_S: Final = 0.5
REPORTS_AT_ONCE: Final = 64
MAX_UNREPORTED: Final = 10_000


class Link:
    """Whether the shared counts are there: `up` until an error, and again once a probe succeeds. `errors` only grow."""

    __slots__ = ("errors", "up")

    def __init__(self) -> None:
        self.up = True
        self.errors = 0

    def lost(self) -> None:
        """Note that a question was not answered."""
        self.up = False
        self.errors += 1


class Tasks:
    """What runs in the background of one process."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it; it must not raise."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def end(self) -> None:
        """Stop all, and wait until they have stopped."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


class FailureReports:
    """Failures that the shared counts do not know of yet, and the addresses that they know to be over the limit."""

    def __init__(self, counts: SharedCounts, link: Link, limit: int, tasks: Tasks) -> None:
        self._counts = counts
        self._link = link
        self._parts = cut(limit)
        self._tasks = tasks
        self._over: dict[str, int] = {}
        self._unreported: dict[str, int] = {}
        self._at_work = False
        self._boot_ns = 0

    def over_s(self, key: str, boot_ns: int) -> int:
        """Seconds for which an address is over the limit; 0 when it is not known to be."""
        return max(0, -(-(self._over.get(key, 0) - boot_ns) // SECOND_NS))

    def add(self, key: str, boot_ns: int) -> None:
        """Tell of one more failure, soon. Of more than 10,000 addresses the one that waits longest is left out."""
        self._boot_ns = boot_ns
        self._unreported[key] = self._unreported.get(key, 0) + 1
        if len(self._unreported) > MAX_UNREPORTED:
            del self._unreported[next(iter(self._unreported))]
        # Only when there is something to tell: to look for it among all of them would cost each failure of a flood.
        if self._unreported[key] >= self._parts.block:
            self.soon()

    def soon(self) -> None:
        """See to it that what is untold will be told."""
        if self._link.up and self._unreported and not self._at_work:
            self._at_work = True
            self._tasks.start(self._work())

    async def _work(self) -> None:
        try:
            while self._link.up and max(self._unreported.values(), default=0) >= self._parts.block:
                await asyncio.sleep(REPORT_AFTER_S)
                await self.tell()
        finally:
            self._at_work = False

    async def tell(self) -> None:
        """Tell of the addresses that failed most, now. Does not raise; what could not be told is kept."""
        block = self._parts.block
        for key in heapq.nlargest(REPORTS_AT_ONCE, self._unreported, key=self._unreported.__getitem__):
            count = self._unreported.get(key, 0)
            if count < block or not self._link.up:
                return
            try:
                await self._tell(key, count // block)
            except SharedCountsUnavailable:
                self._link.lost()
                return
            # More may have failed while it was told, or it was left out to make room.
            left = self._unreported.pop(key, count) - count // block * block
            if left > 0:
                self._unreported[key] = left

    async def _tell(self, key: str, blocks: int) -> None:
        shared, limit = shared_key("address", self._parts, key), self._parts.blocks
        if blocks <= limit and await self._counts.take(shared, blocks, limit, FAILURES_WINDOW_S):
            return
        used, free_in_s = await self._counts.look(shared, limit, FAILURES_WINDOW_S)
        if used < limit:
            # Filled up, so that the other processes refuse it as well.
            await self._counts.take(shared, limit - used, limit, FAILURES_WINDOW_S)
        wait_s = free_in_s if used else FAILURES_WINDOW_S
        self._over.pop(key, None)
        self._over[key] = self._boot_ns + max(1, int(wait_s * SECOND_NS))
        if len(self._over) > MAX_KEYS:
            del self._over[next(iter(self._over))]


def shared_key(kind: str, parts: Cut, *ids: str) -> str:
    """A key of the shared counts. The block is part of it: entries that stand for more or fewer calls do not compare."""
    named = (value if len(value) <= 64 else "-" + hashlib.sha256(value.encode()).hexdigest() for value in ids)
    return "/".join((kind, str(parts.block), *named))
