"""Callers who come all at once: threads or tasks, started together, watched until nothing moves, waited for with a bound."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from multipartner.testing.torture.adapter import Tenant
from multipartner.testing.torture.report import Face

_STILL: Final = 24
_LOOK_S: Final = 0.005
"""Nothing has changed for this many looks in a row, so far apart: whoever could come back has come back. A machine that stands
still for a while counts as one look."""


class Caller:
    """One who asks, and what came of it."""

    def __init__(self, provider: Any, app_id: str, tenant: Tenant) -> None:  # noqa: ANN401 - what the adapter made
        self.provider, self.app_id, self.tenant = provider, app_id, tenant
        self.tokens: list[str] = []
        self.errors: list[BaseException] = []
        self.back = False
        self.task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """Ask, and keep what comes of it."""
        try:
            self.tokens.append(self.provider.get(self.tenant))
        except BaseException as error:  # noqa: BLE001 - any way to fail is a finding
            self.errors.append(error)

    async def ask_async(self) -> None:
        """The same in a task."""
        try:
            self.tokens.append(await self.provider.aget(self.tenant))
        except BaseException as error:  # noqa: BLE001 - as above
            self.errors.append(error)


class Watched(Protocol):
    """What else must stand still: the endpoint's calls."""

    calls: list[Any]


def stand_still(state: Callable[[], object], within_s: float, ended: Callable[[], bool] = lambda: False) -> None:
    """Return when a state has not changed for many looks in a row, or has ended, or `within_s` has passed."""
    never = threading.Event()
    seen, still = state(), 0
    for _ in range(int(within_s / _LOOK_S)):
        if ended() or still >= _STILL:
            return
        never.wait(_LOOK_S)
        now = state()
        seen, still = now, still + 1 if now == seen else 0


class Crowd:
    """Callers on their way."""

    def __init__(self, callers: Sequence[Caller], upstream: Watched) -> None:
        self.callers = callers
        self._upstream = upstream
        self._moved = threading.Condition()
        self._began = 0

    def begin(self) -> None:
        """One more is on the way."""
        with self._moved:
            self._began += 1

    def came_back(self, caller: Caller) -> None:
        """One has what it gets."""
        with self._moved:
            caller.back = True
            self._moved.notify_all()

    def waiting(self) -> list[Caller]:
        """Return those who are not back."""
        return [caller for caller in self.callers if not caller.back]

    def settle(self, within_s: float) -> list[Caller]:
        """Wait until all are back, or nothing moves any more. Returns those who are not back."""
        stand_still(lambda: (self._began, len(self.waiting()), len(self._upstream.calls)), within_s, self._all_back)
        return self.waiting()

    def _all_back(self) -> bool:
        return self._began == len(self.callers) and not self.waiting()

    def finish(self, within_s: float) -> list[Caller]:
        """Wait until all are back. Returns those who hang."""
        with self._moved:
            self._moved.wait_for(lambda: not self.waiting(), within_s)
        return self.waiting()


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="torture-loop", daemon=True)
        self._thread.start()

    def call(self, act: Callable[[], object]) -> None:
        """Have something called there."""
        self.loop.call_soon_threadsafe(act)

    def run(self, awaited: Awaitable[object], within_s: float) -> None:
        """Await something there, and wait for it here."""

        async def wait() -> None:
            await awaited

        asyncio.run_coroutine_threadsafe(wait(), self.loop).result(within_s)

    def close(self, within_s: float) -> None:
        """Cancel what is left, and close; a loop that something blocks is left behind. Once."""
        if self.loop.is_closed():
            return
        ended = threading.Event()

        async def end() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=within_s) if tasks else None
            ended.set()

        self.call(lambda: setattr(self, "_ending", self.loop.create_task(end())))
        if ended.wait(within_s):
            self.call(self.loop.stop)
            self._thread.join(within_s)
            self.loop.close()


def start(face: Face, callers: Sequence[Caller], upstream: Watched, loop: Loop | None, repeats: int = 1) -> Crowd:
    """Let all ask at once, each `repeats` times."""
    crowd = Crowd(callers, upstream)
    if face is Face.SYNC or loop is None:
        _start_threads(crowd, repeats)
    else:
        loop.call(lambda: _start_tasks(crowd, repeats))
    return crowd


def _start_threads(crowd: Crowd, repeats: int) -> None:
    together = threading.Barrier(len(crowd.callers))

    def run(caller: Caller) -> None:
        together.wait()
        crowd.begin()
        for _ in range(repeats):
            caller.ask()
        crowd.came_back(caller)

    for caller in crowd.callers:
        threading.Thread(target=run, args=(caller,), name="torture-caller", daemon=True).start()


def _start_tasks(crowd: Crowd, repeats: int) -> None:
    async def run(caller: Caller) -> None:
        crowd.begin()
        for _ in range(repeats):
            await caller.ask_async()
        crowd.came_back(caller)

    for caller in crowd.callers:
        caller.task = asyncio.get_running_loop().create_task(run(caller))
