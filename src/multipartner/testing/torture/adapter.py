"""What the kit must know of a provider: how to make one, and what it can do."""

import enum
from collections.abc import Awaitable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from multipartner.testing.torture.clock import SystemTime, TurnedClock

if TYPE_CHECKING:
    from multipartner.testing.torture.upstream import Endpoint


class Tenant(NamedTuple):
    """Whose token: two strings of digits."""

    solution_id: str
    business_id: str


class Ability(enum.Flag):
    """What a provider declares. Probes that need what is not declared do not apply to it."""

    NONE = 0
    SYNC = enum.auto()
    """`get(tenant)` from any thread."""
    ASYNC = enum.auto()
    """`await aget(tenant)` in any event loop."""
    TENANTS = enum.auto()
    """One provider keeps the tokens of many tenants itself."""
    REJECT = enum.auto()
    """`reject(tenant, token)` after a resource server's 401."""
    FORK = enum.auto()
    """It may be used in a forked child."""
    CLOCK = enum.auto()
    """It goes by `endpoint.clock` and by no other clock."""


class SyncProvider(Protocol):
    """For Ability.SYNC."""

    def get(self, tenant: Tenant) -> str:
        """Return a token's text; raise whatever the provider raises."""
        ...


class AsyncProvider(Protocol):
    """For Ability.ASYNC."""

    def aget(self, tenant: Tenant) -> Awaitable[str]:
        """As `get`, for coroutines."""
        ...


class RejectingProvider(Protocol):
    """For Ability.REJECT."""

    def reject(self, tenant: Tenant, token: str) -> object:
        """A resource server answered 401 to this token. Called from threads."""
        ...


class Adapter:
    """Subclass it: name the abilities, and make the provider."""

    abilities = Ability.NONE
    early_left_s = 400.0
    """With so many seconds left, the provider fetches a new token and lets nobody wait for it. Of a life of an hour where it
    takes the kit's clock; else tokens are made with so short a life."""
    pause_s = 3600.0
    """After so long it asks again for a tenant that was refused (Ability.CLOCK)."""
    patience_s = 10.0
    """A caller who has not come back by then, though the endpoint has answered, counts as hung."""

    name = ""
    """What reports call it; the class's own name if it is empty."""

    def clock(self) -> TurnedClock:
        """Return what time goes by in one probe. Override it where something can turn the machine's own clock."""
        return TurnedClock() if Ability.CLOCK in self.abilities else SystemTime()

    def make(self, endpoint: "Endpoint") -> object:
        """Return a provider with the methods that `abilities` promise, and `close()` if it has something to close.

        Tokens come from `endpoint.fetch` or `endpoint.afetch`, or over HTTP from `endpoint.origin` with `endpoint.caller_token`.
        """
        raise NotImplementedError
