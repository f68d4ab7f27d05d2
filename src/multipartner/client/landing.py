"""What a flight's outcome changes: the second half of `flow`, one function for each way a fetch can end."""

from typing import TYPE_CHECKING, Final

from multipartner.client.failures import Failure, Kind
from multipartner.client.flights import Adopted, Again, Elsewhere, Failed, Fetched, Flight, Outcome
from multipartner.client.gates import jittered
from multipartner.client.keys import TokenKey
from multipartner.client.policy import ExpiryAbsurd, life_of, plan, share_of
from multipartner.client.table import KeyState
from multipartner.client.tokens import IN_USE, NEVER, AccessToken

if TYPE_CHECKING:
    from multipartner.client.flow import Flow

_LEAST_PAUSE_S: Final = 5.0
_OVERLAP_S: Final = 60.0
_DEFINITE_S: Final = 2.0
_ABSURD_PAUSE_S: Final = 60.0
_ELSEWHERE_S: Final = 2.0
_FORGETTING: Final = 0.999
"""Of an issuer's longest life half is forgotten in seven hundred fetches: it may have been set to another one."""


def land(flow: "Flow", flight: Flight, outcome: Outcome, now: float) -> None:
    """Take what a flight brought, and settle or queue it again."""
    if isinstance(outcome, Fetched | Failed):
        _learn(flow, outcome, now)
    if flight.overtaken or flight.result is not None:
        flow.settle(flight, Again())
        return
    state = flow.table.state(flight.key)
    if isinstance(outcome, Elsewhere):
        _elsewhere(flow, flight, state, now)
    elif isinstance(outcome, Failed):
        _failed(flow, flight, outcome.failure, now)
    else:
        _brought(flow, flight, state, outcome, now)


def _learn(flow: "Flow", outcome: Fetched | Failed, now: float) -> None:
    """What any answer tells of clock and endpoint, whatever becomes of the flight."""
    if outcome.date_s is not None:
        ahead_s = flow.clock.learn(outcome.date_s, outcome.sent.boot, now)
        if ahead_s:
            flow.rebase(ahead_s)
    is_transient = isinstance(outcome, Failed) and outcome.failure.kind is Kind.TRANSIENT
    flow.health.told(now, answered=not is_transient)
    if isinstance(outcome, Fetched):
        flow.gate.passed(outcome.usage, now)
        flow.breaker.close()


def _brought(flow: "Flow", flight: Flight, state: KeyState, outcome: Fetched | Adopted, now: float) -> None:
    key, before = flight.key, flow.table.tokens.get(flight.key)
    known = max(state.generation, before.generation if before is not None else 0)
    generation = max(outcome.generation, known + isinstance(outcome, Fetched))
    try:
        token = _planned(flow, key, outcome, generation, now)
    except ExpiryAbsurd as error:
        _absurd(flow, flight, state, Failure(Kind.TRANSIENT, 200, detail=str(error)), now)
        return
    if token.until <= now:
        # The machine slept while the answer was on its way.
        _absurd(flow, flight, state, Failure(Kind.TRANSIENT, 200, detail="the token was dead when it came"), now)
        return
    if isinstance(outcome, Fetched):
        flow.budget.earn(flight.attempts)
    flow.tell("adopted" if isinstance(outcome, Adopted) else "refresh_ok", key)
    state.failure, state.times, state.denials, state.retry_at, state.flight = None, 0, 0, 0.0, None
    if before is not None and now < before.until and _is_no_newer(before, token):
        _keep(flow, state, before, now)
        token = before
    else:
        token.used = IN_USE if flight.is_awaited or before is None else max(before.used - 1, 0)
        state.generation = generation
        state.aside = None
        if before is not None and now < before.until:
            state.previous, state.previous_until = before, now + _OVERLAP_S
        flow.table.put(key, token)
    flow.settle(flight, token)


def _planned(flow: "Flow", key: TokenKey, outcome: Fetched | Adopted, generation: int, now: float) -> AccessToken:
    if isinstance(outcome, Adopted):
        # The one who fetched it chose when; the same hash would choose the same, but for a clock that is not quite the same.
        t0_s = flow.clock.at(now)
        planned = plan(flow.policy, 0.0, life_of(outcome.expires_at_s, t0_s))
        refresh_at = flow.clock.boot_of(outcome.refresh_at_s)
        return AccessToken(outcome.text, outcome.expires_at_s, generation, now, refresh_at, now + planned.until_s)
    sent = outcome.sent.boot
    life_s = life_of(outcome.expires_at_s, flow.clock.at(sent))
    if life_s < NEVER:
        flow.horizon_s = max(life_s, flow.horizon_s * _FORGETTING)
    planned = plan(flow.policy, share_of(key, generation, flow.salt), life_s, flow.horizon_s)
    refresh_at, until = sent + planned.refresh_s, sent + planned.until_s
    return AccessToken(outcome.text, outcome.expires_at_s, generation, now, refresh_at, until)


def _is_no_newer(before: AccessToken, token: AccessToken) -> bool:
    if 0 in (before.expires_at_s, token.expires_at_s):
        return before.fingerprint == token.fingerprint
    return token.expires_at_s <= before.expires_at_s + 1


def _keep(flow: "Flow", state: KeyState, before: AccessToken, now: float) -> None:
    """The API has nothing newer yet: look again at half of what is left."""
    left_s = before.until - now
    wait_s = flow.policy.unknown_s if left_s == float("inf") else max(_LEAST_PAUSE_S, left_s / 2)
    before.refresh_at = min(before.until, now + wait_s)
    state.retry_at = before.refresh_at
    flow.tell("non_advancing")


