"""What holds answers back until the probe lets them go: without sleeping, for threads and for tasks of any loop."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from multipartner.testing.torture.answers import Call

HELD_FOR_S: Final = 60.0


class Gate:
    """Holds back answers until it is opened; `first` of them only, if that is given."""

    def __init__(self, matches: Callable[[Call], bool], first: int | None) -> None:
        self._matches = matches
        self._left = first
        self.opened = threading.Event()
        self._loops: list[Callable[[], None]] = []

    def takes(self, call: Call) -> bool:
        """Whether this call waits here. Counts."""
        if self.opened.is_set() or self._left == 0 or not self._matches(call):
            return False
        if self._left is not None:
            self._left -= 1
        return True

    def open(self) -> None:
        """Let all go on."""
        self.opened.set()
        for wake in list(self._loops):
            wake()

    async def passed(self) -> None:
        """Wait without blocking the loop."""
        loop = asyncio.get_running_loop()
        seen = asyncio.Event()
        self._loops.append(lambda: _wake(loop, seen))
        if not self.opened.is_set():
            async with asyncio.timeout(HELD_FOR_S):
                await seen.wait()


def _wake(loop: asyncio.AbstractEventLoop, seen: asyncio.Event) -> None:
    # The loop may have ended since.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(seen.set)
