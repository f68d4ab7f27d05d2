"""A wire that can be cut: between the service and one PostgreSQL server, unencrypted, so that its frames can be told apart."""

import asyncio
import contextlib
import struct
from collections.abc import Coroutine
from typing import Final

_FRAME: Final = struct.Struct("!cI")
_NOTIFICATION: Final = b"A"
_CHUNK: Final = 1 << 16


class Relay:
    """Listens on a free port of its own and keeps it, whatever is done to it."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.deaf = False
        """Notifications are dropped on their way; everything else arrives."""
        self.dropped = 0
        self._target = target
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Let connections through."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port, reuse_address=True)
            self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Reset what is connected and refuse what comes."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hold(self) -> None:
        """Swallow everything in silence: connections stay, new ones are taken, no byte arrives, until `open`."""
        self._flowing.clear()

    async def _relay(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._flowing.wait()
            server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                await self._both(self._up(client, to_server), self._down(server, to_client))
            finally:
                to_server.transport.abort()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either end went away, or the wire was cut
        finally:
            to_client.transport.abort()
            self._tasks.discard(task)

    async def _both(self, *ways: Coroutine[None, None, None]) -> None:
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                    await task

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readexactly(_FRAME.size)
            kind, length = _FRAME.unpack(head)
            body = await reader.readexactly(length - 4)
            await self._flowing.wait()
            if self.deaf and kind == _NOTIFICATION:
                self.dropped += 1
                continue
            writer.write(head + body)
            await writer.drain()
