"""Processes that share their limits: a count in memory that keeps the port's promise, and services over a real one."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fakes import InProcess, MemoryStore
from multipartner.issuing.shared_limits import SharedLimiter
from multipartner.storage.ports import SharedCountsUnavailable
from multipartner.storage.shared_limits import ValkeyCounts


class MemoryCounts:
    """`storage.ports.SharedCounts` with a clock that the test turns; `skew_s` is how far its host's clock is off."""

    def __init__(self, kept: dict[str, list[float]], clock: list[float], skew_s: float = 0, chance: int = 0) -> None:
        self._kept, self._clock, self._skew_s = kept, clock, skew_s
        self._chance = random.Random(chance)  # noqa: S311 - the order of a test's steps
        self.away = False
        self.asked = 0

    async def _pass(self) -> float:
        self.asked += 1
        for _ in range(self._chance.randrange(4)):
            await asyncio.sleep(0)
        if self.away:
            raise SharedCountsUnavailable("away")
        return self._clock[0] + self._skew_s

    async def take(self, key: str, entries: int, limit: int, window_s: int) -> bool:
        now_s = await self._pass()
        marks = self._kept.setdefault(key, [])
        # As the library's script: the one entry that would be pushed over the limit must be over.
        if entries > limit or (len(marks) > limit - entries and marks[limit - entries] >= now_s - window_s):
            return False
        marks[:0] = [now_s] * entries
        del marks[limit:]
        return True

    async def look(self, key: str, limit: int, window_s: int) -> tuple[int, float]:
        now_s = await self._pass()
        marks = [mark for mark in self._kept.get(key, [])[:limit] if mark >= now_s - window_s]
        return (len(marks), min(marks) + window_s - now_s) if marks else (0, float(window_s))

    async def probe(self) -> None:
        await self._pass()

    async def close(self) -> None:
        pass


class Sharing(InProcess):
    """A service whose limits are shared."""

    def __init__(self, store: MemoryStore, limiter: SharedLimiter) -> None:
        self.shared = limiter
        super().__init__(store, limiter=limiter)


@asynccontextmanager
async def sharing(
    url: str, store: MemoryStore, count: int = 2, *, prefix: str, refuse: bool = False, workers: int = 1, failures: int = 1000
) -> AsyncIterator[list[Sharing]]:
    """So many services on one store, counting in one server."""
    services = []
    for _ in range(count):
        limiter = SharedLimiter(ValkeyCounts(url, prefix), failures, workers, refuse_when_away=refuse)
        services.append(Sharing(store, limiter))
    try:
        yield services
    finally:
        for service in services:
            await service.shared.close()
