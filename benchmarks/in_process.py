"""The application without a server: its lifespan run, requests handed to it as a server would, statements counted."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.world import World

from multipartner.web.logs import RequestLog, logger
from multipartner.wiring import build_app

Message = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]
Ask = Callable[[], Message]

HEADERS = (
    (b"host", b"127.0.0.1:8080"),
    (b"user-agent", b"python-httpx/0.28.1"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
)


@asynccontextmanager
async def service_of(world: World, trail: Path, **settings: object) -> AsyncIterator[App]:
    """The application with limiter, trail and log as served; lines of the log go to the null device."""
    with _quiet_log() as log:
        app = build_app(world.settings(trail, **settings), log=log.seen)
        async with _lifespan(app):
            yield app


@contextmanager
def _quiet_log() -> Iterator[RequestLog]:
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield RequestLog(logger("info", "json"))


@asynccontextmanager
async def _lifespan(app: App) -> AsyncIterator[None]:
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    living = asyncio.ensure_future(app({"type": "lifespan", "asgi": {"version": "3.0"}}, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    told = await outbox.get()
    if told["type"] != "lifespan.startup.complete":
        raise RuntimeError(str(told))
    try:
        yield
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        await living


def scope(path: str, query: str, token: str, address: str = "127.0.0.1") -> Message:
    """One request as the server hands it over."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [*HEADERS, (b"authorization", b"Bearer " + token.encode())],
        "client": (address, 40_000),
        "server": ("127.0.0.1", 8080),
        "state": {},
    }


async def receive() -> Message:
    """A request without a body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(_message: Message) -> None:
    """Throw the answer away."""


async def status_of(app: App, request: Message) -> int:
    """Ask once, and look at the answer."""
    answers: list[Message] = []

    async def keep(message: Message) -> None:
        answers.append(message)

    await app(request, receive, keep)
    return int(answers[0]["status"])


async def time_all(app: App, requests: Sequence[Message]) -> float:
    """Seconds on the clock for all requests, one after the other; each scope is a new one, as from a server."""
    begun = time.perf_counter()
    for request in requests:
        await app(dict(request), receive, send)
    return time.perf_counter() - begun


async def cpu_of_all(app: App, requests: Sequence[Message], at_once: int = 1) -> float:
    """Processor seconds of this process, its threads included, for all requests."""
    begun = time.process_time()
    for at in range(0, len(requests), at_once):
        await asyncio.gather(*(app(dict(request), receive, send) for request in requests[at : at + at_once]))
    return time.process_time() - begun
