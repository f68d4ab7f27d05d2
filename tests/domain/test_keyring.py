"""The key ring's rules: who signs, who verifies, who is gone."""

import msgspec

from multipartner.domain import keyring
from multipartner.domain.claims import SKEW_S


class Key(msgspec.Struct, frozen=True):
    kid: str
    signs_from_s: int
    retired_at_s: int | None = None


def test_the_newest_due_key_signs_a_window() -> None:
    """A published key does not sign before its time, and a retired one signs no window that starts after."""
    old, new, next_one = Key("old", 0, 500), Key("new", 100), Key("next", 1000)
    ring = [next_one, old, new]

    assert [keyring.signing_kid(ring, at) for at in (0, 99, 100, 499, 600, 999, 1000)] == ["old", "old", *["new"] * 4, "next"]


def test_a_fresh_ring_signs_at_once() -> None:
    """A deployment whose only key is younger than the window issues, instead of waiting for the next window."""
    assert keyring.signing_kid([Key("b", 200), Key("a", 100), Key("gone", 0, 50)], 99) == "a"
    assert keyring.signing_kid([Key("gone", 0, 50)], 99) is None
    assert keyring.signing_kid([], 0) is None


def test_a_retired_key_verifies_for_one_life() -> None:
    """A key stays in the key set until the last token it may have signed has ended, and not much longer."""
    ring = [Key("old", 0, 1000), Key("new", 500), Key("next", 9000)]

    assert keyring.verifying(ring, 1000 + 3600, 3600) == ["old", "new", "next"]
    assert keyring.verifying(ring, 1000 + 3600 + SKEW_S, 3600) == ["new", "next"]
    assert [keyring.state(ring, kid, 1100, 3600) for kid in ("old", "new", "next")] == ["verifying", "signing", "published"]
    assert keyring.state(ring, "old", 10_000, 3600) == "gone"
