"""Providers that are wrong in one way each: what the kit must find, and the probe that must find it."""

import asyncio
import http.client
import threading
from concurrent.futures import Future
from typing import NamedTuple

from multipartner.testing.torture import Answer, Endpoint, Face, Tenant
from torture.reference import LONG_S, Entry, Reference, Refused


class FetchesForEach(Reference):
    def fly(self, tenant: Tenant, entry: Entry) -> Future[str]:
        entry.flight = None
        return super().fly(tenant, entry)


class RefreshesInTheWay(Reference):
    def decide(self, tenant: Tenant) -> str | Future[str]:
        found = super().decide(tenant)
        return self.entries[tenant].flight or found


class ServesTheOldForEver(Reference):
    def land(self, entry: Entry, answer: Answer, sent: float) -> None:
        kept, new = entry.token, entry.token is None
        super().land(entry, answer, sent)
        entry.token = entry.token if new else kept


class RaisesWhileItsTokenLives(Reference):
    def fail(self, entry: Entry, error: Exception) -> None:
        super().fail(entry, error)
        entry.token = None


class AsksWithoutPause(Reference):
    def fail(self, entry: Entry, error: Exception) -> None:
        super().fail(entry, error)
        entry.retry_at = 0.0


class DoesNotHearRetryAfter(Reference):
    def fail(self, entry: Entry, error: Exception) -> None:
        super().fail(entry, Refused(str(error), 0))


class ServesTheDead(Reference):
    def land(self, entry: Entry, answer: Answer, sent: float) -> None:
        super().land(entry, answer, sent)
        entry.until = float("inf")


class GivesUpForGood(Reference):
    def fail(self, entry: Entry, error: Exception) -> None:
        super().fail(entry, error)
        entry.retry_at = float("inf")


class FetchesUnderOneLock(Reference):
    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.one_by_one = threading.Lock()

    def ask(self, tenant: Tenant) -> Answer:
        with self.one_by_one:
            return super().ask(tenant)


class WaitsForItsParentsThread(Reference):
    def renew_in_child(self) -> None:
        self.lock = threading.Lock()


class KeepsItsParentsConnection(Reference):
    """Over HTTP, with one connection that is kept, in the child as well."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.kept: list[http.client.HTTPConnection] = []

    def ask(self, tenant: Tenant) -> Answer:
        made = self.kept.pop() if self.kept else http.client.HTTPConnection(self.endpoint.origin.removeprefix("http://"))
        where = f"/{self.endpoint.version}/{tenant.solution_id}/access_token?business_id={tenant.business_id}"
        made.request("GET", where, headers={"authorization": f"Bearer {self.endpoint.caller_token}"})
        got = made.getresponse()
        answer = Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
        self.kept.append(made)
        return answer

    def close(self) -> None:
        for made in self.kept:
            made.close()


class BindsToTheFirstLoop(Reference):
    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.alone = asyncio.Lock()

    async def aget(self, tenant: Tenant) -> str:
        async with self.alone:
            return await super().aget(tenant)


class FetchesInTheLeadersTask(Reference):
    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.tasks: dict[Tenant, asyncio.Future[str]] = {}

    async def aget(self, tenant: Tenant) -> str:
        while tenant in self.tasks:
            try:
                return await asyncio.shield(self.tasks[tenant])
            except asyncio.CancelledError:
                if tenant in self.tasks:
                    raise
        led = self.tasks[tenant] = asyncio.get_running_loop().create_future()
        try:
            answer = await self.endpoint.afetch(tenant)
            led.set_result(answer.token)
        finally:
            del self.tasks[tenant]
            led.cancel()
        return answer.token


class DropsWhateverIsThere(Reference):
    def reject(self, tenant: Tenant, token: str) -> None:
        with self.lock:
            entry = self.entries[tenant]
            entry.rejected.update([entry.token or token])
            entry.token = None


class DoesNotBelieveA401(Reference):
    def reject(self, tenant: Tenant, token: str) -> None:
        pass


class TakesBackWhatWasRejected(Reference):
    def ask(self, tenant: Tenant) -> Answer:
        answer = super().ask(tenant)
        self.entries[tenant].rejected.clear()
        return answer


class CountsFromTheAnswer(Reference):
    def land(self, entry: Entry, answer: Answer, sent: float) -> None:  # noqa: ARG002 - that it is not used is what is wrong
        super().land(entry, answer, self.clock.boot())


class HopesForNewerTokens(Reference):
    def land(self, entry: Entry, answer: Answer, sent: float) -> None:
        super().land(entry, answer, sent)
        entry.refresh_at = entry.until - 600


class _WallOnly:
    """A clock that can be set: all that `time.time()` knows."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.boot = self.wall = endpoint.clock.wall
        self.wait = endpoint.clock.wait


