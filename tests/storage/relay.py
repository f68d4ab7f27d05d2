"""A relay before a PostgreSQL server's socket: it counts what a client sends, and falls silent when told to."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, unquote, urlsplit


class Relay:
    """`sent`: messages of clients by their type byte; `open_gate` clear: nothing passes, and nobody is told."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self.sent: Counter[str] = Counter()
        self.open_gate = asyncio.Event()
        self.open_gate.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        folder = unquote(parse_qs(self._target.query).get("host", [""])[0])
        if folder:
            upstream = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{self._target.port or 5432}")
        else:
            upstream = await asyncio.open_connection(self._target.hostname, self._target.port or 5432)
        both = [self._requests(reader, upstream[1]), self._pass(upstream[0], writer)]
        self._tasks |= {asyncio.current_task(), *(tasks := [asyncio.create_task(each) for each in both])}  # type: ignore[arg-type] # its coroutine returns nothing
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for end in (writer, upstream[1]):
            end.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind = b""  # the first message has no type
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(head, "big") - 4)
                self.sent[kind.decode()] += 1
                await self.open_gate.wait()
                writer.write(kind + head + body)
                kind = await reader.readexactly(1)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                await self.open_gate.wait()
                writer.write(chunk)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def relayed(url: str) -> AsyncIterator[tuple[Relay, str]]:
    """A relay, and the URL of the database behind it."""
    relay = Relay(url)
    server = await asyncio.start_server(relay.handle, "127.0.0.1", 0)
    try:
        target = urlsplit(url)
        user = f"{target.username or 'postgres'}" + (f":{target.password}" if target.password else "")
        yield relay, f"postgresql://{user}@127.0.0.1:{server.sockets[0].getsockname()[1]}{target.path}?sslmode=disable"
    finally:
        server.close()
        await relay.close()
