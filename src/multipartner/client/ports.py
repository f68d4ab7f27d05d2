"""What the provider asks of the world: a clock, a way to the API, and a store that several processes share."""

import threading
from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from multipartner.client.keys import Account, TokenKey


class Moment(msgspec.Struct, frozen=True, gc=False):
    """One moment on two clocks, both in seconds: Unix time, and the time since boot, which also runs in suspend."""

    boot: float
    wall: float


class Clock(Protocol):
    """Time, and waiting for it: handed in, so that a test turns it."""

    def boot(self) -> float:
        """Seconds since boot, suspend included. On the way of every hit, so it should be a bare function."""
        ...

    def wall(self) -> float:
        """Unix seconds."""
        ...

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait on a condition that is held, at most so long. May return early."""
        ...


class Response(msgspec.Struct, frozen=True):
    """What came back: header names in lower case. The body may hold a token: it is not printed."""

    status: int
    headers: dict[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.body)} bytes>"


class TransportFailed(Exception):  # noqa: N818 - says what happened
    """No answer: not connected, timed out, cut off. The text holds no address with a query, and no header."""


class Transport(Protocol):
    """The only thing that opens connections."""

    def fetch(self, account: Account, key: TokenKey) -> Response:
        """Ask for a token once, no redirects followed, within some seconds. Raises TransportFailed."""
        ...

    def close(self) -> None:
        """Let go of connections; a later `fetch` may open new ones."""
        ...

    def abandon(self) -> None:
        """Forget connections without a word to the other side: in a forked child they are the parent's."""
        ...


class Stored(msgspec.Struct, frozen=True):
    """A token as the store gives it back. `refresh_at_s` and `expires_at_s` are Unix seconds of the API's clock (0: never)."""

    text: str
    expires_at_s: int
    refresh_at_s: int
    generation: int

    def __repr__(self) -> str:
        return f"<Stored generation {self.generation} expires_at_s {self.expires_at_s}>"


class StoreUnavailable(Exception):  # noqa: N818 - says a state
    """The store cannot answer now. The provider goes on without it: a process then refreshes for itself."""


class TokenStore(Protocol):
    """Tokens that outlive a process and are shared by several on one host. Called by the provider's own threads only.

    `now_s` is Unix time in whole seconds. Every method but `close` raises StoreUnavailable.
    """

    def load(self, key: TokenKey, now_s: int) -> Stored | None:
        """Return the token if there is one that is not expired; what does not open counts as absent, and is told as an event."""
        ...

    def lease(self, key: TokenKey, until_s: int, now_s: int) -> int | None:
        """Take the right to fetch the next token until then, if nobody holds it.

        Return the generation that it follows (0: there is none yet), or None when somebody else holds the lease.
        """
        ...

    def publish(self, key: TokenKey, token: Stored) -> bool:
        """Write the successor under the lease, and give the lease back.

        False, and nothing written, unless this process holds the lease and the store's generation is still
        `token.generation - 1`: whoever lost its lease cannot overwrite what came after (a fencing token).
        """
        ...

    def release(self, key: TokenKey) -> None:
        """Give the lease back without a token."""
        ...

    def forget(self, keys: Sequence[TokenKey]) -> None:
        """Delete these tokens; what is under way for them can no longer be published. Other processes learn of it."""
        ...

    def digest(self, key: TokenKey) -> bytes:
        """Return the name under which the store keeps a key; nobody without the store's secret can tell the tenant from it."""
        ...

    def forgotten(self) -> Collection[bytes] | None:
        """Digests of what other processes forgot since the last call, cheap when nothing happened.

        None when it cannot be told apart any more: everything may have been forgotten.
        """
        ...

    def close(self) -> None:
        """Let go of the file. Does not raise. Also called in a forked child; the next call opens it anew."""
        ...


class Ports(msgspec.Struct, frozen=True):
    """The world of one provider."""

    transport: Transport
    store: TokenStore | None
    clock: Clock
