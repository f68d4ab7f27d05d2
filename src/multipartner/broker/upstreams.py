"""One token provider for each account, what is fetched at the start, and what its events tell of the account's health."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from multipartner.broker.configuration import Upstream
from multipartner.client import Account, Explanation, Health, TokenKey, TokenProvider

Hook = Callable[[str, TokenKey | None], None]
Make = Callable[[Account, Hook], TokenProvider]
"""Makes the provider of an account, which tells the hook: the one place that decides about store, transport and options."""

Tell = Callable[[str, str, Mapping[str, object]], None]
"""Told the level, the event and its fields, for the log."""

_LOUD: Final = {
    "credential_rejected": "error",
    "store_unavailable": "error",
    "store_row_unopened": "error",
    "unexpected": "error",
    "gate_closed": "warning",
    "poisoned": "warning",
    "purged": "warning",
    "clock_step": "warning",
    "denied": "info",
    "throttled": "info",
    "refused": "warning",
    "degraded": "warning",
}
"""Events that an operator reads of, and how loud they are; all of them are counted."""

_LINES_PER_S: Final = 20
_ANSWERED: Final = frozenset({"refresh_ok", "denied", "throttled", "refused", "gate_closed", "credential_rejected"})


class Vitals(msgspec.Struct, frozen=True):
    """How one account is. `lacks` names what keeps it from fetching: `credential`, `quota`, `upstream`; empty if nothing does."""

    account: str
    health: Health
    events: Mapping[str, int]
    lacks: tuple[str, ...]

    @property
    def serves(self) -> bool:
        """Whether somebody who asks can be answered: a token lives, or nothing keeps one from being fetched."""
        return not self.lacks or self.health.tokens > self.health.expired


class _Watch:
    """Hears one provider's events, in whichever thread they happen."""

    def __init__(self, account: str, tell: Tell, boot: Callable[[], float]) -> None:
        self.counts: Counter[str] = Counter()
        self.is_failing = False
        self._account = account
        self._tell = tell
        self._boot = boot
        self._lock = threading.Lock()
        self._second, self._lines = 0, 0
        self.explain: Callable[[TokenKey], Explanation] | None = None

    def __call__(self, event: str, key: TokenKey | None) -> None:
        with self._lock:
            self.counts[event] += 1
            if event == "refresh_fail":
                self.is_failing = True
            elif event in _ANSWERED:
                self.is_failing = False
            loud = event in _LOUD and self._has_line()
        if loud:
            self._tell(_LOUD[event], event, {"account": self._account, **self._told(key)})

    def _has_line(self) -> bool:
        """An outage with 100,000 customers must fill neither disk nor processor."""
        second = int(self._boot())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        return self._lines <= _LINES_PER_S

    def _told(self, key: TokenKey | None) -> Mapping[str, object]:
        if key is None:
            return {}
        told: dict[str, object] = {"solution_id": key.solution_id, "business_id": key.business_id}
        failure = self.explain(key).failure if self.explain is not None else None
        if failure is not None:
            names = ("status", "code", "subcode", "fbtrace_id", "detail")
            told |= {f"upstream_{name}": value for name in names if (value := getattr(failure, name)) not in (None, "", 0)}
        return told


class Upstreams:
    """The providers of all accounts, by name."""

    def __init__(self, accounts: Mapping[str, Account], make: Make, tell: Tell, boot: Callable[[], float]) -> None:
        self._watches = {name: _Watch(name, tell, boot) for name in accounts}
        self._providers = {name: make(account, self._watches[name]) for name, account in accounts.items()}
        for name, watch in self._watches.items():
            watch.explain = self._providers[name].explain

    def get(self, account: str) -> TokenProvider | None:
        """The provider of an account, if there is such an account."""
        return self._providers.get(account)

    def prefetch(self, upstreams: Mapping[str, Upstream]) -> int:
        """Begin to fetch what the configuration names, paced; returns how many."""
        begun = 0
        for name, upstream in upstreams.items():
            provider = self._providers[name]
            keys = [provider.key(wanted.solution, business) for wanted in upstream.prefetch for business in wanted.businesses]
            begun += provider.prefetch(keys, per_s=upstream.prefetch_per_s) if keys else 0
        return begun

    def vitals(self) -> list[Vitals]:
        """How each account is."""
        return [self._vitals(name, provider) for name, provider in self._providers.items()]

    def _vitals(self, name: str, provider: TokenProvider) -> Vitals:
        watch, health = self._watches[name], provider.health()
        lacks = [
            *(["credential"] if health.credential_rejected else []),
            *(["quota"] if health.gate_closed_s > 0 else []),
            *(["upstream"] if watch.is_failing else []),
        ]
        return Vitals(name, health, dict(watch.counts), tuple(lacks))

    def close(self) -> None:
        """Let go of everything; whoever waits is told."""
        for provider in self._providers.values():
            provider.close()
