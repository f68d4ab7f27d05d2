"""Time that a probe turns: the world's, and what the provider's machine believes."""

import threading
from typing import Final

_LOOK_AGAIN_S: Final = 0.05


class TurnedClock:
    """The world's time and a machine's two clocks, in seconds. All stand still until they are turned.

    `true` is what the endpoint goes by. `wall` is the machine's Unix time, which can be stepped away from it; `boot` is the
    time since boot, which cannot.
    """

    def __init__(self, unix_s: float = 1_800_000_000.0, since_boot_s: float = 5_000.0) -> None:
        self._unix_s = unix_s
        self._since_boot_s = since_boot_s
        self._turned_s = 0.0
        self._stepped_s = 0.0
        self._waiting: list[threading.Condition] = []

    def true(self) -> float:
        """Unix seconds of the world."""
        return self._unix_s + self._turned_s

    def wall(self) -> float:
        """Unix seconds, as this machine believes."""
        return self.true() + self._stepped_s

    def boot(self) -> float:
        """Seconds since boot."""
        return self._since_boot_s + self._turned_s

    def turn(self, seconds: float) -> None:
        """Let time pass on all clocks, and wake whoever waits for it."""
        self._turned_s += seconds
        for condition in list(self._waiting):
            with condition:
                condition.notify_all()

    def step(self, seconds: float) -> None:
        """Set the machine's wall clock, as an administrator or a time server does."""
        self._stepped_s += seconds

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait on a condition that is held, until it is notified, time is turned, or a moment has passed. May return early."""
        if seconds is not None and seconds <= 0:
            return
        self._waiting.append(condition)
        try:
            condition.wait(_LOOK_AGAIN_S)
        finally:
            self._waiting.remove(condition)

    def close(self) -> None:
        """Let go of the machine's clock, if this one had hold of it."""


class SystemTime(TurnedClock):
    """The machine's own time, for providers that take no clock. It cannot be turned."""

    def __init__(self) -> None:
        import time  # noqa: PLC0415 - only here: everything else is handed its time

        super().__init__()
        self._now, self._monotonic = time.time, time.monotonic

    def true(self) -> float:
        """Unix seconds."""
        return self._now()

    def boot(self) -> float:
        """Seconds since some moment."""
        return self._monotonic()

    def turn(self, seconds: float) -> None:
        """Raise NotImplementedError."""
        raise NotImplementedError("this provider reads the machine's clock: declare Ability.CLOCK if it takes one")

    def step(self, seconds: float) -> None:
        """Raise NotImplementedError."""
        self.turn(seconds)