class GoesByTheWallClock(Reference):
    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.clock = _WallOnly(endpoint)


class KnowsNoApps(Reference):
    shared: dict[Tenant, Entry] = {}  # noqa: RUF012 - that it is shared is what is wrong with it

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.entries = self.shared


class KnowsNoTenants(Reference):
    def decide(self, tenant: Tenant) -> str | Future[str]:
        return super().decide(tenant._replace(business_id="1"))


class Raises(Reference):
    async def aget(self, tenant: Tenant) -> str:
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self.fly(tenant, Entry()))), LONG_S)
        raise KeyError(tenant)


class Caught(NamedTuple):
    """A wrong provider, the probe that finds it, and a word that its finding holds."""

    kind: type[Reference]
    probe: str
    face: Face
    word: str


CAUGHT = [
    Caught(FetchesForEach, "cold herd", Face.SYNC, "calls for one token"),
    Caught(FetchesForEach, "cold herd", Face.ASYNC, "calls for one token"),
    Caught(Raises, "cold herd", Face.ASYNC, "errors (KeyError)"),
    Caught(RefreshesInTheWay, "early window", Face.SYNC, "callers wait though"),
    Caught(RefreshesInTheWay, "early window", Face.ASYNC, "callers wait though"),
    Caught(FetchesForEach, "early window", Face.SYNC, "calls to fetch one token early"),
    Caught(ServesTheOldForEver, "early window", Face.SYNC, "never handed out"),
    Caught(RaisesWhileItsTokenLives, "failing endpoint", Face.SYNC, "errors (Refused)"),
    Caught(AsksWithoutPause, "failing endpoint", Face.SYNC, "calls to an endpoint that fails"),
    Caught(ServesTheDead, "failing endpoint", Face.SYNC, "after their expiry"),
    Caught(GivesUpForGood, "failing endpoint", Face.ASYNC, "no new token comes before the old one ends"),
    Caught(RaisesWhileItsTokenLives, "cut connections", Face.ASYNC, "errors (ConnectionCut)"),
    Caught(DoesNotHearRetryAfter, "throttled endpoint", Face.SYNC, "before the 60 s"),
    Caught(AsksWithoutPause, "dead tenant", Face.SYNC, "calls for a tenant that is refused"),
    Caught(GivesUpForGood, "dead tenant", Face.SYNC, "1 errors (Refused)"),
    Caught(KnowsNoTenants, "dead tenant", Face.SYNC, "tokens for a tenant that is refused"),
    Caught(FetchesUnderOneLock, "slow neighbour", Face.SYNC, "of 8 tenants wait"),
    Caught(FetchesUnderOneLock, "slow neighbour", Face.ASYNC, "of 8 tenants wait"),
    Caught(WaitsForItsParentsThread, "fork", Face.SYNC, "the child hangs"),
    Caught(KeepsItsParentsConnection, "fork", Face.SYNC, "over its parent's connection"),
    Caught(BindsToTheFirstLoop, "two loops", Face.ASYNC, "errors (RuntimeError)"),
    Caught(FetchesInTheLeadersTask, "cancelled leader", Face.ASYNC, "took the first one with it"),
    Caught(DropsWhateverIsThere, "late 401", Face.SYNC, "late news of an old token"),
    Caught(DoesNotBelieveA401, "late 401", Face.ASYNC, "handed out again"),
    Caught(TakesBackWhatWasRejected, "rejected in flight", Face.SYNC, "the rejected token came back"),
    Caught(CountsFromTheAnswer, "suspended", Face.SYNC, "past their expiry"),
    Caught(HopesForNewerTokens, "non-advancing expiry", Face.SYNC, "brought the same token"),
    Caught(GoesByTheWallClock, "clock step", Face.SYNC, "after the clock was set ahead"),
    Caught(GoesByTheWallClock, "clock step", Face.ASYNC, "past their expiry"),
    Caught(KnowsNoApps, "mixed-up tenants", Face.SYNC, "of another tenant or app"),
    Caught(KnowsNoTenants, "mixed-up tenants", Face.ASYNC, "of another tenant or app"),
]
