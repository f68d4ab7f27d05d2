"""The provider's decisions, without I/O: whether to serve, fetch, wait or refuse, and what an answer changes.

Every method takes the time. The driver (`provider`) holds one lock around each call, runs the flights that `take` gives it, and
empties `settled`, `told` and `to_forget` after each call. Times are seconds since boot unless a name says otherwise.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from multipartner.client import landing, rejecting
from multipartner.client.failures import Failure, Kind
from multipartner.client.flights import FOREGROUND, Again, Flight, FlightQueue, Outcome
from multipartner.client.gates import Breaker, Budget, Gate, Health, RetryPolicy, Uniform
from multipartner.client.keys import TokenKey
from multipartner.client.policy import RefreshPolicy
from multipartner.client.ports import Moment
from multipartner.client.rejecting import Matches
from multipartner.client.server_clock import ServerClock
from multipartner.client.table import KeyState, Table
from multipartner.client.tokens import IN_USE, NEVER, AccessToken
from multipartner.client.verdicts import Await, Refuse, Serve, Verdict

_AGAIN_S: Final = 30.0
"""A token that lives too short for a caller is not fetched again for that before this age."""
_SWEEP_S: Final = 1.0
_SUFFERING_S: Final = 5.0


class Flow:
    """All keys of one account. `salt` keys the jitter, the same in all processes that should refresh at one moment."""

    def __init__(
        self, policy: RefreshPolicy, retry: RetryPolicy, now: Moment, uniform: Uniform, *, most: int = 250_000, salt: bytes = b""
    ) -> None:
        self.policy = policy
        self.retry = retry
        self.uniform = uniform
        self.salt = salt
        self.clock = ServerClock(now)
        self.table = Table(most, lambda _: self.tell("evicted"))
        self.queue = FlightQueue()
        self.gate = Gate(retry, uniform)
        self.breaker = Breaker(retry, uniform)
        self.budget = Budget(retry.budget)
        self.health = Health(uniform)
        self.horizon_s = 0.0
        """The longest life (seconds) that the API gives of late."""
        self.sweeps = False
        """Whether tokens that are used are fetched anew in time even when nobody asks."""
        self.settled: list[Flight] = []
        self.told: deque[tuple[str, TokenKey | None]] = deque()
        self.to_forget: list[TokenKey] = []
        self._swept_at = now.boot
        self._paced_at = now.boot
        self._paced_per_s = 50.0

    def tell(self, name: str, key: TokenKey | None = None) -> None:
        """Note an event for the driver's hooks."""
        self.told.append((name, key))

    # what callers ask

    def want(self, key: TokenKey, now: float, min_ttl_s: float = 0.0, deadline: float = NEVER) -> Verdict:
        """Decide for one caller. `deadline` is when the caller stops waiting."""
        token = self.table.tokens.get(key)
        if token is not None and now >= token.refresh_at:
            token = self._of_two(key, token)
        if token is not None and now + min_ttl_s < token.until:
            token.used = IN_USE
            return self._serve(key, token, now) if now >= token.refresh_at else Serve(token)
        return self._wait(key, token, now, deadline)

    def _of_two(self, key: TokenKey, token: AccessToken) -> AccessToken:
        """Bring back a young token whose predecessor stood in for it."""
        state = self.table.states.get(key)
        if state is None or state.aside is None:
            return token
        token, state.aside = state.aside, None
        self.table.put(key, token)
        return token

    def _serve(self, key: TokenKey, token: AccessToken, now: float) -> Serve:
        """Hand out a token that is due for a refresh, and see to that."""
        flight = self.refresh(key, token, now)
        must = token.until - max(self.policy.must_s - self.policy.margin_s, 0.0)
        return Serve(token, flight if flight is not None and now >= must else None)

    def refresh(self, key: TokenKey, token: AccessToken, now: float) -> Flight | None:
        """Begin a refresh in the background if nothing speaks against it; sets when to look again.

        Until then a caller is on the short way: it is what keeps a failing endpoint from costing anything.
        """
        state = self.table.state(key)
        if state.flight is not None:
            token.refresh_at = token.until
            return None
        at = max(self.gate.background_at(now), state.retry_at, self.breaker.probe_at)
        if at > now or not self.health.lets_background(now):
            token.refresh_at = min(token.until, max(at, now + landing.pause(self, token, now)))
            return None
        self.gate.took_background(now)
        token.refresh_at = token.until
        return self._launch(key, state, token.until, now)

    def _launch(self, key: TokenKey, state: KeyState, priority: float, now: float, not_before: float = 0.0) -> Flight:
        flight = state.flight = self.queue.new(key, priority)
        self.queue.put(flight, not_before, now)
        return flight

    def _wait(self, key: TokenKey, token: AccessToken | None, now: float, deadline: float) -> Verdict:
        state = self.table.state(key)
        flight = state.flight
        if flight is not None:
            flight.deadline = max(flight.deadline, deadline)
            self.queue.promote(flight, now)
            return Await(flight)
        if state.failure is not None and now < state.retry_at:
            self.tell("negative_hit", key)
            return Refuse(state.failure, state.retry_at)
        if token is not None and now < token.until:
            again_at = max(state.retry_at, token.fetched_at + _AGAIN_S)
            if now < again_at:
                return Refuse(Failure(Kind.TRANSIENT), again_at, too_short=True)
        if self.breaker.failure is not None and now < self.breaker.probe_at:
            return Refuse(self.breaker.failure, self.breaker.probe_at)
        opens_at = self.gate.opens_at
        if self.gate.failure is not None and now < opens_at and opens_at >= deadline:
            return Refuse(self.gate.failure, opens_at)
        self.tell("miss", key)
        flight = self._launch(key, state, FOREGROUND, now, opens_at)
        flight.deadline = deadline
        return Await(flight)

    def prefetch(self, keys: Iterable[TokenKey], now: float, per_s: float) -> int:
        """Begin background flights for keys without a token, spread over time."""
        begun, self._paced_per_s = 0, per_s
        for key in keys:
            token, state = self.table.tokens.get(key), self.table.state(key)
            if (token is None or now >= token.until) and state.flight is None and now >= state.retry_at:
                self._launch(key, state, NEVER, now, now + begun / per_s)
                begun += 1
        return begun

    # what the driver does

    def take(self, now: Moment) -> Flight | None:
        """Return the next flight to run, if one may go out now."""
        if self.clock.stepped(now):
            self.tell("clock_step")
            self._probe_after_step(now.boot)
        while (flight := self.queue.pop(now.boot)) is not None:
            if self.breaker.holds(now.boot):
                landing.give_up(self, flight, self.breaker.failure or Failure(Kind.CREDENTIAL), now.boot)
            elif self.gate.failure is not None and now.boot < self.gate.opens_at:
                landing.throttled(self, flight, self.gate.failure, now.boot)
            elif not flight.is_awaited and flight.key not in self.table.tokens and (at := self._held_back(now.boot)) > now.boot:
                self.queue.put(flight, self.paced(at), now.boot)
            else:
                return flight
        return None

    def _held_back(self, now: float) -> float:
        """Say when what is prefetched may go out: as other background calls, not while the quota or the API suffers."""
        at = self.gate.background_at(now) if self.health.lets_background(now) else now + _SUFFERING_S
        if at <= now:
            self.gate.took_background(now)
        return at

    def paced(self, at: float) -> float:
        """Return a moment from `at` on for something prefetched that had to wait, so that not all of it goes out at once."""
        self._paced_at = max(self._paced_at + 1 / self._paced_per_s, at)
        return self._paced_at

    def next_at(self, now: float) -> float:
        """When `take` or `sweep` has to be called at the latest."""
        at = self.queue.next_at()
        tick = max(self._swept_at + _SWEEP_S, now)
        return tick if at is None else min(at, tick)

    def land(self, flight: Flight, outcome: Outcome, now: float) -> None:
        """Take what a flight brought."""
        landing.land(self, flight, outcome, now)

    def sweep(self, now: float) -> bool:
        """Once a second: tidy up, and with `sweeps` begin refreshes that are due. Returns whether the second had passed."""
        if now < self._swept_at + _SWEEP_S:
            return False
        passed_s = now - self._swept_at
        self._swept_at = now
        self.table.tidy(now)
        # Every token is looked at within thirty seconds.
        for key in list(self.table.turn(1 + int(len(self.table.tokens) * min(passed_s / 30.0, 1.0)))):
            token = self.table.tokens.get(key)
            if token is None:
                continue  # a key that was dropped and came back stands in the ring twice for a while
            if now >= token.refresh_at:
                token = self._of_two(key, token)
            if now >= token.until:
                self.table.drop(key)
            elif self.sweeps and token.used and now >= token.refresh_at:
                self.refresh(key, token, now)
        return True

    def _probe_after_step(self, now: float) -> None:
        """One fetch tells the API's time; what it says about all the others is in `landing`."""
        for key in self.table.turn(1):
            self.table.tokens[key].refresh_at = now
            self.refresh(key, self.table.tokens[key], now)

    # what is known to be wrong

    def reject(self, key: TokenKey, rejected: str, now: float) -> bool:
        """See `rejecting.reject`."""
        return rejecting.reject(self, key, rejected, now)

    def forget(self, matches: Matches) -> list[TokenKey]:
        """See `rejecting.forget`."""
        return rejecting.forget(self, matches)

    def revive(self, matches: Matches) -> None:
        """See `rejecting.revive`."""
        rejecting.revive(self, matches)

    # what landing needs

    def again_at(self, key: TokenKey, failure: Failure, now: float) -> float:
        """Return when somebody who is told of this failure may ask again: the key's own time, or that of gate or breaker."""
        if failure.kind is Kind.CREDENTIAL:
            return max(self.breaker.probe_at, now)
        if failure.kind is Kind.THROTTLED and not failure.of_business:
            return max(self.gate.opens_at, now)
        state = self.table.states.get(key)
        return max(state.retry_at, now) if state is not None else now

    def crashed(self, flight: Flight, failure: Failure, now: float) -> None:
        """End a flight that something unexpected befell, so that nobody waits for it."""
        self.tell("unexpected", flight.key)
        state = self.table.states.get(flight.key)
        if state is not None and state.flight is flight:
            state.flight, state.failure, state.retry_at = None, failure, now + self.retry.transient_pause_s
        self.settle(flight, failure)

    def settle(self, flight: Flight, result: AccessToken | Failure | Again) -> None:
        """Give a flight its result, once."""
        if flight.result is None:
            flight.result = result
            self.settled.append(flight)

    def rebase(self, ahead_s: float) -> None:
        """The API's clock is that far ahead of what was believed: everything ends earlier. A life is never made longer."""
        self.tell("clock_step")
        if ahead_s > 0:
            for token in self.table.tokens.values():
                token.refresh_at -= ahead_s
                token.until -= ahead_s
