"""How one worker is doing: what it tells, once a second, to whoever exports it."""

import enum
from collections.abc import Mapping, Sequence

import msgspec

from multipartner.domain.reasons import Reason

Counted = tuple[str, int, Reason | None]
"""What requests are counted by: route, status, reason."""


class Check(enum.Enum):
    """What a worker needs to serve; the value is its name in /readyz and /metrics."""

    DATABASE = "database"
    SIGNING_KEY = "signing_key"
    TRAIL = "trail"


class Vitals(msgspec.Struct, frozen=True):
    """One look at a worker. Counts go up only; `feed_lag_s` is the age, in seconds, of the change feed's confirmation.

    `limits_up`: whether the shared counts can be reached; None when no limits are shared.
    """

    counts: Mapping[Counted, int]
    unlogged: int
    feed_lag_s: float
    cached_grants: int
    trail_queue: int
    trail_dropped: int
    failing: frozenset[Check]
    limits_up: bool | None = None
    limits_errors: int = 0
    revocation_lags_s: Sequence[float] = ()
    """Seconds from hearing of changes to being ready to obey them, one for each answer that brought any since the last look."""
