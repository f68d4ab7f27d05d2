"""A small token provider that is right, as a measure for the kit: threads fetch, callers wait or are served."""

import asyncio
import os
import threading
import weakref
from concurrent.futures import Future
from email.utils import parsedate_to_datetime

from multipartner.testing.torture import Answer, Endpoint, Tenant

LONG_S = 5.0
LEAST_PAUSE_S = 5.0
REFUSED_PAUSE_S = 60.0


class Refused(Exception):  # noqa: N818 - says what happened
    """The endpoint gave no token."""

    def __init__(self, text: str, pause_s: float) -> None:
        super().__init__(text)
        self.pause_s = pause_s


class Entry:
    """What is known of one tenant. Times are seconds since boot."""

    def __init__(self) -> None:
        self.token: str | None = None
        self.refresh_at = self.until = self.retry_at = 0.0
        self.error: Exception | None = None
        self.flight: Future[str] | None = None
        self.expires_at_s = 0
        self.rejected: set[str] = set()


class Reference:
    """`get`, `aget` and `reject` for all tenants of one app."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.clock = endpoint.clock
        self.entries: dict[Tenant, Entry] = {}
        self.lock = threading.Lock()
        _ALL.add(self)

    def get(self, tenant: Tenant) -> str:
        found = self.decide(tenant)
        return found if isinstance(found, str) else found.result(LONG_S)

    async def aget(self, tenant: Tenant) -> str:
        found = self.decide(tenant)
        return found if isinstance(found, str) else await asyncio.shield(asyncio.wrap_future(found))

    def reject(self, tenant: Tenant, token: str) -> None:
        with self.lock:
            entry = self.entries[tenant]
            entry.rejected.add(token)
            if entry.token == token:
                entry.token = None

    def decide(self, tenant: Tenant) -> str | Future[str]:
        """A token to be had now, or what to wait for. Raises what the endpoint said, in its pause."""
        with self.lock:
            now, entry = self.clock.boot(), self.entries.setdefault(tenant, Entry())
            if entry.token is not None and now < entry.until:
                if now >= max(entry.refresh_at, entry.retry_at):
                    self.fly(tenant, entry)
                return entry.token
            if entry.error is not None and now < entry.retry_at:
                raise entry.error
            return self.fly(tenant, entry)

    def fly(self, tenant: Tenant, entry: Entry) -> Future[str]:
        if entry.flight is None:
            entry.flight = Future()
            threading.Thread(target=self.fetch, args=(tenant, entry, entry.flight), daemon=True).start()
        return entry.flight

    def fetch(self, tenant: Tenant, entry: Entry, flight: Future[str]) -> None:
        try:
            token = self.ask_twice(tenant, entry)
        except (Refused, OSError) as error:
            with self.lock:
                self.fail(entry, error)
                entry.flight = None
            flight.set_exception(error)
        else:
            flight.set_result(token)

    def ask_twice(self, tenant: Tenant, entry: Entry) -> str:
        """An answer may be overtaken: by its token's end, or by a rejection."""
        for _ in range(2):
            sent, answer = self.clock.boot(), self.ask(tenant)
            with self.lock:
                if answer.token not in entry.rejected:
                    self.land(entry, answer, sent)
                    if self.clock.boot() < entry.until:
                        entry.flight = None
                        return answer.token
        raise Refused("no token that lives", 0)

    def ask(self, tenant: Tenant) -> Answer:
        answer = self.endpoint.fetch(tenant)
        if answer.status != 200:
            named_s = float(answer.headers.get("retry-after", 0))
            raise Refused(f"HTTP {answer.status}", named_s or (REFUSED_PAUSE_S if answer.status < 500 else 0))
        return answer

    def fail(self, entry: Entry, error: Exception) -> None:
        now = self.clock.boot()
        pause_s = error.pause_s if isinstance(error, Refused) else 0.0
        entry.error, entry.retry_at = error, now + max(LEAST_PAUSE_S, pause_s, (entry.until - now) / 10)

    def land(self, entry: Entry, answer: Answer, sent: float) -> None:
        life_s = answer.expires_at_s - parsedate_to_datetime(answer.headers["date"]).timestamp()
        same = answer.expires_at_s <= entry.expires_at_s
        entry.token, entry.expires_at_s, entry.error, entry.retry_at = answer.token, answer.expires_at_s, None, 0.0
        entry.until = sent + life_s - min(15.0, life_s / 10)
        entry.refresh_at = self.clock.boot() + (entry.until - self.clock.boot()) / 2 if same else sent + 0.7 * life_s

    def renew_in_child(self) -> None:
        self.lock = threading.Lock()
        for entry in self.entries.values():
            entry.flight = None


_ALL: "weakref.WeakSet[Reference]" = weakref.WeakSet()


def _after_in_child() -> None:
    for provider in list(_ALL):
        provider.renew_in_child()


os.register_at_fork(after_in_child=_after_in_child)
