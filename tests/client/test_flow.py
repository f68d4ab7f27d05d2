"""The provider's decisions, step by step, on a turned clock."""

from itertools import pairwise

import pytest

from client.driving import ACCOUNT, BAD_CALLER, DENIED, FAULT, KEY, LIMITED, UNSHARED, Api, Driven, Told, granted, refused
from multipartner.client.failures import Kind
from multipartner.client.flights import FlightQueue
from multipartner.client.gates import RetryPolicy
from multipartner.client.keys import TokenKey
from multipartner.client.rejecting import matching
from multipartner.client.tokens import NEVER, AccessToken
from multipartner.client.verdicts import Await, Refuse, Serve

OTHER = ACCOUNT.key(KEY.solution_id, "4089388446014104")


def refused_while_young(driven: Driven) -> AccessToken:
    """Have a second token fetched, and refused at once: the first one may stand in."""
    driven.get()
    driven.pass_s(3000)
    driven.want()
    driven.run()
    young = driven.flow.table.tokens[KEY]
    assert driven.flow.reject(KEY, young.fingerprint, driven.boot)
    return young


def test_one_cold_key_is_fetched_once_however_many_ask() -> None:
    """Probe A: whoever asks while a fetch is under way joins it."""
    driven = Driven()
    verdicts = [driven.want() for _ in range(64)]

    assert {type(verdict) for verdict in verdicts} == {Await}
    assert driven.run() == 1
    assert (driven.get(), driven.api.calls[KEY]) == (f"{KEY.business_id}-1", 1)


def test_a_due_refresh_makes_nobody_wait() -> None:
    """Probe B: in the early window everybody gets the old token at once, and one call goes out."""
    driven = Driven()
    driven.get()
    driven.pass_s(0.75 * 3600 + 200)
    verdicts = [driven.want() for _ in range(64)]

    assert all(isinstance(verdict, Serve) and verdict.wait_for is None for verdict in verdicts)
    assert (driven.run(), driven.get()) == (1, f"{KEY.business_id}-2")


def test_in_the_last_minute_the_one_who_begins_the_refresh_may_wait_for_it() -> None:
    """From a minute before expiry the first caller of a refresh is offered a short wait; the others get the old token at once."""
    driven = Driven()
    driven.get()
    driven.pass_s(3550)
    first, second = driven.want(), driven.want()

    assert isinstance(first, Serve)
    assert isinstance(second, Serve)
    assert (first.wait_for is not None, second.wait_for) == (True, None)


@pytest.mark.parametrize(
    "failure", [FAULT, LIMITED, BAD_CALLER, DENIED, refused(400, 100)], ids=["5xx", "429", "401", "403", "400"]
)
def test_a_failing_api_fails_nobody_whose_token_lives(failure: object) -> None:
    """Probe C: whatever the API answers to a refresh, the token is handed out to its end, with a bounded number of calls."""
    driven = Driven()
    text = driven.get()
    driven.api.answer = lambda _key, _wall: failure  # type: ignore[return-value,assignment] # one of the answers above
    driven.pass_s(2900)
    for _ in range(680):
        assert driven.get() == text
        driven.run()
        driven.pass_s(1)

    assert 2 <= driven.api.calls[KEY] <= 35


def test_no_token_is_handed_out_past_its_end() -> None:
    """When the API stays down, the caller is told so; a token whose time is over is not handed out."""
    driven = Driven()
    driven.get()
    driven.api.answer = lambda _key, _wall: FAULT
    driven.pass_s(3585)

    with pytest.raises(Told) as told:
        driven.get()
    assert told.value.failure.kind is Kind.TRANSIENT


def test_a_dead_tenant_is_asked_for_once_in_a_pause() -> None:
    """Probe D: a refusal is remembered for 30 seconds, a minute, two, at most a quarter of an hour, give or take a fifth."""
    driven = Driven(Api(answer=lambda _key, _wall: UNSHARED))
    asked_at = []
    while driven.boot < 5000:
        calls = driven.api.calls[KEY]
        with pytest.raises(Told):
            driven.get()
        asked_at += [driven.boot] if driven.api.calls[KEY] > calls else []
        driven.pass_s(1)

    pauses = [round(after - before) for before, after in pairwise(asked_at)]
    assert pauses[:5] == [30, 60, 120, 240, 480]
    assert set(pauses[5:]) == {900}


