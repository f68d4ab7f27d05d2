"""A door in front of PostgreSQL that counts: each time a connection waits for the server is one round trip."""

import asyncio
import contextlib
import struct
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit, urlunsplit

from benchmarks.postgres import Database

_SOCKET = ".s.PGSQL.5432"
_ENDS_A_TRIP = frozenset({b"S", b"Q"})
"""Messages after which a client waits: Sync and simple Query."""


@asynccontextmanager
async def counted(database: Database) -> AsyncIterator[tuple[str, Counter[str]]]:
    """The URL of the door, and round trips by `application_name`, from when a connection is made."""
    counts: Counter[str] = Counter()
    passing: set[asyncio.Task[None]] = set()

    async def enter(client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        answers, server = await asyncio.open_unix_connection(str(database.folder / _SOCKET))
        for pump in (_ask(client, server, counts), _answer(answers, back)):
            task = asyncio.create_task(pump)
            passing.add(task)
            task.add_done_callback(passing.discard)

    with tempfile.TemporaryDirectory(prefix="mp-door-") as folder:
        door = await asyncio.start_unix_server(enter, str(Path(folder) / _SOCKET))
        try:
            yield urlunsplit(urlsplit(database.url)._replace(query=urlencode({"host": folder}))), counts
        finally:
            door.close()
            for task in list(passing):
                task.cancel()
            await asyncio.gather(*passing, return_exceptions=True)


async def _ask(client: asyncio.StreamReader, server: asyncio.StreamWriter, counts: Counter[str]) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, OSError), contextlib.closing(server):
        head = await client.readexactly(8)
        told = await client.readexactly(struct.unpack(">i", head[:4])[0] - 8)
        words = told.rstrip(b"\0").decode().split("\0")
        name = dict(zip(words[::2], words[1::2], strict=False))["application_name"]
        server.write(head + told)
        while True:
            head = await client.readexactly(5)
            rest = await client.readexactly(struct.unpack(">i", head[1:])[0] - 4)
            counts[name] += head[:1] in _ENDS_A_TRIP
            server.write(head + rest)


async def _answer(server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError), contextlib.closing(client):
        while some := await server.read(65536):
            client.write(some)
