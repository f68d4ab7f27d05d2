"""How a worker process ends: with its parent, in order, and even if a client does not let go."""

import asyncio
import ctypes
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Final

from multipartner.web.asgi import Receive, Scope, Send

DRAIN_S: Final = 3.0
"""Answers that were begun before a stop have so long to end; then everything is closed all the same."""

_END_S: Final = 7
"""Whatever holds a worker up after it was told to stop, the kernel ends it then: before its parent has to kill it."""

_PR_SET_PDEATHSIG: Final = 1

App = Callable[[Scope, Receive, Send], Awaitable[None]]


def die_with(parent: int) -> None:
    """Have the kernel stop this process when `parent` dies; leave at once if it is dead already."""
    # The parent's handlers came along with the fork and would swallow a signal until the server sets its own.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class Worker:
    """The application of one worker process, which ends with its parent; `close` is the last thing done."""

    def __init__(self, close: Callable[[], Awaitable[None]], app: App, parent: int) -> None:
        self._close = close
        self._app = app
        self._parent = parent

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Hand on to the application, and watch for signals from the start on."""
        if scope["type"] == "lifespan":
            self._watch_signals()
        return self._app(scope, receive, send)

    def _watch_signals(self) -> None:
        """On SIGTERM set a limit to the server's patience: it waits for every open request, a half-sent one included."""
        loop = asyncio.get_running_loop()
        leaving: list[asyncio.Task[None]] = []

        def stop() -> None:
            if not leaving:
                leaving.append(loop.create_task(self._leave()))
                # The server listens to SIGINT in the same way, and goes on from here.
                os.kill(os.getpid(), signal.SIGINT)

        # Not a handler of the loop: those lose a signal that comes while the loop stands still, as it does once, when the
        # lifespan has started and the server begins to listen.
        loop.remove_signal_handler(signal.SIGTERM)

        def told(_number: int, _frame: object) -> None:
            # Its default action: no Python has to run for it, so that even an interpreter that does not end is ended.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            if not signal.getitimer(signal.ITIMER_REAL)[0]:
                signal.alarm(_END_S)
            loop.call_soon_threadsafe(stop)

        signal.signal(signal.SIGTERM, told)
        if os.getppid() != self._parent:
            stop()

    async def _leave(self) -> None:
        await asyncio.sleep(DRAIN_S)
        await self._close()
        os._exit(0)
