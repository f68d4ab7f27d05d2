"""Counts that all hosts share, in Valkey or Redis, through the `limits` library (extra `valkey`).

The library is imported when counts are made, so that nobody else needs it.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from multipartner.storage.ports import SharedCountsUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from limits.aio.storage import RedisStorage

Answer = TypeVar("Answer")

ANSWER_WITHIN_S: Final = 0.2
AT_ONCE: Final = 16
"""Questions on the way to the server, and so connections, of one process."""

_PROBE: Final = ("probe", 1, 1)


class SharedLimitsRefused(Exception):  # noqa: N818 - a verdict
    """The shared limits cannot be used as they are set; the text is one line, without a secret."""


class _NotLetInError(SharedCountsUnavailable):
    pass


_NOT_LET_IN: Final = ("authentication", "username-password", "no password is set", "no permissions", "noperm", "db index")
"""What errors say that last until somebody corrects something; the driver tells them as errors of the connection."""


class ValkeyCounts:
    """`storage.ports.SharedCounts` as the library's moving windows: one list of time stamps for each key.

    The URL's scheme says what it is: a server (`valkey://`, `valkeys://`, `redis://`, `rediss://`, `valkey+unix://`,
    `redis+unix://`), a Sentinel's or a Cluster (`valkey+sentinel://`, ...). Nothing is connected yet. Raises
    SharedLimitsRefused.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._storage = self._made(url, prefix)
        password = urlsplit(url).password or ""
        self._secrets = [secret for secret in (password, unquote(password)) if secret]
        self._room = asyncio.Semaphore(AT_ONCE)
        self._unanswered = 0

    def _made(self, url: str, prefix: str) -> "RedisStorage":
        try:
            urlsplit(url)  # what it cannot take apart it quotes
            from limits.storage import storage_from_string  # noqa: PLC0415 - only who shares limits has it

            # "redis" would mean another driver; the timeouts here are the driver's own, ours covers all of a question.
            made: Any = storage_from_string(
                f"async+{url}",
                implementation="valkey",
                key_prefix=prefix,
                wrap_exceptions=False,
                socket_timeout=ANSWER_WITHIN_S,
                socket_connect_timeout=ANSWER_WITHIN_S,
            )
        except ImportError:
            raise SharedLimitsRefused("needs the extra `valkey`: pip install 'multipartner[valkey]'") from None
        except Exception as error:  # noqa: BLE001 - the library's and the driver's own kinds, and what parsing raises
            # Its text can hold the whole URL.
            raise SharedLimitsRefused(f"the library does not take this URL ({type(error).__name__})") from None
        storage: RedisStorage = made
        return storage

    async def take(self, key: str, entries: int, limit: int, window_s: int) -> bool:
        """Count so many entries at once, if there are then no more than `limit` in the window; otherwise none."""
        return await self._asked(lambda: self._storage.acquire_entry(key, limit, window_s, entries))

    async def look(self, key: str, limit: int, window_s: int) -> tuple[int, float]:
        """Entries in the window, at most `limit`, and the seconds until the oldest of them leaves it."""
        return await self._asked(lambda: self._looked(key, limit, window_s))

    async def _looked(self, key: str, limit: int, window_s: int) -> tuple[int, float]:
        import time  # noqa: PLC0415 - the clock that the library stamps entries with

        oldest_s, entries = await self._storage.get_moving_window(key, limit, window_s)
        left_s = oldest_s + window_s - time.time()
        return int(entries), min(max(left_s, 0.0), float(window_s))

    async def probe(self) -> None:
        """Return if entries can be counted: a server that only reads is of no use."""
        await self.take(*_PROBE, 1)

    async def check(self) -> None:
        """As `probe`, at a start. Raises SharedLimitsRefused when waiting would not help: it does not let us in."""
        try:
            await self.probe()
        except _NotLetInError as error:
            raise SharedLimitsRefused(str(error)) from None

    async def _asked(self, question: "Callable[[], Awaitable[Answer]]") -> Answer:
        unanswered = self._unanswered
        async with self._room:
            if unanswered != self._unanswered:
                # Who waits behind a question that got no answer must not wait for one of its own as well.
                raise SharedCountsUnavailable("not asked: a question before it was not answered")
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    return await question()
            except Exception as error:  # noqa: BLE001 - whatever it is, there is no answer
                self._unanswered += 1
                told = self._told(error)
                lasting = any(text in told.lower() for text in _NOT_LET_IN)
                raise (_NotLetInError if lasting else SharedCountsUnavailable)(told) from None

    def _told(self, error: Exception) -> str:
        """An error's name and text on one line, without what must not be shown."""
        text = " ".join(str(error).split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return f"{type(error).__name__}: {text:.120}" if text else type(error).__name__

    async def close(self) -> None:
        """Let go of the server. Does not raise."""
        with suppress(Exception):
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._storage.bridge.get_connection().aclose()  # type: ignore[attr-defined] # of the driver
