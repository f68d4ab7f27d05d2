"""One fetch under way, and the order in which fetches go out: who waits first, then what dies first."""

import heapq
import itertools
from typing import TYPE_CHECKING, Final

import msgspec

from multipartner.client.failures import Failure, Usage
from multipartner.client.keys import TokenKey
from multipartner.client.ports import Moment
from multipartner.client.tokens import AccessToken

if TYPE_CHECKING:
    from collections.abc import Callable

FOREGROUND: Final = -1.0
_LEAST_CLEARED: Final = 1024


class Fetched(msgspec.Struct, frozen=True):
    """A token from the API. `generation` is the store's, 0 without a store."""

    text: str
    expires_at_s: int
    sent: Moment
    usage: Usage
    date_s: float | None = None
    generation: int = 0


class Adopted(msgspec.Struct, frozen=True):
    """A token that another process fetched: no call was made."""

    text: str
    expires_at_s: int
    refresh_at_s: int
    generation: int


class Failed(msgspec.Struct, frozen=True):
    """An attempt that brought none."""

    failure: Failure
    sent: Moment
    date_s: float | None = None
    usage: Usage = Usage()


class Elsewhere(msgspec.Struct, frozen=True):
    """Another process holds the lease: look again later."""


Outcome = Fetched | Adopted | Failed | Elsewhere


class Again(msgspec.Struct, frozen=True):
    """The fetch was overtaken: ask anew."""


Result = AccessToken | Failure | Again


class Flight:
    """One fetch of one key. Joined by whoever asks meanwhile; cancelling a waiter never cancels it."""

    __slots__ = ("attempts", "deadline", "delays", "entry", "key", "overtaken", "priority", "result", "seq", "waiters")

    def __init__(self, key: TokenKey, priority: float, seq: int) -> None:
        self.key = key
        self.priority = priority
        self.seq = seq
        self.attempts = 0
        self.delays = 0
        self.deadline = 0.0
        """Until when (seconds since boot) somebody waits; 0.0 for nobody."""
        self.entry = 0
        """Its place in the queue; 0 when it is not in it."""
        self.overtaken = False
        """What it brings is not published: the key was rejected or forgotten after it began."""
        self.result: Result | None = None
        self.waiters: list[Callable[[], None]] = []

    @property
    def is_awaited(self) -> bool:
        """Somebody waits for it."""
        return self.priority == FOREGROUND


class FlightQueue:
    """Flights that are ready, and those that may not go out before some time (seconds since boot)."""

    def __init__(self) -> None:
        self._ready: list[tuple[float, int, Flight]] = []
        self._later: list[tuple[float, int, Flight]] = []
        self._seq = itertools.count(1)
        self._most_later = _LEAST_CLEARED

    def __len__(self) -> int:
        """How many entries there are; those of flights that were promoted or overtaken meanwhile count until they are cleared."""
        return len(self._ready) + len(self._later)

    @property
    def is_ready(self) -> bool:
        """Whether `pop` may have one at once."""
        return bool(self._ready)

    def new(self, key: TokenKey, priority: float) -> Flight:
        """Make a flight; a smaller priority goes first."""
        return Flight(key, priority, next(self._seq))

    def put(self, flight: Flight, not_before: float, now: float) -> None:
        """Queue one, or queue it again."""
        seq = flight.entry = next(self._seq)
        if not_before > now:
            heapq.heappush(self._later, (not_before, seq, flight))
            self._clear()
        else:
            heapq.heappush(self._ready, (flight.priority, seq, flight))

    def promote(self, flight: Flight, now: float) -> None:
        """Somebody waits for it from now on."""
        if not flight.is_awaited:
            flight.priority = FOREGROUND
            if flight.entry:
                # Its older entry stays where it is and is passed over.
                self.put(flight, 0.0, now)

    def pop(self, now: float) -> Flight | None:
        """Take the next one."""
        while self._later and self._later[0][0] <= now:
            _, seq, flight = heapq.heappop(self._later)
            heapq.heappush(self._ready, (flight.priority, seq, flight))
        while self._ready:
            _, seq, flight = heapq.heappop(self._ready)
            if _counts(seq, flight):
                flight.entry = 0
                return flight
        return None

    def next_at(self) -> float | None:
        """When the next delayed flight is ready; None when none is delayed."""
        return self._later[0][0] if self._later else None

    def _clear(self) -> None:
        """Let go of entries that count no more, whenever there are twice as many as the last time."""
        if len(self._later) > self._most_later:
            self._later = [entry for entry in self._later if _counts(*entry[1:])]
            heapq.heapify(self._later)
            self._most_later = max(2 * len(self._later), _LEAST_CLEARED)


def _counts(seq: int, flight: Flight) -> bool:
    return flight.entry == seq and flight.result is None
