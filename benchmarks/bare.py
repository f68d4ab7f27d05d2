"""What a server can do at most: an application that answers with the same bytes, on the same granian with the same settings."""

import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

from multipartner.cli.http_server import BACKLOG, HEADERS_WITHIN_MS, KILL_AFTER_S
from multipartner.cli.listening import hold

Send = Callable[[dict[str, Any]], Awaitable[None]]


def load(body_bytes: int) -> Callable[..., Awaitable[None]]:
    """Make the application."""
    body = b"x" * body_bytes
    headers = [(b"content-type", b"application/json"), (b"content-length", str(body_bytes).encode())]

    async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def main() -> None:
    """`bare.py BODY_BYTES`: serve on a free loopback port, which is printed."""
    with hold("127.0.0.1", 0) as holder:
        port = holder.getsockname()[1]
        server = Granian(
            "bare",
            address="127.0.0.1",
            port=port,
            interface=Interfaces.ASGI,
            workers=1,
            loop=Loops.uvloop,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=HEADERS_WITHIN_MS),
            websockets=False,
            backlog=BACKLOG,
            log_level=LogLevels.warning,
            log_access=False,
            workers_kill_timeout=KILL_AFTER_S,
        )
        print(f"bare serves http://127.0.0.1:{port}", flush=True)
        server.serve(target_loader=partial(load, int(sys.argv[1])), wrap_loader=False)


if __name__ == "__main__":
    main()
