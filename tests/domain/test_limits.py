"""The sliding window against a list of every call."""

from hypothesis import given
from hypothesis import strategies as st

from multipartner.domain.limits import HOUR_NS, SlidingWindow

MINUTE_NS = HOUR_NS // 60
gaps = st.lists(st.integers(0, 40 * MINUTE_NS), max_size=60)


@given(gaps)
def test_no_call_of_the_last_hour_is_forgotten_and_none_counts_for_61_minutes(steps: list[int]) -> None:
    """The count lies between the calls of the last 60 and those of the last 61 minutes, whenever it is asked for."""
    calls: list[int] = []
    window, now = SlidingWindow(10), 10**15
    for gap in steps:
        now += gap
        used = window.used("app", now)
        assert sum(now - at < HOUR_NS for at in calls) <= used <= sum(now - at <= HOUR_NS + MINUTE_NS for at in calls)
        window.counter("app", now).add()
        calls.append(now)


@given(gaps, st.integers(1, 5))
def test_waiting_as_told_is_enough(steps: list[int], limit: int) -> None:
    """After retry_after_s seconds a refused call is let through, and the wait is never longer than 61 minutes."""
    window, now = SlidingWindow(10), 10**15
    for gap in steps:
        now += gap
        if window.used("app", now) < limit:
            window.counter("app", now).add()
        else:
            wait_s = window.retry_after_s("app", now)
            assert 1 <= wait_s <= 3660
            assert window.used("app", now + wait_s * 10**9) < limit
            break  # the window has now seen the future


def test_a_step_back_forgets_nothing() -> None:
    """A clock that steps back never frees a limit."""
    window = SlidingWindow(10)
    window.counter("app", 10**15).add()

    assert window.used("app", 10**15 - 2 * HOUR_NS) == 1


def test_keys_are_bounded() -> None:
    """Attack 53: a million keys of an attacker's choice leave no more than the bound in memory."""
    window = SlidingWindow(100)
    for n in range(100_000):
        window.counter(n, 10**15).add()

    assert len(window) == 100
    assert window.used("never counted", 10**15) == 0
    assert len(window) == 100
