"""A connection to PostgreSQL that comes back by itself."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.postgres import Connection, Postgres

_TRY_S: Final = 1.5
"""Patience with one attempt; together with the longest pause below the 2 s in which a server that is back has to be found."""

_OPEN_S: Final = 10.0

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.2


class KeptConnection:
    """After a loss the first attempt to connect begins at once, and `get` waits for it; then `get` raises until one succeeds.

    `prepare` is awaited on each new connection before anybody gets it; if it raises StorageUnavailable, that attempt has failed.
    """

    def __init__(
        self, place: Postgres, application: str, statement_s: float, prepare: Callable[[Connection], Awaitable[None]]
    ) -> None:
        self._place = place
        self._application = application
        self._statement_s = statement_s
        self._prepare = prepare
        self._connection: Connection = None
        self._why = ""
        self._first_attempt = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_up(self) -> bool:
        """There is a connection, as far as is known."""
        return self._connection is not None and not self._connection.is_closed()

    async def open(self) -> None:
        """Connect. Raises StorageUnavailable; then nothing goes on trying."""
        await self._connect(_OPEN_S)

    async def get(self) -> Connection:
        """The connection. Raises StorageUnavailable, without waiting for more than one attempt."""
        if not self.is_up:
            self.lose(self._connection)
            await self._first_attempt.wait()
        if not self.is_up:
            raise StorageUnavailable(self._why or f"{self._place.name}: the connection was lost")
        return self._connection

    def lose(self, connection: Connection) -> None:
        """Give up a connection that is no good any more, and begin to make a new one."""
        if connection is not self._connection or self._is_closed:
            return
        if connection is not None:
            connection.terminate()
            self._connection = None
        if self._connecting is None or self._connecting.done():
            self._first_attempt.clear()
            self._connecting = asyncio.create_task(self._keep_connecting(), name=self._application)

    async def close(self, patience_s: float) -> None:
        """Let go of it. Does not raise."""
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        self._first_attempt.set()
        if self._connection is not None:
            with contextlib.suppress(Exception):  # whatever it fails by, then it is not let go of in good order
                await self._connection.close(timeout=patience_s)
            self._connection.terminate()
            self._connection = None

    async def _keep_connecting(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                await self._connect(_TRY_S)
            except StorageUnavailable as error:
                self._why = str(error)
            except Exception as error:  # noqa: BLE001 - whoever stopped trying would never come back
                self._why = f"{self._place.name}: {type(error).__name__}"
            self._first_attempt.set()
            if self.is_up:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _connect(self, patience_s: float) -> None:
        connection: Connection = None
        try:
            async with asyncio.timeout(patience_s):
                connection = await self._place.connect(
                    application=self._application, statement_s=self._statement_s, patience_s=patience_s
                )
                await self._prepare(connection)
        except TimeoutError:
            _drop(connection)
            raise StorageUnavailable(f"{self._place.name}: no answer in time") from None
        except BaseException:
            _drop(connection)
            raise
        self._connection = connection
        connection.add_termination_listener(self.lose)


def _drop(connection: Connection) -> None:
    if connection is not None:
        connection.terminate()