def test_a_second_definite_answer_ends_a_token_that_still_lives() -> None:
    """Once the API said twice, two seconds apart, that nothing is shared, the token is dropped here and in the store."""
    driven = Driven()
    driven.get()
    driven.api.answer = lambda _key, _wall: UNSHARED
    driven.pass_s(2900)
    driven.want()
    driven.run()
    assert isinstance(driven.want(), Serve)

    while not driven.flow.to_forget:
        driven.want()
        driven.run()
        driven.pass_s(5)
    assert driven.flow.to_forget == [KEY]
    assert isinstance(driven.want(), Refuse)


def test_a_refused_permission_leaves_the_token_to_the_resource_server() -> None:
    """A 403 is no proof that the old token is dead: it is handed out until it is rejected or ends."""
    driven = Driven()
    driven.get()
    driven.api.answer = lambda _key, _wall: DENIED
    driven.pass_s(2900)
    for _ in range(100):
        driven.want()
        driven.run()
        driven.pass_s(5)

    assert isinstance(driven.want(), Serve)


def test_too_many_calls_close_the_gate_for_the_whole_app_and_for_nobody_longer_than_said() -> None:
    """After a 429 no key of the app is asked for before the time that it tells, and callers who cannot wait are told at once."""
    driven = Driven(Api(answer=lambda _key, _wall: refused(429, 4, transient=True, retry_after="60")))
    with pytest.raises(Told):
        driven.get()
    driven.api.answer = None
    with pytest.raises(Told) as told:
        driven.get(OTHER)
    assert (told.value.failure.kind, sum(driven.api.calls.values())) == (Kind.THROTTLED, 1)
    assert 60 <= told.value.retry_at - driven.boot <= 72

    assert driven.get(OTHER, patience_s=100) == f"{OTHER.business_id}-1"


def test_a_business_that_used_up_its_quota_holds_nobody_else_back() -> None:
    """A limit that the headers give to one business pauses that business alone."""
    usage = f'{{"{KEY.business_id}":[{{"call_count":100,"estimated_time_to_regain_access":2}}]}}'
    limited = refused(429, 4, x_app_usage='{"call_count":10}', x_business_use_case_usage=usage)
    driven = Driven(Api(answer=lambda key, wall: limited if key == KEY else granted("t", wall + 3600)))

    with pytest.raises(Told) as told:
        driven.get()
    assert told.value.retry_at - driven.boot >= 120
    assert driven.get(OTHER) == "t"


@pytest.mark.parametrize(("percent", "calls"), [(74, 20), (75, 1), (90, 0)])
def test_background_refreshes_slow_down_before_the_quota_is_used_up(percent: int, calls: int) -> None:
    """From 75 percent usage background refreshes go out one a second, from 90 percent none does; who waits is served."""
    keys = [ACCOUNT.key("1", str(number)) for number in range(20)]
    driven = Driven()
    for key in keys:
        driven.get(key)
    driven.pass_s(2900)
    usage = {"x-app-usage": f'{{"call_count":{percent}}}'}
    driven.api.answer = lambda _key, wall: granted("t", wall + 3600, **usage)
    assert driven.get() == "t"

    assert all(isinstance(driven.want(key), Serve) for key in keys)
    assert driven.run() == calls


def test_a_rejected_caller_token_stops_all_fetches_but_rare_probes() -> None:
    """After a 401 no tenant is asked for until a probe passes: after 30 seconds, then up to ten minutes."""
    driven = Driven(Api(answer=lambda _key, _wall: BAD_CALLER))
    probes = []
    while driven.boot < 4000:
        before = sum(driven.api.calls.values())
        with pytest.raises(Told):
            driven.get(ACCOUNT.key("1", str(int(driven.boot))))
        probes += [driven.boot] if sum(driven.api.calls.values()) > before else []
        driven.pass_s(1)
    assert len(probes) < 20
    assert all(after - before >= 29 for before, after in pairwise(probes))

    driven.api.answer = None
    driven.pass_s(601)
    assert driven.get(OTHER) == f"{OTHER.business_id}-1"
    assert driven.get(KEY) == f"{KEY.business_id}-1"


def test_who_waits_has_a_failed_call_tried_again_and_the_failure_is_shared() -> None:
    """A fault is tried again up to four times within the caller's patience; then everybody who waited is told the same."""
    driven = Driven(Api(answer=lambda _key, _wall: FAULT))
    verdicts = [driven.want() for _ in range(10)]
    with pytest.raises(Told):
        driven.get()

    assert driven.api.calls[KEY] == 4
    assert len({id(verdict.flight) for verdict in verdicts if isinstance(verdict, Await)}) == 1