def _absurd(flow: "Flow", flight: Flight, state: KeyState, failure: Failure, now: float) -> None:
    """A token that is dead on arrival: the answer's `Date` has set the clock by now, so one more try tells whose fault it is."""
    flight.attempts += 1
    if flight.attempts == 1:
        flow.queue.put(flight, 0.0, now)
        return
    _fail(flow, flight, state, failure, now + _ABSURD_PAUSE_S, now)


def _elsewhere(flow: "Flow", flight: Flight, state: KeyState, now: float) -> None:
    """Somebody else fetches: serve the old token meanwhile; without one look again soon, and then less often."""
    token = flow.table.tokens.get(flight.key)
    flow.tell("lease_wait", flight.key)
    if token is not None and now < token.until and not flight.is_awaited:
        token.refresh_at = min(token.until, now + _ELSEWHERE_S)
        state.flight = None
        flow.settle(flight, token)
        return
    flight.delays += 1
    flow.queue.put(flight, now + min(0.01 * 2.0 ** min(flight.delays, 10), 0.1), now)


def _failed(flow: "Flow", flight: Flight, failure: Failure, now: float) -> None:
    state, retry = flow.table.state(flight.key), flow.retry
    flow.tell("refresh_fail", flight.key)
    if failure.kind is Kind.TRANSIENT:
        _transient(flow, flight, state, failure, now)
    elif failure.kind is Kind.THROTTLED and failure.of_business:
        pause_s = max(failure.retry_after_s, retry.denied_pause_s) * flow.uniform(1.0, 1.2)
        flow.tell("throttled", flight.key)
        _fail(flow, flight, state, failure, now + pause_s, now)
    elif failure.kind is Kind.THROTTLED:
        flow.gate.close(failure, now)
        flow.tell("gate_closed")
        throttled(flow, flight, flow.gate.failure or failure, now)
    elif failure.kind is Kind.CREDENTIAL:
        flow.breaker.open(failure, now)
        flow.tell("credential_rejected")
        give_up(flow, flight, failure, now)
    elif failure.kind is Kind.REFUSED:
        flow.tell("refused", flight.key)
        _fail(flow, flight, state, failure, now + retry.refused_pause_s * flow.uniform(0.8, 1.2), now)
    else:
        _denied(flow, flight, state, failure, now)


def _transient(flow: "Flow", flight: Flight, state: KeyState, failure: Failure, now: float) -> None:
    """Try again while somebody waits, within the attempts, the budget and the waiter's time; full jitter."""
    retry = flow.retry
    flight.attempts += 1
    if flight.is_awaited and flight.attempts < retry.attempts:
        wait_s = max(flow.uniform(0.0, min(retry.most_s, retry.base_s * 2.0**flight.attempts)), failure.retry_after_s)
        if now + wait_s < flight.deadline and flow.budget.spend():
            flow.queue.put(flight, now + wait_s, now)
            return
    state.times += 1
    pause_s = jittered(flow.uniform, retry.transient_pause_s, state.times - 1, retry.transient_most_s)
    token = flow.table.tokens.get(flight.key)
    if token is not None and now < token.until:
        flow.tell("degraded", flight.key)
    _fail(flow, flight, state, failure, now + max(pause_s, failure.retry_after_s), now)


def _denied(flow: "Flow", flight: Flight, state: KeyState, failure: Failure, now: float) -> None:
    """A definitive answer for this tenant. What was fetched is served on, until a second one at least two seconds later."""
    retry = flow.retry
    if state.denials == 0:
        state.failed_at = now
    state.denials += 1
    pause_s = jittered(flow.uniform, retry.denied_pause_s, state.denials - 1, retry.denied_most_s)
    if failure.kind is Kind.NOT_SHARED and state.denials > 1 and now - state.failed_at >= _DEFINITE_S:
        flow.table.drop(flight.key)
        flow.to_forget.append(flight.key)
        flow.tell("purged", flight.key)
    flow.tell("denied", flight.key)
    _fail(flow, flight, state, failure, now + pause_s, now)


def _fail(flow: "Flow", flight: Flight, state: KeyState, failure: Failure, retry_at: float, now: float) -> None:
    """Remember a failure, so that nobody asks before `retry_at`, and tell those who wait."""
    state.failure, state.retry_at = failure, retry_at
    _end(flow, flight, failure, retry_at, now)


def _end(flow: "Flow", flight: Flight, failure: Failure, not_before: float, now: float) -> None:
    """Settle a flight that failed; a token that still lives is looked after again some time later."""
    flow.table.state(flight.key).flight = None
    token = flow.table.tokens.get(flight.key)
    if token is not None:
        token.refresh_at = min(token.until, max(not_before, now + pause(flow, token, now)))
    flow.settle(flight, failure)


def give_up(flow: "Flow", flight: Flight, failure: Failure, now: float) -> None:
    """End a flight for a cause that is the account's: the key remembers nothing, the breaker does."""
    _end(flow, flight, failure, flow.breaker.probe_at, now)


def throttled(flow: "Flow", flight: Flight, failure: Failure, now: float) -> None:
    """The app's gate is closed: who waits long enough goes on waiting, as does what was prefetched; everybody else is told."""
    opens_at, is_held = flow.gate.opens_at, flight.key in flow.table.tokens
    if flight.is_awaited and opens_at < flight.deadline:
        flow.queue.put(flight, opens_at, now)
    elif not flight.is_awaited and not is_held:
        flow.queue.put(flight, flow.paced(opens_at), now)
    else:
        _end(flow, flight, failure, opens_at, now)


def pause(flow: "Flow", token: AccessToken, now: float) -> float:
    """Seconds until a refresh that failed is tried again: a twelfth of what is left, so the nearer the end the more often."""
    left_s = min(token.until - now, flow.policy.max_age_s)
    return max(_LEAST_PAUSE_S, left_s * flow.uniform(0.08, 0.16))
