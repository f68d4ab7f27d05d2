"""The tokens in memory, and, for the few keys that have one, what is known besides.

A hit reads `tokens` without a lock. Everything else happens under the provider's lock.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from multipartner.client.keys import TokenKey
from multipartner.client.tokens import AccessToken

if TYPE_CHECKING:
    from multipartner.client.failures import Failure
    from multipartner.client.flights import Flight


class KeyState:
    """What is known of a key besides its token: a fetch under way, a remembered failure, what was rejected."""

    __slots__ = (
        "aside",
        "denials",
        "doubted",
        "failed_at",
        "failure",
        "flight",
        "generation",
        "previous",
        "previous_until",
        "rejected",
        "retry_at",
        "times",
    )

    def __init__(self) -> None:
        self.flight: Flight | None = None
        self.failure: Failure | None = None
        self.retry_at = 0.0
        self.times = 0
        """Failures in a row: the exponent of the pause."""
        self.denials = 0
        self.failed_at = 0.0
        self.generation = 0
        """That of the last token, when that one is gone."""
        self.rejected: list[tuple[str, float]] = []
        """Fingerprints of rejected tokens of the last minute, with the time."""
        self.doubted = ""
        """Fingerprint of a young token that was refused once."""
        self.previous: AccessToken | None = None
        self.previous_until = 0.0
        """The token before the last refresh, for a minute."""
        self.aside: AccessToken | None = None
        """The young token for which the previous one stands in."""

    def is_idle(self, now: float) -> bool:
        """Nothing in it is of use any more."""
        two = self.aside is not None and now < self.aside.until
        waits = self.flight is not None or two or now < self.retry_at or now < self.previous_until
        return not waits and not any(now - at < 60.0 for _, at in self.rejected)


class Table:
    """At most so many tokens and so many states. A token that was used since it was last passed over gets a second chance."""

    def __init__(self, most: int, evicted: Callable[[TokenKey], None]) -> None:
        self.tokens: dict[TokenKey, AccessToken] = {}
        self.states: dict[TokenKey, KeyState] = {}
        self._most = most
        self._ring: deque[TokenKey] = deque()
        self._evicted = evicted

    def put(self, key: TokenKey, token: AccessToken) -> None:
        """Keep a token, and make room for it."""
        if key not in self.tokens:
            while len(self.tokens) >= self._most:
                self._evict()
            self._ring.append(key)
        self.tokens[key] = token

    def drop(self, key: TokenKey) -> AccessToken | None:
        """Let go of a token. Its place in the ring is cleared when the hand passes."""
        token = self.tokens.pop(key, None)
        if len(self._ring) > 2 * len(self.tokens) + 64:
            self._ring = deque(self.tokens)
        return token

    def let_go(self) -> None:
        """Let go of every token, also of those that stand behind another one."""
        self.tokens.clear()
        for state in self.states.values():
            state.previous = state.aside = None

    def state(self, key: TokenKey) -> KeyState:
        """Return a key's state; makes one if there is none."""
        state = self.states.get(key)
        if state is None:
            state = self.states[key] = KeyState()
        return state

    def turn(self, keys: int) -> Iterator[TokenKey]:
        """Return the next few keys that have a token, each in its turn."""
        for _ in range(min(keys, len(self._ring))):
            key = self._ring.popleft()
            if key in self.tokens:
                self._ring.append(key)
                yield key

    def tidy(self, now: float) -> None:
        """Let go of states that are of no use; when there are too many, of the oldest that nobody waits on."""
        if len(self.states) > 256:
            idle = [key for key, state in self.states.items() if state.is_idle(now)]
            for key in idle:
                del self.states[key]
        surplus = len(self.states) - self._most
        if surplus > 0:
            waiting = (key for key, state in self.states.items() if state.flight is None)
            for key in [key for key, _ in zip(waiting, range(surplus), strict=False)]:
                del self.states[key]

    def _evict(self) -> None:
        for _ in range(4 * len(self._ring) + 1):
            key = self._ring.popleft()
            token = self.tokens.get(key)
            if token is None:
                continue
            if token.used:
                token.used -= 1
                self._ring.append(key)
                continue
            del self.tokens[key]
            self._evicted(key)
            return
