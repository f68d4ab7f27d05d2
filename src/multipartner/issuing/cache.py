"""A bounded map for tenants' values, and loads that happen once however many wait.

Our own because a hit is on the hottest path: a dictionary look-up and one attribute, where the known LRU caches take a
lock or move a link on every hit (decision record 0004).
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Generic, Protocol, TypeVar


class Cached(Protocol):
    """A cached value. `touched`: set by each hit, gives it a second chance when room is needed. `alive`: in its cache, and so
    within reach of every change; false until it is put there. Whoever holds on to a value must look at it before each use.
    """  # noqa: D205 - one thought

    touched: bool
    alive: bool


K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T", bound=Cached)


class BoundedCache(Generic[K, T]):
    """At most `size` values; the oldest that was not touched since its last chance makes room (second-chance FIFO)."""

    __slots__ = ("_size", "_values", "get")

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: dict[K, T] = {}
        # Bound once: a hit costs one look-up. The caller sets `touched`.
        self.get = self._values.get

    def put(self, key: K, value: T) -> None:
        """Keep a value, in place of an older one of the key."""
        values = self._values
        self.drop(key)
        values[key] = value
        value.alive = True
        while len(values) > self._size:
            oldest = next(iter(values))
            candidate = values.pop(oldest)
            if candidate.touched and candidate is not value:
                candidate.touched = False
                values[oldest] = candidate
            else:
                candidate.alive = False

    def drop(self, key: K) -> None:
        """Forget one key, if it is there."""
        value = self._values.pop(key, None)
        if value is not None:
            value.alive = False

    def drop_where(self, matches: Callable[[K, T], bool]) -> None:
        """Forget every key and value that match; looks at all of them, so it is for rare changes."""
        for key in [key for key, value in self._values.items() if matches(key, value)]:
            self.drop(key)

    def clear(self) -> None:
        """Forget everything."""
        for value in self._values.values():
            value.alive = False
        self._values.clear()

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class SingleFlight(Generic[K, V]):
    """Runs one load per key at a time; whoever comes meanwhile waits for its result or its error.

    The first one runs it in its own task, so a load that never suspends costs nothing extra. If that task is cancelled,
    one of the waiting runs it anew.
    """

    __slots__ = ("_flights",)

    def __init__(self) -> None:
        self._flights: dict[K, list[asyncio.Future[V]]] = {}

    async def run(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """Return what `load` returned, called by us or by the one that flies already; raises what it raised."""
        while (waiting := self._flights.get(key)) is not None:
            future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
            waiting.append(future)
            try:
                return await future
            except _LeaderCancelled:
                continue
        waiting = self._flights[key] = []
        try:
            value = await load()
        except BaseException as error:
            told = error if isinstance(error, Exception) else _LeaderCancelled()
            for future in waiting:
                if not future.done():
                    future.set_exception(told)
            raise
        else:
            for future in waiting:
                if not future.done():
                    future.set_result(value)
            return value
        finally:
            del self._flights[key]


class _LeaderCancelled(Exception):  # noqa: N818 - never leaves this file
    pass