def test_retries_stay_within_their_budget() -> None:
    """With the API down retries are spent from a budget: then a thousand tenants make a thousand calls, not four thousand."""
    driven = Driven(Api(answer=lambda _key, _wall: FAULT), retry=RetryPolicy(budget=500))
    for number in range(1000):
        with pytest.raises((Told, TimeoutError)):
            driven.get(ACCOUNT.key("1", str(number)))

    assert 1000 <= sum(driven.api.calls.values()) <= 1050


def test_an_answer_that_brings_nothing_newer_never_loops() -> None:
    """An API that gives the same token again and again is asked a handful of times in its life, not at every use."""
    driven = Driven()
    text, expires_at_s = driven.get(), driven.flow.table.tokens[KEY].expires_at_s
    driven.api.answer = lambda _key, _wall: granted(text, expires_at_s)
    calls = driven.api.calls[KEY]
    for _ in range(3580):
        assert driven.get() == text
        driven.run()
        driven.pass_s(1)

    assert driven.api.calls[KEY] - calls <= 10


def test_a_token_that_is_dead_on_arrival_is_asked_for_once_more() -> None:
    """An expiry in the past is tried once more, since the answer's Date has set the clock, and then told, with a pause."""
    driven = Driven(Api(answer=lambda _key, wall: granted("t", wall - 5)))
    with pytest.raises(Told) as told:
        driven.get()
    assert driven.api.calls[KEY] == 2
    assert told.value.retry_at - driven.boot == pytest.approx(60)
    assert "past" in told.value.failure.detail


def test_a_wrong_local_clock_does_not_matter_once_the_api_told_its_time() -> None:
    """With a local clock an hour fast, the answer's Date decides how long the token lives."""
    driven = Driven()
    true_s = driven.wall - 3600
    driven.api.answer = lambda _key, _wall: granted("t", true_s + 3600, date="Fri, 15 Jan 2027 07:00:00 GMT")
    assert driven.wall == 1_800_000_000.0

    assert driven.get() == "t"
    driven.pass_s(3500)
    assert isinstance(driven.want(), Serve)
    driven.pass_s(100)
    driven.api.answer = lambda _key, _wall: FAULT
    assert not isinstance(driven.want(), Serve)


def test_a_step_of_the_local_clock_refreshes_one_token_not_all() -> None:
    """A clock set an hour ahead makes one probe go out; one set back makes no token live longer."""
    keys = [ACCOUNT.key("1", str(number)) for number in range(500)]
    driven = Driven()
    for key in keys:
        driven.get(key)
    before = sum(driven.api.calls.values())

    driven.pass_s(60)
    driven.wall += 3600
    for key in keys:
        assert isinstance(driven.want(key), Serve)
    driven.run()
    assert sum(driven.api.calls.values()) - before <= 1

    driven.wall -= 7200
    driven.run()
    driven.pass_s(3540)
    driven.api.answer = lambda _key, _wall: FAULT
    assert not any(isinstance(driven.want(key), Serve) for key in keys[1:])


def test_a_machine_that_stood_still_learns_of_it() -> None:
    """After a virtual machine was paused for two hours the next Date ends what has expired meanwhile."""
    driven = Driven()
    keys = [ACCOUNT.key("1", str(number)) for number in range(50)]
    for key in keys:
        driven.get(key)
    driven.wall += 7200
    driven.api.answer = lambda key, wall: granted(f"new-{key.business_id}", wall + 3600, date="Fri, 15 Jan 2027 10:00:00 GMT")
    driven.run()
    driven.run()

    assert all(driven.get(key) == f"new-{key.business_id}" for key in keys)


def test_a_longer_life_can_be_asked_for() -> None:
    """With `min_ttl_s` a token that ends too soon is fetched anew; what no token can do is said at once, and seldom tried."""
    driven = Driven()
    driven.get()
    driven.pass_s(1800)
    assert driven.get(min_ttl_s=3000) == f"{KEY.business_id}-2"
    verdict = driven.want(min_ttl_s=7200)
    assert isinstance(verdict, Refuse)
    assert (verdict.too_short, driven.api.calls[KEY]) == (True, 2)


