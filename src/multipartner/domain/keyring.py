"""Which key signs, which verify, and when one is gone. Pure; times are Unix seconds.

published -> signing -> verifying only -> gone. A key is published at least the key set's max-age plus skew before it
signs, and kept at least one token's life after it stopped.
"""

from collections.abc import Sequence
from typing import Protocol

from multipartner.domain.claims import SKEW_S

KEY_SET_MAX_AGE_S = 300
"""`Cache-Control: max-age` of the published key set."""

PUBLISH_AHEAD_S = KEY_SET_MAX_AGE_S + SKEW_S


class RingKey(Protocol):
    """What the rules need to know of a key."""

    @property
    def kid(self) -> str: ...  # noqa: D102
    @property
    def signs_from_s(self) -> int: ...  # noqa: D102
    @property
    def retired_at_s(self) -> int | None: ...  # noqa: D102


def signing_kid(keys: Sequence[RingKey], window_start_s: int) -> str | None:
    """The newest key that was due to sign at the window's start; None when the ring has no key that may sign.

    A ring whose every key is younger than the window (a fresh deployment, or a dropped key's replacement) signs with the
    one that is due first: the alternative is to issue nothing for up to a whole window.
    """
    active = [k for k in keys if k.retired_at_s is None or window_start_s < k.retired_at_s]
    due = [k for k in active if k.signs_from_s <= window_start_s]
    if due:
        return max(due, key=lambda k: (k.signs_from_s, k.kid)).kid
    return min(active, key=lambda k: (k.signs_from_s, k.kid)).kid if active else None


def verifying(keys: Sequence[RingKey], wall_s: int, lifetime_s: int) -> list[str]:
    """Kids that are in the key set: published, and not yet retired for longer than a token lives."""
    return [k.kid for k in keys if k.retired_at_s is None or wall_s < k.retired_at_s + lifetime_s + SKEW_S]


def state(keys: Sequence[RingKey], kid: str, wall_s: int, lifetime_s: int) -> str:
    """Say in a word what a key does at `wall_s`: published, signing, verifying or gone."""
    key = next(k for k in keys if k.kid == kid)
    if kid not in verifying(keys, wall_s, lifetime_s):
        return "gone"
    if signing_kid(keys, wall_s) == kid:
        return "signing"
    return "published" if wall_s < key.signs_from_s else "verifying"
