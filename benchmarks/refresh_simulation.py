"""The shipped decisions (`client.flow`) under 100,000 tenants, hour-long tokens and an outage, on a turned clock.

A fifth of the tenants is used every minute, the rest every half hour, at random moments. They are onboarded at 200 a second, so
that without jitter all refreshes would come as fast. Either each call mints a token of full length, or, as this project's service
does, tokens are those of windows of half a lifetime that begin at each tenant's own phase.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from multipartner.client.failures import Failure, Kind, Usage
from multipartner.client.flights import Failed, Fetched
from multipartner.client.flow import Flow
from multipartner.client.gates import RetryPolicy
from multipartner.client.keys import Account, Secret, TokenKey
from multipartner.client.policy import RefreshPolicy
from multipartner.client.ports import Moment
from multipartner.client.tokens import IN_USE
from multipartner.client.verdicts import Await, Serve

_EPOCH_S = 1_800_000_000.0
_BIN_S = 60
_POLICY = RefreshPolicy()


@dataclass(frozen=True)
class Load:
    tenants: int = 100_000
    lifetime_s: int = 3600
    onboarded_per_s: float = 200.0
    is_deterministic: bool = False
    sweeps: bool = False
    outage_s: int = 1200
    seed: int = 1
    policy: RefreshPolicy = _POLICY


@dataclass(frozen=True)
class Figures:
    """Refresh calls a second over minutes, after onboarding and before the outage; and the share of uses that failed in it."""

    mean_per_s: float
    peak_per_s: float
    failing: float
    calls_in_outage: int

    @property
    def peak_to_mean(self) -> float:
        return self.peak_per_s / self.mean_per_s


class _Api:
    def __init__(self, load: Load, phase: Callable[[TokenKey], float]) -> None:
        self._load = load
        self._phase = phase
        self.is_down = False

    def __call__(self, key: TokenKey, now: Moment) -> Fetched | Failed:
        if self.is_down:
            return Failed(Failure(Kind.TRANSIENT, 503), now)
        lifetime_s = self._load.lifetime_s
        expires_at_s = now.wall + lifetime_s
        if self._load.is_deterministic:
            window_s = lifetime_s / 2
            phase_s = self._phase(key) * window_s
            expires_at_s = (now.wall - phase_s) // window_s * window_s + phase_s + lifetime_s
        return Fetched("t", int(expires_at_s), now, Usage(), now.wall)


def simulate(load: Load) -> Figures:
    """Run onboarding, four lifetimes, an outage, and count."""
    draw = random.Random(load.seed)  # noqa: S311 - a simulation that must repeat
    account = Account("https://graph.example", "1", Secret("simulated"))
    keys = [account.key("1", str(number)) for number in range(load.tenants)]
    phases = {key: draw.random() for key in keys}
    start = Moment(0.0, _EPOCH_S)
    flow = Flow(load.policy, RetryPolicy(attempts=1), start, draw.uniform, most=load.tenants + 1)
    flow.sweeps = load.sweeps
    api = _Api(load, phases.__getitem__)
    onboarded_s = load.tenants / load.onboarded_per_s
    outage_from = onboarded_s + (4 + draw.random()) * load.lifetime_s
    end = outage_from + load.outage_s
    uses: list[tuple[float, int]] = [(number / load.onboarded_per_s, number) for number in range(load.tenants)]
    every_s = [60.0 if draw.random() < 0.2 else 1800.0 for _ in keys]
    calls: Counter[int] = Counter()
    asked = failed = swept = 0
    while uses and uses[0][0] < end:
        at, number = heapq.heappop(uses)
        api.is_down = at >= outage_from
        if load.sweeps and at >= swept + 1:
            swept = int(at)
            flow.sweep(at)
            _run(flow, api, at, calls)
        is_served = _use(flow, api, keys[number], at, calls)
        asked, failed = asked + api.is_down, failed + (api.is_down and not is_served)
        heapq.heappush(uses, (at + draw.expovariate(1 / every_s[number]), number))
    steady = [calls[minute] / _BIN_S for minute in range(int(onboarded_s) // _BIN_S + 1, int(outage_from) // _BIN_S)]
    in_outage = sum(count for minute, count in calls.items() if minute >= int(outage_from) // _BIN_S)
    return Figures(sum(steady) / len(steady), max(steady), failed / max(asked, 1), in_outage)


def _use(flow: Flow, api: _Api, key: TokenKey, at: float, calls: Counter[int]) -> bool:
    token = flow.table.tokens.get(key)
    if token is not None and at < token.refresh_at:
        token.used = IN_USE
        return True
    verdict = flow.want(key, at, 0.0, at + 10)
    _run(flow, api, at, calls)
    if isinstance(verdict, Await):
        return not isinstance(verdict.flight.result, Failure)
    return isinstance(verdict, Serve)


def _run(flow: Flow, api: _Api, at: float, calls: Counter[int]) -> None:
    now = Moment(at, _EPOCH_S + at)
    while (flight := flow.take(now)) is not None:
        calls[int(at) // _BIN_S] += 1
        flow.land(flight, api(flight.key, now), at)
    flow.told.clear()
    flow.settled.clear()
