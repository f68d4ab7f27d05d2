"""What runs in a worker process: the service with its exporters, and an end that comes even if a client does not let go."""

import asyncio
import ctypes
import gc
import os
import signal
from collections.abc import Awaitable
from typing import Final

from multipartner.settings import Settings
from multipartner.web.asgi import Receive, Scope, Send
from multipartner.web.logs import RequestLog, logger
from multipartner.web.metrics import App, Exporter
from multipartner.wiring import Service, Watchers, build_service

DRAIN_S: Final = 3.0
"""Answers that were begun before a stop have so long to end; then trail and database are closed all the same."""

_PR_SET_PDEATHSIG: Final = 1


def load(settings: Settings, parent: int) -> App:
    """Make a worker's application; the server calls it in the new process. `parent` is the id of the process that began it."""
    die_with(parent)
    log = RequestLog(logger(settings.log_level, settings.log_format))
    exporter = Exporter()
    watchers = Watchers(log=log.seen, log_error=log.error, report=exporter)
    service = build_service(settings, workers=settings.workers, watchers=watchers)
    _spare_the_collector()
    return _Worker(service, exporter.timed(service.app), parent)


def _spare_the_collector() -> None:
    """Set what was made at start aside, and look for cycles seldom: with 100,000 cached grants each look costs much, and a
    request makes no cycles of its own.
    """  # noqa: D205 - one thought
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def die_with(parent: int) -> None:
    """Have the kernel stop this process when `parent` dies; leave at once if it is dead already."""
    # The parent's handlers came along with the fork and would swallow a signal until the server sets its own.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class _Worker:
    def __init__(self, service: Service, app: App, parent: int) -> None:
        self._service = service
        self._app = app
        self._parent = parent

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
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
        signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(stop))
        if os.getppid() != self._parent:
            stop()

    async def _leave(self) -> None:
        await asyncio.sleep(DRAIN_S)
        await self._service.close()
        os._exit(0)
