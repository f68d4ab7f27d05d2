"""What a probe stands on: a provider before a fake endpoint, crowds that ask, and a list of what did not hold."""

import inspect
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from multipartner.testing.torture.adapter import Ability, Adapter, Tenant
from multipartner.testing.torture.crowd import Caller, Crowd, Loop, stand_still, start
from multipartner.testing.torture.report import Face, Report
from multipartner.testing.torture.upstream import Upstream

APP: Final = "1000000001"
OTHER_APP: Final = "1000000002"
TENANT: Final = Tenant("8249170987505988", "2991847208473997")
_SETTLED_BY_S: Final = 30.0
"""Something always moves, in a provider that asks without an end."""


def tenants(count: int) -> list[Tenant]:
    """Return so many tenants of one solution."""
    return [Tenant(TENANT.solution_id, str(3_000_000_000_000_000 + at)) for at in range(count)]


class Stage:
    """One probe's world. Leave it as a context manager: it lets everybody go and closes the provider."""

    def __init__(self, adapter: Adapter, face: Face) -> None:
        self.adapter = adapter
        self.face = face
        self.turns = Ability.CLOCK in adapter.abilities
        self.clock = adapter.clock()
        self.upstream = Upstream(self.clock)
        self.loop = Loop() if face is Face.ASYNC else None
        self.waited = 0
        self.wrong = 0
        self.unserved: list[BaseException] = []
        self.hung = 0
        self.violations: list[str] = []
        self._providers: list[Any] = []
        self._loops: list[Loop] = []
        self.provider = self.make()

    def make(self, app_id: str = APP) -> Any:  # noqa: ANN401 - whatever the adapter makes
        """Make one more provider, for another app."""
        provider = self.adapter.make(self.upstream.endpoint(app_id))
        self._providers.append(provider)
        return provider

    def another_loop(self) -> Loop:
        """Return one more event loop in a thread of its own."""
        self._loops.append(Loop())
        return self._loops[-1]

    @property
    def calls(self) -> int:
        """How many calls have reached the endpoint."""
        return len(self.upstream.calls)

    def claim(self, held: bool, text: str) -> None:  # noqa: FBT001 - reads as a sentence
        """Write down what did not hold."""
        if not held:
            self.violations.append(text)

    # asking

    def ask(
        self, asked: Iterable[Tenant], *, repeats: int = 1, app: tuple[Any, str] | None = None, loop: Loop | None = None
    ) -> Crowd:
        """Let one caller for each tenant ask at once, each `repeats` times."""
        provider, app_id = app or (self.provider, APP)
        callers = [Caller(provider, app_id, tenant) for tenant in asked]
        return start(self.face, callers, self.upstream, loop or self.loop, repeats)

    def one(self, tenant: Tenant = TENANT) -> str | None:
        """Ask once, wait, and expect a token."""
        return next(iter(self.served(self.ask([tenant]))), None)

    def served(self, crowd: Crowd) -> list[str]:
        """Wait for all of a crowd, and expect that each got its own living token each time. Returns the tokens."""
        self._finish(crowd)
        self.unserved += [error for caller in crowd.callers for error in caller.errors]
        return self._tokens(crowd)

    def pestered(self) -> None:
        """Let 8 ask 100 times each as fast as they can, then 20 more one after the other, each with time for a call to follow."""
        self.served(self.ask([TENANT] * 8, repeats=100))
        for _ in range(20):
            calls = self.calls
            self.one()
            self.upstream.arrived(calls + 1, 0.01)

    def perhaps(self, crowd: Crowd) -> list[str]:
        """Wait for all of a crowd: errors are well, wrong tokens are not. Returns the tokens."""
        self._finish(crowd)
        return self._tokens(crowd)

    def refused(self, crowd: Crowd) -> list[str]:
        """Wait for all of a crowd, and expect that nobody got a token. Time goes on meanwhile, where the kit turns it."""
        for _ in range(120 if self.turns else 0):
            if not crowd.settle(_SETTLED_BY_S):
                break
            self.clock.turn(1.0)
        self._finish(crowd)
        return self._tokens(crowd)

    def _finish(self, crowd: Crowd) -> None:
        hung = crowd.finish(self.adapter.patience_s)
        self.hung += len(hung)
        self.claim(not hung, f"{len(hung)} of {len(crowd.callers)} callers hang")

    def _tokens(self, crowd: Crowd) -> list[str]:
        pairs = [(caller, token) for caller in crowd.callers for token in caller.tokens]
        self.wrong += sum(not self.upstream.right(token, caller.app_id, caller.tenant) for caller, token in pairs)
        return [token for _, token in pairs]

    # moments

    def all_wait(self, crowd: Crowd) -> None:
        """Wait until nothing moves any more: whoever is to be held up is."""
        crowd.settle(_SETTLED_BY_S)

    def held_up(self, crowd: Crowd) -> int:
        """Count who does not come back in the adapter's patience, though nobody should have to wait."""
        return len(crowd.finish(self.adapter.patience_s))

    def calm(self) -> int:
        """Wait until no more calls come in. Returns how many there have been."""
        stand_still(lambda: self.calls, _SETTLED_BY_S)
        return self.calls

    def newer_than(self, old: str | None, tenant: Tenant = TENANT) -> str | None:
        """Ask again and again, for as long as the adapter's patience, until there is another token."""
        pause = threading.Event()
        token = old
        for _ in range(int(self.adapter.patience_s / 0.01)):
            token = self.one(tenant)
            if token != old:
                break
            pause.wait(0.01)
        return token

    def early(self) -> str | None:
        """Get a token, and go to the moment at which a new one should be fetched while it lives. Returns it."""
        life_s, left_s = self.upstream.life_s, self.adapter.early_left_s
        if not self.turns:
            self.upstream.life_s = left_s
        token = self.one()
        self.upstream.life_s = life_s
        if self.turns:
            self.clock.turn(life_s - left_s)
        return token

    # ending

    def report(self, probe: str) -> Report:
        """Say what was found."""
        self.claim(self.wrong == 0, f"{self.wrong} tokens of another tenant or app, or past their expiry")
        kinds = sorted({type(error).__name__ for error in self.unserved})
        self.claim(not self.unserved, f"{len(self.unserved)} errors ({', '.join(kinds)}) where a token was to be had")
        found = tuple(dict.fromkeys(self.violations))
        counts = self.calls, self.waited, len(self.unserved), self.wrong, self.hung
        return Report(probe, self.adapter.name or type(self.adapter).__name__, self.face, *counts, found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.upstream.close()
        closing = threading.Thread(target=self._close_providers, name="torture-close", daemon=True)
        closing.start()
        closing.join(self.adapter.patience_s)
        for loop in (self.loop, *self._loops):
            if loop is not None:
                loop.close(self.adapter.patience_s)
        self.clock.close()

    def _close_providers(self) -> None:
        for provider in self._providers:
            close: Callable[[], object] | None = getattr(provider, "close", None)
            if close is None:
                continue
            with suppress(Exception):
                ended = close()
                if inspect.isawaitable(ended) and self.loop is not None:
                    self.loop.run(ended, self.adapter.patience_s)
