"""A flow with a turned clock and a scripted API, and a provider's surroundings for tests: no socket, no sleep."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from multipartner.client.failures import Failure
from multipartner.client.fetching import outcome_of
from multipartner.client.flights import Flight
from multipartner.client.flow import Flow
from multipartner.client.gates import RetryPolicy
from multipartner.client.keys import Account, Secret, TokenKey
from multipartner.client.policy import RefreshPolicy
from multipartner.client.ports import Moment, Response, TransportFailed
from multipartner.client.verdicts import Await, Refuse, Serve, Verdict

ACCOUNT = Account("https://graph.example", "5372200989284704", Secret("caller-token-of-a-test"))
EPOCH_S = 1_800_000_000.0
KEY = ACCOUNT.key("8249170987505988", "2991847208473997")


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def granted(text: str, expires_at_s: float, **headers: str) -> Response:
    return Response(200, headers, b'{"access_token":"%s","expires_at":%d}' % (text.encode(), int(expires_at_s)))


def refused(status: int, code: int, subcode: int = 0, *, transient: bool = False, **headers: str) -> Response:
    more = (b',"error_subcode":%d' % subcode if subcode else b"") + (b',"is_transient":true' if transient else b"")
    body = b'{"error":{"message":"m","type":"T","code":%d%b,"fbtrace_id":"Atrace"}}' % (code, more)
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


UNSHARED = refused(422, 100)
DENIED = refused(403, 200, 1349174)
FAULT = refused(500, 2, transient=True)
LIMITED = refused(429, 4, 2446079, transient=True)
BAD_CALLER = refused(401, 190, 463)


@dataclass
class Api:
    """An API of hour-long tokens, one after the other, until it is told to answer otherwise."""

    lifetime_s: float = 3600.0
    answer: Callable[[TokenKey, float], Response] | None = None
    calls: Counter[TokenKey] = field(default_factory=Counter)

    def __call__(self, key: TokenKey, wall: float) -> Response:
        self.calls[key] += 1
        if self.answer is not None:
            return self.answer(key, wall)
        return granted(f"{key.business_id}-{self.calls[key]}", wall + self.lifetime_s)


class Driven:
    """A flow whose flights are run when the test says so. `boot` and `wall` may be turned apart."""

    def __init__(self, api: Api | None = None, policy: RefreshPolicy | None = None, retry: RetryPolicy | None = None) -> None:
        self.api = api or Api()
        self.boot, self.wall = 1000.0, EPOCH_S
        self.flow = Flow(policy or RefreshPolicy(), retry or RetryPolicy(), self.now, middle)

    @property
    def now(self) -> Moment:
        return Moment(self.boot, self.wall)

    def pass_s(self, seconds: float) -> None:
        self.boot += seconds
        self.wall += seconds

    def want(self, key: TokenKey = KEY, min_ttl_s: float = 0.0, patience_s: float = 10.0) -> Verdict:
        return self.flow.want(key, self.boot, min_ttl_s, self.boot + patience_s)

    def run(self) -> int:
        """Run all flights that may go out now; returns how many did."""
        ran = 0
        while (flight := self.flow.take(self.now)) is not None:
            self.land(flight)
            ran += 1
        return ran

    def land(self, flight: Flight) -> None:
        self.flow.land(flight, outcome_of(self.api(flight.key, self.wall), self.now), self.boot)

    def get(self, key: TokenKey = KEY, min_ttl_s: float = 0.0, patience_s: float = 10.0) -> str:
        """Ask as a caller does who waits as long as it takes within `patience_s`; raises Told for a refusal."""
        until = self.boot + patience_s
        while True:
            verdict = self.flow.want(key, self.boot, min_ttl_s, until)
            if isinstance(verdict, Serve):
                return verdict.token.reveal()
            if isinstance(verdict, Refuse):
                raise Told(verdict.failure, verdict.retry_at)
            self._wait(verdict, until)
            if isinstance(verdict.flight.result, Failure):
                state = self.flow.table.states.get(key)
                raise Told(verdict.flight.result, state.retry_at if state else 0.0)

    def _wait(self, verdict: Await, until: float) -> None:
        while verdict.flight.result is None:
            if self.run() == 0:
                at = self.flow.queue.next_at()
                if at is None or at >= until:
                    raise TimeoutError
                self.pass_s(max(at - self.boot, 0.0))


class Told(Exception):  # noqa: N818 - a verdict
    """A refusal that a caller was told."""

    def __init__(self, failure: Failure, retry_at: float) -> None:
        super().__init__(failure.kind.value)
        self.failure = failure
        self.retry_at = retry_at


class TurnedClock:
    """A provider's clock: waits end when the test turns it or when somebody notifies."""

    def __init__(self) -> None:
        self._boot, self._wall = 1000.0, EPOCH_S
        self._guard = threading.Lock()
        self._waiting: set[threading.Condition] = set()

    def boot(self) -> float:
        return self._boot

    def wall(self) -> float:
        return self._wall

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        with self._guard:
            self._waiting.add(condition)
        # The real time here is only a guard: what ends a wait is a notification.
        condition.wait(0.02 if seconds is not None else 5.0)

    def turn(self, seconds: float, *, wall_too: bool = True) -> None:
        self._boot += seconds
        self._wall += seconds if wall_too else 0.0
        with self._guard:
            waiting = list(self._waiting)
        for condition in waiting:
            with condition:
                condition.notify_all()


class FakeTransport:
    """Answers from an `Api`, once its gate is open."""

    def __init__(self, api: Api, clock: TurnedClock) -> None:
        self.api = api
        self._clock = clock
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Semaphore(0)
        self.is_cut = False
        self.abandoned = 0

    def fetch(self, account: Account, key: TokenKey) -> Response:
        assert account is not None
        self.began.release()
        assert self.gate.wait(30)
        if self.is_cut:
            raise TransportFailed("ConnectError")
        return self.api(key, self._clock.wall())

    def close(self) -> None:
        self.gate.set()

    def abandon(self) -> None:
        self.abandoned += 1
