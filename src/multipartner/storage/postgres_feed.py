"""The change feed on PostgreSQL: a task that listens, asks, and dates each answer by when it asked."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import asyncpg

from multipartner.storage import queries
from multipartner.storage.compiled import postgres_text
from multipartner.storage.ports import Change, ChangeKind, StorageUnavailable
from multipartner.storage.postgres import Connection, Postgres, rotated, session_settings, unavailable
from multipartner.storage.triggers import CHANNEL

MOST_CHANGES: Final = 1000
"""More than these at once are told as EVERYTHING."""

ASK_EVERY_S: Final = 0.25
"""How often the feed is confirmed without a notification, at most; more often when `stale_for_s` is below a second."""

ASK_EVERY_UNHEARD_S: Final = 0.04
"""The same while changes come of which no notification is heard: listening does not work, and asking is all there is."""

DIAL_S: Final = 1.5
"""Patience with one attempt to connect: a packet lost meanwhile is sent again once, and the next attempt sends more."""

RETRY_S: Final = 0.2

_LEAST_PATIENCE_S: Final = 0.5
_LAGS_KEPT: Final = 4096
_NEVER: Final = -(2**63)
_NOTHING: Final[Sequence[Change]] = ()  # shared: the hot path makes nothing
_EVERYTHING: Final[Sequence[Change]] = (Change(ChangeKind.EVERYTHING),)
_KINDS: Final = {kind.value: kind for kind in ChangeKind}
_CHANGES: Final = postgres_text(queries.POSTGRES_CHANGES).sql
_NEWEST: Final = postgres_text(queries.POSTGRES_NEWEST).sql

_Row = tuple[Any, ...]
_NO_ROW: Final[_Row] = (None, None, None, None)


class PostgresFeed:
    """`ports.ChangeFeed` of one process and event loop. `boot_ns` reads the clock that `poll` is given.

    `on_move` is called whenever the server may be another one than before: what was connected to it must be let go.
    `ask_every_s` None: as `stale_for_s` demands.
    """

    def __init__(
        self,
        place: Postgres,
        *,
        boot_ns: Callable[[], int],
        stale_for_s: float,
        on_move: Callable[[], None],
        ask_every_s: float | None = None,
    ) -> None:
        self.place = place
        self.confirmed_boot_ns: int | None = None
        """When the query was sent that confirmed the feed last (boot clock)."""
        self.moves = 0
        """Grows with every connection of the feed that was lost or made."""
        self.started: object = None
        """When the server was started that the feed stands on: its name, which no other instance has."""
        self._boot_ns = boot_ns
        self._stale_for_ns = int(stale_for_s * 1e9)
        self._on_move = on_move
        self._ask_every_s = min(stale_for_s / 4, ASK_EVERY_S) if ask_every_s is None else ask_every_s
        self._patience_s = max(stale_for_s, _LEAST_PATIENCE_S)
        self._good_until_ns = _NEVER
        self._told = _NOTHING
        self._last: _Row | None = None
        self._timeline = ""
        self._trouble = "not connected yet"
        self._heard_boot_ns: int | None = None
        self._is_deaf = False
        self._lags_s: deque[float] = deque(maxlen=_LAGS_KEPT)
        self._woken, self._confirmed = asyncio.Event(), asyncio.Event()
        self._asked = self._answered = 0
        self._connection: Connection = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Confirm for the first time, and go on doing so. Raises StorageUnavailable."""
        try:
            with unavailable(self.place):
                await self._begin()
        except BaseException:
            self._let_go()
            raise
        self._told = _NOTHING  # nothing was cached before
        self._task = asyncio.create_task(self._run(), name="multipartner change feed")

    async def close(self) -> None:
        """Stop; from now on `poll` refuses as soon as the last confirmation is too old."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._let_go()

    def poll(self, boot_ns: int) -> Sequence[Change]:
        """See `ports.ChangeFeed`. Costs two comparisons when nothing happened."""
        if boot_ns <= self._good_until_ns and self._told is _NOTHING:
            return _NOTHING
        if boot_ns > self._good_until_ns:
            raise StorageUnavailable(f"the change feed cannot be confirmed: {self._trouble or 'no answer in time'}")
        told, self._told = self._told, _NOTHING
        return told

    def lag_s(self, boot_ns: int) -> float:
        """How long ago the feed was confirmed, in seconds; infinite before the first time."""
        return float("inf") if self.confirmed_boot_ns is None else (boot_ns - self.confirmed_boot_ns) / 1e9

    def take_lags_s(self) -> Sequence[float]:
        """Seconds from hearing of changes to being ready to obey them, one for each answer that brought any since the last call.

        Without a notification it is counted from the confirmation before, at which they were not there yet: never too little.
        """
        lags_s = tuple(self._lags_s)
        self._lags_s.clear()
        return lags_s

    async def confirmation(self) -> None:
        """Wait for an answer to a query that is sent from now on, and send it now."""
        wanted = self._asked + 1
        self._woken.set()
        while self._answered < wanted:
            await self._confirmed.wait()

    async def dial(self, application: str, statement_s: float) -> Connection:
        """Connect to the hosts in the order that worked last, with time-outs for statements. Raises what the driver raises."""
        return await asyncpg.connect(
            self.place.url,
            timeout=DIAL_S,
            max_cached_statement_lifetime=0,
            server_settings=session_settings(application, statement_s),
        )

    async def _run(self) -> None:
        while True:
            try:
                with unavailable(self.place):
                    if self._connection is None:
                        await self._begin()
                    await self._follow()
            except StorageUnavailable as error:
                self._fail(str(error))
            except Exception as error:  # noqa: BLE001 - a feed that ended would never come back; it tells what it met instead
                self._fail(f"{self.place.name}: {type(error).__name__}")
            if self._trouble:
                await asyncio.sleep(RETRY_S)

    async def _begin(self) -> None:
        try:
            self._connection = connection = await self.dial("multipartner feed", self._patience_s)
            connection.add_termination_listener(self._wake)
            self._must_be_primary(standby=getattr(connection.get_settings(), "in_hot_standby", "off") == "on")
            async with asyncio.timeout(self._patience_s):
                # First, so that nothing is committed unheard between the answer and it.
                await connection.add_listener(CHANNEL, self._hear)
            await self._adopt(connection)
        except BaseException:
            # Whoever is no primary, or silent, must not use up every attempt.
            self.place = rotated(self.place)
            raise

    async def _follow(self) -> None:
        while True:
            self._woken.clear()
            await self._ask(self._connection)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(self._ask_every_s, ASK_EVERY_UNHEARD_S) if self._is_deaf else self._ask_every_s):
                    await self._woken.wait()

    async def _adopt(self, connection: Connection) -> None:
        """Begin from the newest row; what was before is not known, so it is everything."""
        asked_ns = self._asking()
        standby, started, timeline, *last = await self._fetch(connection, _NEWEST)
        self._must_be_primary(standby=standby)
        if timeline < self._timeline:
            raise StorageUnavailable(
                f"{self.place.name}: the server was left behind by a promotion; restart this process if it shall serve again"
            )
        if started != self.started:
            self.started = started
            self._moved()
        self._timeline = timeline
        self._last = None if last[0] is None else tuple(last)
        self._confirm(asked_ns, _EVERYTHING)

    async def _ask(self, connection: Connection) -> None:
        before_ns, asked_ns = self.confirmed_boot_ns, self._asking()
        revision = self._last[0] if self._last else 0
        rows = await self._fetch_all(connection, _CHANGES, revision, MOST_CHANGES + 2)
        self._must_be_primary(standby=rows[0][0])
        found = [tuple(row)[1:] for row in rows if row[1] is not None]
        # Numbers may be missing between rows (transactions that were rolled back): only the last row known tells a pruned or
        # replaced feed. Rows become visible in their order, see `triggers`.
        if self._last is not None and (not found or found[0] != self._last):
            await self._adopt(connection)
            return
        news = found[1:] if self._last is not None else found
        if not news:
            self._confirm(asked_ns, _NOTHING)
        elif len(news) > MOST_CHANGES or any(row[1] not in _KINDS for row in news):
            await self._adopt(connection)
        else:
            self._last = news[-1]
            self._confirm(asked_ns, tuple(Change(_KINDS[kind], key1, key2) for _, kind, key1, key2 in news))
        if news:
            self._is_deaf = self._heard_boot_ns is None
            self._lags_s.append((self._boot_ns() - self._since(before_ns, asked_ns)) / 1e9)

    def _since(self, before_ns: int | None, asked_ns: int) -> int:
        heard_ns, self._heard_boot_ns = self._heard_boot_ns, None
        if heard_ns is not None:
            return heard_ns
        return asked_ns if before_ns is None else before_ns

    async def _fetch(self, connection: Connection, text: str) -> _Row:
        return tuple((await self._fetch_all(connection, text))[0])

    async def _fetch_all(self, connection: Connection, text: str, *values: int) -> list[Any]:
        # Not the driver's own time-out: it would ask the silent server to cancel, and wait for that.
        async with asyncio.timeout(self._patience_s):
            rows: list[Any] = await connection.fetch(text, *values)
        return rows

    def _must_be_primary(self, *, standby: bool) -> None:
        if standby:
            raise StorageUnavailable(f"{self.place.name}: the server is a standby")

    def _asking(self) -> int:
        self._asked += 1
        return self._boot_ns()

    def _confirm(self, asked_ns: int, changes: Sequence[Change]) -> None:
        if changes:
            known = self._told is _EVERYTHING or changes is _EVERYTHING or len(self._told) + len(changes) > MOST_CHANGES
            self._told = _EVERYTHING if known else (*self._told, *changes)
        self._trouble = ""
        self.confirmed_boot_ns = asked_ns
        self._good_until_ns = asked_ns + self._stale_for_ns
        self._answered = self._asked
        confirmed, self._confirmed = self._confirmed, asyncio.Event()
        confirmed.set()

    def _fail(self, trouble: str) -> None:
        self._trouble = trouble
        self._let_go()
        self._moved()

    def _let_go(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.remove_termination_listener(self._wake)
            connection.terminate()

    def _moved(self) -> None:
        self.moves += 1
        self._on_move()

    def _hear(self, *_told: object) -> None:
        self._is_deaf = False
        if self._heard_boot_ns is None:
            self._heard_boot_ns = self._boot_ns()
        self._woken.set()

    def _wake(self, _connection: object) -> None:
        self._woken.set()
