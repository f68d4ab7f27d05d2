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

    __slots__ = ("attempts", "deadline", "delays", "is_taken", "key", "overtaken", "priority", "result", "seq", "waiters")

    def __init__(self, key: TokenKey, priority: float, seq: int) -> None:
        self.key = key
        self.priority = priority
        self.seq = seq
        self.attempts = 0
        self.delays = 0
        self.deadline = 0.0
        """Until when (seconds since boot) somebody waits; 0.0 for nobody."""
        self.is_taken = False
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
        self._seq = itertools.count()

    def __len__(self) -> int:
        return len(self._ready) + len(self._later)

    def new(self, key: TokenKey, priority: float) -> Flight:
        """Make a flight; a smaller priority goes first."""
        return Flight(key, priority, next(self._seq))

    def put(self, flight: Flight, not_before: float, now: float) -> None:
        """Queue one, or queue it again."""
        flight.is_taken = False
        if not_before > now:
            heapq.heappush(self._later, (not_before, next(self._seq), flight))
        else:
            heapq.heappush(self._ready, (flight.priority, next(self._seq), flight))

    def promote(self, flight: Flight, now: float) -> None:
        """Somebody waits for it from now on."""
        if not flight.is_awaited:
            flight.priority = FOREGROUND
            if not flight.is_taken:
                # Its older entry stays where it is and is passed over once the flight is taken.
                self.put(flight, 0.0, now)

    def pop(self, now: float) -> Flight | None:
        """Take the next one."""
        while self._later and self._later[0][0] <= now:
            _, seq, flight = heapq.heappop(self._later)
            heapq.heappush(self._ready, (flight.priority, seq, flight))
        while self._ready:
            flight = heapq.heappop(self._ready)[2]
            if not flight.is_taken and flight.result is None:
                flight.is_taken = True
                return flight
        return None

    def next_at(self) -> float | None:
        """When the next delayed flight is ready; None when none is delayed."""
        return self._later[0][0] if self._later else None