class TestRejected:
    def test_a_rejected_token_is_fetched_anew_once(self) -> None:
        """Compare and invalidate: refusal of the current token brings a new one, late news of the old one changes nothing."""
        driven = Driven()
        driven.get()
        driven.pass_s(10)
        old = driven.flow.table.tokens[KEY].fingerprint
        assert driven.flow.reject(KEY, old, driven.boot)
        assert driven.get() == f"{KEY.business_id}-2"

        assert driven.flow.reject(KEY, old, driven.boot)
        assert (driven.get(), driven.api.calls[KEY]) == (f"{KEY.business_id}-2", 2)

    def test_a_fetch_that_began_before_the_refusal_is_not_published(self) -> None:
        """Whoever asks after a refusal does not get what was fetched before it."""
        driven = Driven()
        driven.get()
        driven.pass_s(3000)
        driven.want()
        flight = driven.flow.take(driven.now)
        assert flight is not None
        driven.flow.reject(KEY, driven.flow.table.tokens[KEY].fingerprint, driven.boot)
        verdict = driven.want()
        driven.land(flight)

        assert isinstance(verdict, Await)
        assert verdict.flight is not flight
        assert (driven.get(), driven.api.calls[KEY]) == (f"{KEY.business_id}-3", 3)

    def test_a_young_token_is_not_given_up_at_the_first_refusal(self) -> None:
        """Replicas lag: for two seconds the token before it stands in, then the young one has another turn."""
        driven = Driven()
        young = refused_while_young(driven)
        assert driven.get() == f"{KEY.business_id}-1"
        driven.pass_s(2.1)
        assert driven.get() == f"{KEY.business_id}-2"
        assert driven.api.calls[KEY] == 2

        assert driven.flow.reject(KEY, young.fingerprint, driven.boot)
        assert driven.get() == f"{KEY.business_id}-3"

    def test_a_stand_in_that_is_refused_too_ends_both(self) -> None:
        """When the predecessor is refused as well, neither comes back: a new token is fetched."""
        driven = Driven()
        driven.get()
        driven.pass_s(3000)
        driven.want()
        driven.run()
        assert driven.flow.reject(KEY, driven.flow.table.tokens[KEY].fingerprint, driven.boot)
        assert driven.flow.reject(KEY, driven.flow.table.tokens[KEY].fingerprint, driven.boot)
        assert driven.get() == f"{KEY.business_id}-3"
        driven.pass_s(2600)
        driven.want()
        driven.run()
        assert driven.get() == f"{KEY.business_id}-4"

    def test_two_tokens_refused_within_a_minute_end_forced_fetches(self) -> None:
        """When a new token is refused as the old one was, the fault is elsewhere: the caller is told instead of fetching on."""
        driven = Driven()
        for number in range(1, 3):
            driven.get()
            driven.pass_s(10)
            changed = driven.flow.reject(KEY, driven.flow.table.tokens[KEY].fingerprint, driven.boot)
            assert changed == (number == 1)
        for _ in range(10):
            driven.flow.reject(KEY, driven.flow.table.tokens[KEY].fingerprint, driven.boot)
            driven.get()
        assert driven.api.calls[KEY] == 2

    def test_the_same_token_given_again_is_not_fetched_in_a_loop(self) -> None:
        """A deterministic issuer gives a refused token again: one call, then the refusal is the caller's to hear."""
        driven = Driven()
        text, expires_at_s = driven.get(), driven.flow.table.tokens[KEY].expires_at_s
        driven.api.answer = lambda _key, _wall: granted(text, expires_at_s)
        driven.pass_s(10)
        outcomes = []
        for _ in range(20):
            outcomes.append(driven.flow.reject(KEY, driven.flow.table.tokens[KEY].fingerprint, driven.boot))
            driven.get()
            driven.pass_s(1)
        assert (driven.api.calls[KEY], outcomes.count(True)) == (2, 1)


class TestForgotten:
    def test_a_forgotten_tenant_is_fetched_anew_and_nothing_under_way_comes_back(self) -> None:
        """After a webhook says that a customer left, neither its token nor one on its way is handed out."""
        driven = Driven()
        driven.get()
        driven.get(OTHER)
        driven.pass_s(3000)
        driven.want()
        flight = driven.flow.take(driven.now)
        assert flight is not None
        assert driven.flow.forget(matching(business_id=KEY.business_id)) == [KEY]
        driven.land(flight)

        assert KEY not in driven.flow.table.tokens
        assert OTHER in driven.flow.table.tokens

    def test_a_returning_customer_is_asked_for_at_once(self) -> None:
        """After a webhook says that a customer shares again, the remembered refusal is gone."""
        driven = Driven(Api(answer=lambda _key, _wall: UNSHARED))
        with pytest.raises(Told):
            driven.get()
        driven.api.answer = None
        driven.flow.revive(matching(solution_id=KEY.solution_id, business_id=KEY.business_id))

        assert driven.get() == f"{KEY.business_id}-2"

    def test_nothing_named_is_nothing_meant(self) -> None:
        """To forget without saying what is refused: it would be everything."""
        with pytest.raises(ValueError, match="name keys"):
            matching()


