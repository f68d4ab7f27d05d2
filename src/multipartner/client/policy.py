"""When a token is fetched anew, and how long it is handed out: the published formula, as pure functions.

With `t0` the API's time when the call began, `L` = `expires_at` - `t0`, and `u` in [0, 1) a hash of key and generation, the same
in every process:

    refresh   t0 + L * (0.51 + 0.19 * u), but no later than `must`; see below where lives differ
    must      expiry - min(60 s, 0.20 * L)       from here the first caller of a refresh waits up to 50 ms for it
    until     expiry - min(15 s, 0.10 * L)       from here the token is not handed out

A fraction works for five minutes and for sixty days. The hash spreads what was fetched together, and needs no agreement. The band
begins just past the half, where an issuer of half-life windows has a newer token, and ends where an outage still finds some life.

Such an issuer, this project's service is one, hands out the token of a window: what is fetched late in it lives shorter. What has
to be left at the refresh is then a fraction of the longest life `H` that the issuer gives of late, not of this one:

    refresh   exp - H * (0.49 - 0.19 * u), but no earlier than t0 + 0.30 * L

which is the first formula where all lives are equal.
"""

import hashlib
from typing import Final

import msgspec

from multipartner.client.keys import TokenKey

_MILLISECONDS: Final = 100_000_000_000
_LONGEST_S: Final = 400 * 86_400
_SOONEST: Final = 0.30


class RefreshPolicy(msgspec.Struct, frozen=True):
    """Fractions of the lifetime, and seconds. Raises ValueError for what could hand out dead tokens or fetch without an end."""

    earliest: float = 0.51
    latest: float = 0.70
    must_s: float = 60.0
    must_share: float = 0.20
    margin_s: float = 15.0
    margin_share: float = 0.10
    soft_wait_s: float = 0.05
    unknown_s: float = 3600.0
    """For a token that does not expire: how often a newer one is looked for."""
    max_age_s: float = 86_400.0
    """A token is fetched anew at this age however long it would live: what a thief has ends some day."""

    def __post_init__(self) -> None:
        if not 0.3 <= self.earliest <= self.latest <= 0.95:
            raise ValueError("earliest and latest must be fractions with 0.3 <= earliest <= latest <= 0.95")
        if not (0 <= self.margin_share <= self.must_share <= 0.5 and 0 <= self.margin_s <= self.must_s):
            raise ValueError("the margin must be no larger than the hard window, and the window at most half of a life")
        if not (0 <= self.soft_wait_s <= 1 and self.unknown_s >= 60 and self.max_age_s >= 60):
            raise ValueError("soft_wait_s is 0 to 1; unknown_s and max_age_s are at least 60 s")


class Plan(msgspec.Struct, frozen=True):
    """Seconds after `t0`; `until_s` is infinite for a token that does not expire."""

    refresh_s: float
    must_s: float
    until_s: float


class ExpiryAbsurd(Exception):  # noqa: N818 - a verdict
    """`expires_at` is in the past or in milliseconds; the text says which."""


def life_of(expires_at_s: int, t0_s: float) -> float:
    """Return a token's life in seconds, infinite for one that does not expire. Raises ExpiryAbsurd."""
    if expires_at_s == 0:
        return float("inf")
    if expires_at_s >= _MILLISECONDS:
        raise ExpiryAbsurd("expires_at looks like milliseconds")
    if expires_at_s <= t0_s:
        raise ExpiryAbsurd("expires_at is in the past")
    return expires_at_s - t0_s


def plan(policy: RefreshPolicy, share: float, life_s: float, horizon_s: float = 0.0) -> Plan:
    """Plan a token's life of `life_s`; `share` is `u`, `horizon_s` the longest life that the issuer gives of late."""
    width = policy.earliest + (policy.latest - policy.earliest) * share
    if life_s == float("inf"):
        return Plan(policy.unknown_s * width, life_s, life_s)
    must_s = life_s - min(policy.must_s, policy.must_share * life_s)
    until_s = life_s - min(policy.margin_s, policy.margin_share * life_s)
    left_s = (1 - width) * min(max(horizon_s, life_s), _LONGEST_S)
    refresh_s = min(max(life_s - left_s, _SOONEST * life_s), must_s, policy.max_age_s * (0.9 + 0.1 * share))
    return Plan(refresh_s, must_s, until_s)


def share_of(key: TokenKey, generation: int, salt: bytes = b"") -> float:
    """Return `u` for a key's token: 53 bits of a keyed BLAKE2b of key and generation."""
    digest = hashlib.blake2b(key.canonical() + generation.to_bytes(8, "big"), digest_size=8, key=salt[:64]).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)
