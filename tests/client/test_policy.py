"""The published formula: when a token is fetched anew and how long it is handed out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.driving import ACCOUNT, EPOCH_S, KEY
from multipartner.client.policy import ExpiryAbsurd, RefreshPolicy, life_of, plan, share_of


@given(st.integers(2, 500 * 86_400), st.floats(0, 1, exclude_max=True), st.integers(0, 500 * 86_400))
def test_a_token_is_refreshed_before_it_must_be_and_never_handed_out_to_its_end(
    life_s: int, share: float, horizon_s: int
) -> None:
    """For any lifetime: the refresh is planned within it, before the hard window, and the margin is left."""
    planned = plan(RefreshPolicy(), share, life_s, horizon_s)

    assert 0 < planned.refresh_s <= planned.must_s <= planned.until_s < life_s
    assert planned.until_s >= 0.9 * life_s - 1e-6 or life_s - planned.until_s == pytest.approx(15)
    assert planned.refresh_s <= 86_400


@given(st.floats(0, 1, exclude_max=True))
def test_an_hour_long_token_is_refreshed_as_published(share: float) -> None:
    """An hour-long token is fetched anew between 51 and 70 percent of its life."""
    planned = plan(RefreshPolicy(), share, 3600, 3600)

    assert planned.refresh_s == pytest.approx(3600 * (0.51 + 0.19 * share))
    assert (planned.must_s, planned.until_s) == (3540, 3585)


@given(st.floats(0, 1, exclude_max=True), st.floats(1800, 3600))
def test_a_token_fetched_late_in_its_window_is_refreshed_as_long_before_its_end_as_any(share: float, life_s: float) -> None:
    """Of an issuer of hour-long windows that change every half hour: 18 to 30 minutes are left, and the next window has begun."""
    planned = plan(RefreshPolicy(), share, life_s, 3600)

    assert 18 * 60 - 1e-6 <= life_s - planned.refresh_s <= 29.4 * 60 + 1e-6
    assert planned.refresh_s >= life_s - 1800


def test_a_token_without_an_expiry_is_looked_after_all_the_same() -> None:
    """`expires_at: 0` never ends, and a newer token is looked for within the hour."""
    planned = plan(RefreshPolicy(), 0.5, life_of(0, EPOCH_S))

    assert (planned.until_s, planned.must_s) == (float("inf"), float("inf"))
    assert planned.refresh_s == pytest.approx(0.605 * 3600)


@pytest.mark.parametrize("expires_at_s", [1, int(EPOCH_S), int(EPOCH_S) * 1000], ids=["1970", "now", "milliseconds"])
def test_an_absurd_expiry_is_no_token(expires_at_s: int) -> None:
    """An expiry in the past or in milliseconds is told as absurd."""
    with pytest.raises(ExpiryAbsurd):
        life_of(expires_at_s, EPOCH_S)


def test_the_share_is_the_same_everywhere_and_spread_evenly() -> None:
    """Every process draws the same moment for a key's token; a thousand keys spread evenly over the band."""
    shares = sorted(share_of(ACCOUNT.key("1", str(number)), 1) for number in range(1000))

    assert share_of(KEY, 1) == share_of(KEY, 1) != share_of(KEY, 2) != share_of(KEY, 2, b"salt")
    assert max(abs(share - number / 1000) for number, share in enumerate(shares)) < 0.06


@pytest.mark.parametrize(
    "wrong",
    [
        {"earliest": 0.9, "latest": 0.5},
        {"earliest": 0.1},
        {"latest": 0.99},
        {"margin_s": 90.0},
        {"must_share": 0.9},
        {"unknown_s": 1.0},
        {"soft_wait_s": 5.0},
    ],
    ids="-".join,
)
def test_a_policy_that_could_hurt_is_refused(wrong: dict[str, float]) -> None:
    """A policy that hands out dead tokens, or never stops fetching, cannot be made."""
    with pytest.raises(ValueError, match=r"must|fraction|soft_wait_s"):
        RefreshPolicy(**wrong)