class TestSweep:
    def test_a_token_in_use_is_refreshed_though_nobody_asks_at_the_right_moment(self) -> None:
        """The sweeper keeps what was used fresh, and lets go of what was not."""
        driven = Driven()
        driven.flow.sweeps = True
        driven.get()
        driven.get(OTHER)
        for _ in range(3600):
            driven.pass_s(1)
            if driven.boot < 2000:
                driven.want()
            driven.flow.sweep(driven.boot)
            driven.run()

        assert driven.api.calls[KEY] == 2
        assert KEY in driven.flow.table.tokens

    def test_memory_is_bounded_for_keys_that_anybody_can_name(self) -> None:
        """Attack 53: a million refused keys leave no more states than the bound, and the used tokens stay longest."""
        driven = Driven(Api(answer=lambda _key, _wall: UNSHARED))
        driven.flow.table._most = 100
        for number in range(2000):
            with pytest.raises(Told):
                driven.get(ACCOUNT.key("1", str(number)))
            driven.pass_s(0.5)
            driven.flow.sweep(driven.boot)
        assert len(driven.flow.table.states) <= 300

        driven.api.answer = None
        for number in range(2000):
            driven.get(ACCOUNT.key("2", str(number)))
        assert len(driven.flow.table.tokens) == 100

    def test_who_waits_goes_before_what_is_prefetched(self) -> None:
        """A thousand prefetched tenants do not hold up one caller."""
        driven = Driven()
        order: list[TokenKey] = []

        def answer(key: TokenKey, wall: float) -> object:
            order.append(key)
            return granted("t", wall + 3600)

        driven.api.answer = answer  # type: ignore[assignment] # a Response
        assert driven.flow.prefetch([ACCOUNT.key("1", str(number)) for number in range(1000)], driven.boot, 1e9) == 1000
        driven.want()
        driven.pass_s(1)
        driven.run()

        assert (order[0], len(order)) == (KEY, 1001)

    def test_what_is_prefetched_waits_for_the_quota_and_keeps_its_pace(self) -> None:
        """Above 90 % usage nothing is prefetched; afterwards not all that waited goes out at once."""
        driven = Driven()
        driven.get()
        driven.api.answer = lambda _key, wall: granted("t", wall + 3600, **{"x-app-usage": '{"call_count":95}'})
        driven.get(ACCOUNT.key("2", "1"))
        driven.api.answer = None
        driven.flow.prefetch([ACCOUNT.key("1", str(number)) for number in range(100)], driven.boot, 10)
        driven.pass_s(20)
        assert driven.run() == 0
        driven.pass_s(280.5)

        first = driven.run()
        assert 0 < first <= 10
        driven.pass_s(5)
        second = driven.run()
        assert 40 <= second <= 60
        driven.pass_s(10)
        assert first + second + driven.run() == 100

    def test_what_is_prefetched_leaves_a_failing_api_alone(self) -> None:
        """While the API answers nobody, prefetching goes on rarely."""
        driven = Driven(Api(answer=lambda _key, _wall: FAULT), retry=RetryPolicy(attempts=1))
        driven.flow.prefetch([ACCOUNT.key("1", str(number)) for number in range(1000)], driven.boot, 1e9)
        driven.pass_s(1)

        assert driven.run() < 10

    def test_what_stood_in_for_a_young_token_ends_though_nobody_asks(self) -> None:
        """A sweep brings the young token back: the other one may be dead by then."""
        driven = Driven()
        young = refused_while_young(driven)
        assert driven.flow.table.tokens[KEY] is not young
        driven.pass_s(700)
        driven.flow.sweep(driven.boot)

        assert driven.flow.table.tokens[KEY] is young


class TestQueue:
    def test_an_older_entry_does_not_let_a_flight_go_early(self) -> None:
        """Whoever was prefetched, then waited for, then told to wait, waits: the first entry counts no more."""
        queue = FlightQueue()
        flight = queue.new(KEY, NEVER)
        queue.put(flight, 10.0, 0.0)
        queue.promote(flight, 0.0)
        assert queue.pop(0.0) is flight
        queue.put(flight, 20.0, 0.0)

        assert (queue.pop(15.0), queue.pop(20.0), queue.pop(30.0)) == (None, flight, None)

    def test_entries_that_count_no_more_do_not_pile_up(self) -> None:
        """To prefetch and to forget a thousand keys a hundred times leaves room for about as many."""
        driven = Driven()
        keys = [ACCOUNT.key("1", str(number)) for number in range(1000)]
        for _ in range(100):
            driven.flow.prefetch(keys, driven.boot, 0.001)
            driven.flow.forget(matching(keys))

        assert len(driven.flow.queue) <= 2100
