"""When a granular token begins and ends: windows that are the same on every replica.

Time is cut per tenant into windows of `reissue_s`, shifted by a phase so that no two customers' windows line up.
Whoever asks within one window receives the same bytes; they end `lifetime_s` after the window's start.
"""

import functools
import hashlib

import msgspec

from multipartner.domain.model import Tenant


class Lifetime(msgspec.Struct, frozen=True):
    """How long a token lives and how often a new one is made, both in seconds.

    Raises ValueError unless 1 <= reissue_s <= lifetime_s / 2, the promise that a caller always receives half a life.
    """

    lifetime_s: int = 3600
    reissue_s: int = 1800

    def __post_init__(self) -> None:
        if not 1 <= self.reissue_s <= self.lifetime_s // 2:
            raise ValueError(
                f"reissue_s is {self.reissue_s}: must be at least 1 and at most half of lifetime_s ({self.lifetime_s})"
            )


class Window(msgspec.Struct, frozen=True, gc=False):
    """One window in Unix seconds: asked for in [starts_at_s, renews_at_s), good until expires_at_s."""

    starts_at_s: int
    renews_at_s: int
    expires_at_s: int


def phase_s(tenant: Tenant, lifetime: Lifetime) -> int:
    """Spread tenants evenly over the window by a hash of their identity."""
    identity = f"{tenant.app_id}/{tenant.solution_id}/{tenant.business_id}".encode()
    return int.from_bytes(hashlib.sha256(identity).digest()[:8], "big") % lifetime.reissue_s


def window_at(tenant: Tenant, wall_s: int, lifetime: Lifetime) -> Window:
    """Find the window that `wall_s` (Unix seconds) falls into."""
    phase = phase_s(tenant, lifetime)
    start = wall_s - (wall_s - phase) % lifetime.reissue_s
    return _window(start, lifetime.reissue_s, lifetime.lifetime_s)


@functools.lru_cache(maxsize=8192)
def _window(starts_at_s: int, reissue_s: int, lifetime_s: int) -> Window:
    # Many tenants have the same window; what is kept of each then shares its numbers.
    return Window(starts_at_s, starts_at_s + reissue_s, starts_at_s + lifetime_s)
