"""The machine's clocks."""

import functools
import threading
import time
from typing import Final

_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", None)


class SystemClock:
    """Time since boot where the system has it (Linux), else the monotonic clock; `boot` is a built-in, with no call around it."""

    boot = staticmethod(time.monotonic if _BOOT is None else functools.partial(time.clock_gettime, _BOOT))
    wall = staticmethod(time.time)

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait on a condition that is held."""
        condition.wait(seconds)
