"""A bounded map for tenants' values, and loads that happen once however many wait.

Our own because a hit is on the hottest path: a dictionary look-up and one attribute, where the known LRU caches take a
lock or move a link on every hit (decision record 0004).
"""

import asyncio
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Generic, Protocol, TypeVar


class Cached(Protocol):
    """A cached value. `touched`: set by each hit, keeps it once when room is needed. `alive`: in its cache, and so
    within reach of every change; false until it is put there. Whoever holds on to a value must look at it before each use.
    """  # noqa: D205 - one thought

    touched: bool
    alive: bool


K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T", bound=Cached)


class BoundedCache(Generic[K, T]):
    """At most `size` values. New ones are on probation in a tenth of the room: what is asked for again there, or comes back
    soon after it had to leave, moves on to the rest, where whatever is touched stays (S3-FIFO, SOSP 2023).

    `drop` leaves the key in its queue, to be passed over later: queues are in order, and a search would cost their length.
    """  # noqa: D205 - one thought

    __slots__ = ("_left", "_probation", "_proven", "_size", "_values", "_young", "get")

    def __init__(self, size: int) -> None:
        self._size = size
        self._probation = max(1, size // 10)
        self._values: dict[K, T] = {}
        # Queues beside the dictionary: to find a dictionary's oldest key is to walk over all that left before it.
        self._young: deque[K] = deque()
        self._proven: deque[K] = deque()
        # Who left probation lately, by hash: four bytes for each, where a later one takes the place of an earlier one.
        self._left = array("I", bytes(4 * size))
        # Bound once: a hit costs one look-up. The caller sets `touched`.
        self.get = self._values.get

    def put(self, key: K, value: T) -> None:
        """Keep a value, in place of an older one of the key."""
        values = self._values
        older = values.get(key)
        if older is not None:
            older.alive = False
        else:
            while len(values) >= self._size:
                self._make_room()
            if len(self._young) + len(self._proven) >= 2 * self._size:
                self._tidy()
            mark = hash(key)
            is_back = self._left[mark % self._size] == _mark(mark)
            (self._proven if is_back else self._young).append(key)
        values[key] = value
        value.alive = True

    def _make_room(self) -> None:
        """Look at the one whose turn it is: it goes, or, if it was touched, moves on."""
        on_probation = len(self._young) > self._probation or not self._proven
        key = (self._young if on_probation else self._proven).popleft()
        value = self._values.get(key)
        if value is None:
            return
        if value.touched:
            value.touched = False
            self._proven.append(key)
            return
        del self._values[key]
        value.alive = False
        if on_probation:
            mark = hash(key)
            self._left[mark % self._size] = _mark(mark)

    def _tidy(self) -> None:
        """Take out of the queues what was dropped, or stands there twice because it was dropped and came again."""
        seen: set[K] = set()
        for queue in (self._proven, self._young):
            kept = [key for key in dict.fromkeys(queue) if key in self._values and key not in seen]
            seen.update(kept)
            queue.clear()
            queue.extend(kept)

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
        self._young.clear()
        self._proven.clear()

    @property
    def queued(self) -> int:
        """Places in the queues, those of dropped keys included; at most twice the size."""
        return len(self._young) + len(self._proven)

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _mark(hashed: int) -> int:
    """The bits of a hash that its place in `_left` does not tell; never 0, which stands for nobody."""
    return hashed >> 24 & 0xFFFFFFFF | 1


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
