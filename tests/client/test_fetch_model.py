"""Random callers, answers, refusals and clocks against a model of a few lines: what must never happen, never does."""

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from client.driving import ACCOUNT, BAD_CALLER, DENIED, EPOCH_S, FAULT, LIMITED, UNSHARED, Driven, granted, refused
from multipartner.client.keys import TokenKey
from multipartner.client.ports import Response
from multipartner.client.rejecting import matching
from multipartner.client.verdicts import Await, Serve

if TYPE_CHECKING:
    from multipartner.client.flights import Flight

KEYS = [ACCOUNT.key("1", "10"), ACCOUNT.key("1", "11"), ACCOUNT.key("2", "10")]
OF_BUSINESS = refused(400, 80007, x_business_use_case_usage='{"1":[{"call_count":100,"estimated_time_to_regain_access":5}]}')
ANSWERS = {
    "fault": FAULT,
    "limited": LIMITED,
    "of business": OF_BUSINESS,
    "caller": BAD_CALLER,
    "denied": DENIED,
    "unshared": UNSHARED,
}
KINDS = st.sampled_from(["granted", "granted", "granted", "never", *ANSWERS])
LIVES = st.sampled_from([60, 300, 3600, 86_400])


class Fetches(RuleBasedStateMachine):
    """The model knows what was granted to whom, until when, what was refused, and what was forgotten when."""

    def __init__(self) -> None:
        super().__init__()
        self.driven = Driven()
        self.flying: list[Flight] = []
        self.began: dict[int, int] = {}
        self.ends: dict[str, tuple[TokenKey, float]] = {}
        self.forbidden: set[str] = set()
        self.epoch: dict[TokenKey, int] = dict.fromkeys(KEYS, 0)
        self.serial = 0

    keys = st.sampled_from(KEYS)

    @rule(key=keys, min_ttl_s=st.sampled_from([0, 0, 0, 100, 10_000]))
    def ask(self, key: TokenKey, min_ttl_s: int) -> None:
        verdict = self.driven.want(key, float(min_ttl_s))
        if isinstance(verdict, Serve):
            text = verdict.token.reveal()
            owner, ends_at = self.ends[text]
            assert owner == key, "a token of another tenant"
            assert self.driven.boot + min_ttl_s < ends_at, "a token at or past its end, or too short for the caller"
            assert text not in self.forbidden, "a token that was forgotten, or refused for good"
        elif isinstance(verdict, Await):
            assert verdict.flight.key == key
            assert verdict.flight.result is None
        else:
            assert verdict.retry_at > self.driven.boot, "a refusal that lets the next call in at once"

    @rule()
    def begin(self) -> None:
        flight = self.driven.flow.take(self.driven.now)
        if flight is not None:
            assert all(other.key != flight.key or other.overtaken for other in self.flying), "two fetches of one key"
            self.flying.append(flight)
            self.began[id(flight)] = self.epoch[flight.key]

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), kind=KINDS, life_s=LIVES)
    def answer(self, data: st.DataObject, kind: str, life_s: int) -> None:
        flight = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        self.driven.api.answer = lambda key, _wall: self._granted(key, kind, life_s, self.began[id(flight)])
        self.driven.land(flight)

    @rule(key=keys, kind=KINDS, life_s=LIVES)
    def fetch(self, key: TokenKey, kind: str, life_s: int) -> None:
        self.ask(key, 0)
        for _ in KEYS:
            self.begin()
        while self.flying:
            flight = self.flying.pop()
            self.driven.api.answer = lambda key, _wall, flight=flight: self._granted(key, kind, life_s, self.began[id(flight)])
            self.driven.land(flight)
        self.ask(key, 0)

    @rule(key=keys, forgets=st.booleans(), life_s=LIVES)
    def overtake(self, key: TokenKey, forgets: bool, life_s: int) -> None:  # noqa: FBT001 - drawn
        self.ask(key, 10_000)
        for _ in KEYS:
            self.begin()
        if forgets:
            self.forget(key.business_id)
        else:
            self.reject(key)
        self.fetch(key, "granted", life_s)

    @rule(per_s=st.sampled_from([0.01, 1, 1000]))
    def prefetch(self, per_s: float) -> None:
        before = {key: state.flight for key, state in self.driven.flow.table.states.items() if state.flight is not None}
        lives = {key for key, token in self.driven.flow.table.tokens.items() if self.driven.boot < token.until}
        begun = self.driven.flow.prefetch(KEYS, self.driven.boot, per_s)
        after = {key: state.flight for key, state in self.driven.flow.table.states.items() if state.flight is not None}
        assert before.items() <= after.items(), "a flight that was under way was lost"
        assert len(after) == len(before) + begun
        assert not (after.keys() - before.keys()) & lives, "fetched what is there"

    @rule(key=keys, life_s=LIVES)
    def doubt(self, key: TokenKey, life_s: int) -> None:
        """A young token is refused: the one before stands in, when there is one that lives, and is the only one that may."""
        self.fetch(key, "granted", life_s)
        self.driven.pass_s(0.75 * life_s)
        self.fetch(key, "granted", life_s)
        young = self.driven.flow.table.tokens.get(key)
        self.reject(key)
        served = self.driven.flow.table.tokens.get(key)
        if young is not None and served is not None and served is not young:
            assert served.generation < young.generation
            assert self.driven.boot + 2 < served.until, "one stands in that is nearly dead"
            self.ask(key, 0)
            self.driven.pass_s(3)
            self.ask(key, 0)
            assert self.driven.flow.table.tokens.get(key) is young, "the young token did not come back"

    def _granted(self, key: TokenKey, kind: str, life_s: int, began: int) -> Response:
        if kind in ANSWERS:
            return ANSWERS[kind]
        self.serial += 1
        text = f"{key.solution_id}-{key.business_id}-{self.serial}"
        self.ends[text] = key, float("inf") if kind == "never" else self.driven.boot + life_s
        if began != self.epoch[key]:
            self.forbidden.add(text)
        api_s = EPOCH_S + self.driven.boot
        return granted(text, 0 if kind == "never" else api_s + life_s, date=format_datetime(datetime.fromtimestamp(api_s, UTC)))

    @rule(key=keys)
    def reject(self, key: TokenKey) -> None:
        token = self.driven.flow.table.tokens.get(key)
        if token is not None and self.driven.flow.reject(key, token.fingerprint, self.driven.boot):
            now = self.driven.flow.table.tokens.get(key)
            assert now is None or now.fingerprint != token.fingerprint, "promised another token, and kept this one"
            if now is None:
                self.epoch[key] += 1

    @rule(business=st.sampled_from(["10", "11"]))
    def forget(self, business: str) -> None:
        for key in KEYS:
            if key.business_id == business:
                self.epoch[key] += 1
                self.forbidden |= {text for text, (owner, _) in self.ends.items() if owner == key}
        self.driven.flow.forget(matching(business_id=business))

    @rule(key=keys)
    def revive(self, key: TokenKey) -> None:
        self.driven.flow.revive(matching([key]))

    @rule(seconds=st.sampled_from([0.1, 1, 10, 60, 600, 3600]))
    def wait(self, seconds: float) -> None:
        self.driven.pass_s(seconds)

    @rule(seconds=st.sampled_from([-7200, -20, 20, 3600]))
    def step(self, seconds: float) -> None:
        self.driven.wall += seconds

    @rule()
    def sweep(self) -> None:
        self.driven.flow.sweeps = True
        self.driven.flow.sweep(self.driven.boot)

    @invariant()
    def who_waits_has_a_flight_that_will_go_out(self) -> None:
        for state in self.driven.flow.table.states.values():
            if state.flight is not None:
                assert state.flight.result is None
                queued = len(self.driven.flow.queue) > 0
                assert queued or state.flight in self.flying, "a flight that nobody will ever run"


Fetches.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestFetches = Fetches.TestCase
TestFetches.__doc__ = (
    """No history of calls, answers, refusals and clock steps hands out a wrong, dead or forgotten token, or loses a waiter."""
)
