"""The HTTP server, set up in the one way that all our services use."""

import codecs
import time
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from multipartner.web.logs import standard_config

KILL_AFTER_S: Final = 10
"""The parent's patience with a stopping worker: three times the worker's own (`leaving.DRAIN_S`), since a machine may be busy."""

_AGAIN_S: Final = 4.0
"""After so long a worker that has not left is told to once more."""

HEADERS_WITHIN_MS: Final = 10_000
BACKLOG: Final = 2048


class _Server(MPServer):
    """Tells a worker twice to stop, before it is killed."""

    def _stop_workers(self) -> None:
        # Of some hundred stops on a busy machine one worker did not leave, as if it had not heard the signal; why is unknown. One
        # that is on its way is not disturbed by the second.
        workers: list[Any] = list(self.wrks)
        for worker in workers:
            worker.terminate()
        give_up = time.monotonic() + _AGAIN_S
        for worker in workers:
            worker.join(max(give_up - time.monotonic(), 0.001))
        super()._stop_workers()  # type: ignore[no-untyped-call] # granian has no types here


def http_server(where: dict[str, Any], workers: int, log_level: str, log_format: str) -> MPServer:
    """Make a server; `where` is `address` and `port`, or `uds` and `uds_permissions`."""
    # Imported by whoever resolves a name. Were a thread of the parent at it while a worker is forked, the worker would wait
    # for that import's lock at its own first name, for ever: seen.
    codecs.lookup("idna")
    return _Server(
        "multipartner",
        **where,
        interface=Interfaces.ASGI,
        workers=workers,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADERS_WITHIN_MS),
        websockets=False,
        backlog=BACKLOG,
        log_level=LogLevels(log_level if log_level in ("debug", "error") else "warning"),
        log_dictconfig=standard_config(log_level, log_format),
        log_access=False,
        respawn_failed_workers=True,
        workers_kill_timeout=KILL_AFTER_S,
    )
