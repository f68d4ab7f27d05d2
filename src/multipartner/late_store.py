"""The write side of a serving process: opened by the first change that comes, as most workers see none for hours."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from multipartner.storage.backend import Backend, Database
from multipartner.storage.change_ports import Changes, ChangeStore
from multipartner.storage.changes import SqlChangeStore
from multipartner.storage.migrate import DatabaseVersionError
from multipartner.storage.ports import StorageUnavailable


class LateStore:
    """The port `ChangeStore` of one process and event loop.

    `heard` returns when this process has heard of all that was committed before; a change waits for it at most `patience_s`.
    """

    def __init__(self, backend: Backend, heard: Callable[[], Awaitable[object]], *, patience_s: float = 1.0) -> None:
        self._backend = backend
        self._heard = heard
        self._patience_s = patience_s
        self._opening = asyncio.Lock()
        self._database: Database | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Changes]:
        """See the port. This process obeys the change when it returns; how soon others do is the feed's promise."""
        async with (await self._store()).transaction() as changes:
            yield changes
        # Committed: that the feed cannot say so now must neither look like a change that was not made nor keep the answer.
        with contextlib.suppress(StorageUnavailable, TimeoutError):
            async with asyncio.timeout(self._patience_s):
                await self._heard()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Changes]:
        """See the port."""
        async with (await self._store()).reading() as changes:
            yield changes

    async def close(self) -> None:
        """Let go of it, if it was ever opened."""
        database, self._database = self._database, None
        if database is not None:
            await database.close()

    async def _store(self) -> ChangeStore:
        async with self._opening:
            if self._database is None:
                try:
                    self._database = await self._backend.open()
                except DatabaseVersionError as error:
                    raise StorageUnavailable(str(error)) from error
            return SqlChangeStore(self._database)
