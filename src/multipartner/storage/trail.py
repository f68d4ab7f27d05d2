"""The trail of one process in an SQLite file: the event loop's side of the thread in `trail_writer`."""

import asyncio
import os
import queue
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from multipartner.domain.events import RefusalRecord
from multipartner.storage.grouped_trail import GroupedTrail, Settled, TrailLimits, Waiting
from multipartner.storage.trail_writer import Handed, TrailWriter

__all__ = ["SqliteTrail", "TrailLimits"]


class SqliteTrail(GroupedTrail):
    """See `GroupedTrail`. `explain_kept`: refusals kept in the file, strangers' one fifth of them."""

    def __init__(self, path: Path, *, explain_kept: int = 100_000, limits: TrailLimits | None = None) -> None:
        limits, refusals = limits or TrailLimits(), deque[RefusalRecord]()
        super().__init__(_Thread(path, refusals, limits, explain_kept), refusals, limits)


class _Thread:
    """`grouped_trail.Writer`: hands events to a thread, which takes all that came while it wrote the last ones."""

    def __init__(self, path: Path, refusals: deque[RefusalRecord], limits: TrailLimits, explain_kept: int) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[Handed | None] = queue.SimpleQueue()
        self._writer = TrailWriter(path, self._queue, refusals)
        self._writer.lock_s = limits.lock_s
        self._writer.refusals_kept = explain_kept

    @property
    def gathers(self) -> bool:
        """See `Writer`."""
        return True

    @property
    def dropped(self) -> int:
        """See `Writer`."""
        return self._writer.dropped

    def is_writable(self) -> bool:
        """See `Writer`."""
        return os.access(self._path, os.W_OK)

    async def open(self, chain: str, at_s: int, settled: Settled) -> None:
        """See `Writer`."""
        self._loop = asyncio.get_running_loop()
        self._settled = settled
        await asyncio.to_thread(self._writer.open, chain, at_s)
        self._thread = threading.Thread(target=self._writer.run, args=(self._from_thread,), name="trail", daemon=True)
        self._thread.start()

    def write(self, events: Sequence[Waiting]) -> None:
        """See `Writer`."""
        # Looked at here: each system call of the thread ends with a wait for the interpreter.
        self._queue.put(Handed(events, self._writer.misplaced()))

    def keep_refusals(self) -> None:
        """See `Writer`."""
        self._queue.put(None)

    async def close(self, at_s: int, patience_s: float) -> None:
        """See `Writer`."""
        self._writer.stop(at_s)
        await asyncio.to_thread(self._thread.join, patience_s)

    def _from_thread(self, count: int, error: str | None) -> None:
        """Called in the thread, once for each commit."""
        self._loop.call_soon_threadsafe(self._settled, count, error)
