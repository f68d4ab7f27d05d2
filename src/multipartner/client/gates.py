"""What holds calls back, each for its own cause: the app's quota, its credential, the endpoint's health; and a budget.

All times are seconds since boot, all waits are jittered after their cap: what closed together does not open together.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from multipartner.client.failures import Failure, Usage

Uniform = Callable[[float, float], float]
"""Draws from [low, high]."""


class RetryPolicy(msgspec.Struct, frozen=True):
    """Attempts of one fetch, and pauses (seconds) after what failed for good."""

    attempts: int = 4
    base_s: float = 0.25
    most_s: float = 8.0
    transient_pause_s: float = 1.0
    transient_most_s: float = 60.0
    denied_pause_s: float = 30.0
    denied_most_s: float = 900.0
    refused_pause_s: float = 60.0
    gate_s: float = 30.0
    gate_most_s: float = 3600.0
    probe_s: float = 30.0
    probe_most_s: float = 600.0
    budget: int = 500

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.budget < 0:
            raise ValueError("attempts must be at least 1, budget at least 0")
        if min(self.base_s, self.transient_pause_s, self.denied_pause_s, self.refused_pause_s, self.gate_s, self.probe_s) <= 0:
            raise ValueError("every pause must be longer than nothing")


def jittered(uniform: Uniform, base_s: float, times: int, most_s: float) -> float:
    """Return base * 2^times, at most `most_s`, and then 20 % less to 20 % more."""
    return min(base_s * 2.0 ** min(times, 30), most_s) * uniform(0.8, 1.2)


class Gate:
    """The app's quota: closed after "too many calls"; for background calls half closed from 75 % usage, closed from 90 %."""

    _FORGET_S: Final = 300.0
    _SPACING_S: Final = 1.0

    def __init__(self, retry: RetryPolicy, uniform: Uniform) -> None:
        self._retry = retry
        self._uniform = uniform
        self.opens_at = 0.0
        self.failure: Failure | None = None
        self.percent = 0
        self._read_at = 0.0
        self._times = 0
        self._last_background = 0.0

    def close(self, failure: Failure, now: float) -> None:
        """Close it for as long as the answer says, or for a growing while when it says nothing."""
        if now < self.opens_at:
            self.opens_at = max(self.opens_at, now + failure.retry_after_s)
            return
        if failure.retry_after_s:
            wait_s = failure.retry_after_s + min(failure.retry_after_s * self._uniform(0.0, 0.2), 30.0)
        else:
            wait_s = jittered(self._uniform, self._retry.gate_s, self._times, self._retry.gate_most_s)
        self._times += 1
        self.failure = failure
        self.opens_at = now + wait_s

    def passed(self, usage: Usage, now: float) -> None:
        """Take the usage of a call that was answered with a token."""
        self.percent, self._read_at = usage.app_percent, now
        self._times = 0

    def background_at(self, now: float) -> float:
        """Return when a background call may go out: now, or later."""
        if now < self.opens_at:
            return self.opens_at
        percent = self.percent if now - self._read_at < self._FORGET_S else 0
        if percent >= 90:
            return self._read_at + self._FORGET_S
        return max(now, self._last_background + self._SPACING_S) if percent >= 75 else now

    def took_background(self, now: float) -> None:
        """Note that one went out."""
        self._last_background = now


class Breaker:
    """The credential: open after the API rejected it; then rare probes, with decorrelated pauses."""

    def __init__(self, retry: RetryPolicy, uniform: Uniform) -> None:
        self._retry = retry
        self._uniform = uniform
        self._pause_s = 0.0
        self.failure: Failure | None = None
        self.probe_at = 0.0

    def open(self, failure: Failure, now: float) -> None:
        """Let nothing through but one probe, later."""
        base = self._retry.probe_s
        self._pause_s = min(self._retry.probe_most_s, self._uniform(base, max(base, 3 * self._pause_s)))
        self.failure = failure
        self.probe_at = now + self._pause_s

    def close(self) -> None:
        """Let everything through again."""
        self.failure, self._pause_s, self.probe_at = None, 0.0, 0.0

    def holds(self, now: float) -> bool:
        """Tell whether a call must not go out now; the one that may is the probe, and holds back those after it."""
        if self.failure is None:
            return False
        if now < self.probe_at:
            return True
        self.probe_at = now + self._retry.probe_s
        return False


class Budget:
    """Retries that may be spent: each costs, each success gives back, so that retries never become most of the load."""

    _TRANSIENT: Final = 10

    def __init__(self, most: int) -> None:
        self._most = most
        self.left = most

    def spend(self) -> bool:
        """Take one retry's cost; False when there is not enough."""
        if self.left < self._TRANSIENT:
            return False
        self.left -= self._TRANSIENT
        return True

    def earn(self, retries: int) -> None:
        """A fetch succeeded after so many retries."""
        self.left = min(self._most, self.left + max(1, retries * self._TRANSIENT))


class Health:
    """The endpoint over about two minutes: background calls are left out with p = (asked - 2 * answered) / (asked + 1)."""

    _SPAN_S: Final = 60.0

    def __init__(self, uniform: Uniform) -> None:
        self._uniform = uniform
        self._counts = [0, 0]
        self._before = [0, 0]
        self._since = 0.0

    def told(self, now: float, *, answered: bool) -> None:
        """Count one attempt."""
        self._turn(now)
        self._counts[0] += 1
        self._counts[1] += answered

    def lets_background(self, now: float) -> bool:
        """Draw whether a background call goes out."""
        self._turn(now)
        asked, answered = (a + b for a, b in zip(self._counts, self._before, strict=True))
        return self._uniform(0.0, 1.0) >= (asked - 2 * answered) / (asked + 1)

    def _turn(self, now: float) -> None:
        if now - self._since >= self._SPAN_S:
            fresh = now - self._since < 2 * self._SPAN_S
            self._before, self._counts, self._since = (self._counts if fresh else [0, 0]), [0, 0], now
