"""Limits that several processes share: never more than the limit together, and what holds without the server."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import CUSTOMER, OWNER, PARTNER, SIBLING, SOLUTION, InProcess, populated_store
from issuing.shared import MemoryCounts, sharing
from multipartner.domain.leases import LEASE_S, PROCESSES
from multipartner.domain.model import ALL_PERMISSIONS, BusinessId, Caller, CredentialId, Instant, SystemUserId
from multipartner.domain.reasons import Reason
from multipartner.issuing.limits import Limiter
from multipartner.issuing.shared_limits import SharedLimiter
from shared_limits_server import any_server, garbage_server, own_server, prefix

HOUR_S = 3600
CLOCK_S = 10**6


def _caller(calls_per_hour: int, calls_per_business: int = 10**9) -> Caller:
    credential = CredentialId("c")
    return Caller(credential, SystemUserId("1"), OWNER, ALL_PERMISSIONS, calls_per_hour, calls_per_business)


def _instant(at_s: float, host: int) -> Instant:
    """Hosts booted at different times."""
    return Instant(int(at_s), int((at_s + 1000 * host) * 10**9))


async def _burst(limiters: list[SharedLimiter], caller: Caller, counts: list[int], at_s: float, business: BusinessId) -> int:
    """Calls at once, some for each limiter; returns how many were let through."""

    async def one(host: int) -> bool:
        now = _instant(at_s, host)
        quota = limiters[host].quota(caller, business, now)
        return limiters[host].admits(quota, now) or await limiters[host].call(caller, quota, now) is None

    done = await asyncio.gather(*(one(host) for host, count in enumerate(counts) for _ in range(count)))
    return sum(done)


def _run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


bursts = st.lists(
    st.tuples(st.floats(0, 1500), st.lists(st.integers(0, 40), min_size=3, max_size=3), st.sampled_from("12")),
    min_size=1,
    max_size=12,
)


@given(bursts, st.integers(1, 300), st.integers(1, 300), st.lists(st.floats(-5, 5), min_size=3, max_size=3), st.integers())
@settings(max_examples=150, deadline=None)
def test_together_they_never_let_through_more_than_the_limit(
    steps: list[tuple[float, list[int], str]], limit: int, per_business: int, skews_s: list[float], chance: int
) -> None:
    """Attack 52: whatever the order of calls, whichever process they come to, no hour has more than a limit allows."""

    async def scenario() -> None:
        kept: dict[str, list[float]] = {}
        clock = [float(CLOCK_S)]
        ways = [MemoryCounts(kept, clock, skew_s, chance + host) for host, skew_s in enumerate(skews_s)]
        limiters = [SharedLimiter(counts, 1000) for counts in ways]
        caller = _caller(limit, per_business)
        passed: list[tuple[float, str, int]] = []
        for gap_s, counts, business in steps:
            clock[0] += gap_s
            passed.append((clock[0], business, await _burst(limiters, caller, counts, clock[0], BusinessId(business))))
        for end_s, *_ in passed:
            hour = [(business, count) for at_s, business, count in passed if end_s - HOUR_S < at_s <= end_s]
            assert sum(count for _, count in hour) <= limit
            for business in "12":
                assert sum(count for of, count in hour if of == business) <= per_business
        for limiter in limiters:
            await limiter.close()

    _run(scenario)


@given(st.integers(1, 20_000), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_they_are_refused_early_by_no_more_than_they_hold(limit: int, processes: int) -> None:
    """The stated error: when all are refused, one percent of the limit for each process, or one call, is unspent at most."""

    async def scenario() -> None:
        kept: dict[str, list[float]] = {}
        limiters = [SharedLimiter(MemoryCounts(kept, [float(CLOCK_S)], chance=n), 1000) for n in range(processes)]
        caller, passed, busy = _caller(limit), 0, True
        while busy:
            done = await _burst(limiters, caller, [-(-limit // 50)] * processes, CLOCK_S, CUSTOMER)
            passed, busy = passed + done, done > 0

        assert limit - processes * max(1, limit // 100 + 2) - limit // 500 <= passed <= limit
        for limiter in limiters:
            await limiter.close()

    _run(scenario)


def test_calls_for_seldom_used_businesses_ask_nobody() -> None:
    """A million customers that each fetch once in a window cost no question and no key: the reserve covers them."""

    async def scenario() -> None:
        kept: dict[str, list[float]] = {}
        counts = MemoryCounts(kept, [float(CLOCK_S)])
        limiter, caller = SharedLimiter(counts, 1000), _caller(10**7, 5000)
        for n in range(3000):
            assert await _burst([limiter], caller, [2], CLOCK_S, BusinessId(str(10**14 + n))) == 2

        assert len(kept) == 1
        assert counts.asked < 20
        assert 7 * PROCESSES < 5000 // 20
        await limiter.close()

    _run(scenario)


def test_one_app_cannot_spend_the_leases_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attack 52: an app that floods more businesses than there is room for leaves what another app holds where it was."""
    for module in ("limits", "shared_limits"):
        monkeypatch.setattr(f"multipartner.issuing.{module}.BUSINESSES_PER_APP", 5000)

    async def scenario() -> None:
        counts = MemoryCounts({}, [float(CLOCK_S)])
        limiter, now = SharedLimiter(counts, 1000), _instant(CLOCK_S, 0)
        victim = Caller(CredentialId("v"), SystemUserId("1"), PARTNER, ALL_PERMISSIONS, 10_000, 10_000)
        quota = limiter.quota(victim, CUSTOMER, now)
        assert await limiter.call(victim, quota, now) is None
        flooding = _caller(10**9, 640)
        for n in range(6000):
            business = BusinessId(str(n))
            limiter._counted(OWNER).counter(business, now.boot_ns).total = 1
            limiter.quota(flooding, business, now)
        asked = counts.asked
        for _ in range(limiter._leases[PARTNER][0].left):
            assert limiter.admits(limiter.quota(victim, SIBLING, now), now)

        assert len(limiter._leases[OWNER][1]) == 5000
        assert counts.asked == asked
        await limiter.close()

    _run(scenario)


def test_a_lease_from_just_before_the_hours_end_still_counts() -> None:
    """Calls spent at the end of a lease count against the hour that follows: a full hour never has twice the limit."""

    async def scenario() -> None:
        kept: dict[str, list[float]] = {}
        clock = [float(CLOCK_S)]
        limiter = SharedLimiter(MemoryCounts(kept, clock), 1000)
        caller = _caller(8000)
        await _burst([limiter], caller, [1], clock[0], CUSTOMER)
        clock[0] += LEASE_S - 1
        late = await _burst([limiter], caller, [9000], clock[0], CUSTOMER)
        clock[0] += HOUR_S - 1
        assert late >= 7900
        assert late + await _burst([limiter], caller, [9000], clock[0], CUSTOMER) <= 8000
        clock[0] += LEASE_S + 20
        assert await _burst([limiter], caller, [9000], clock[0], CUSTOMER) >= 7900
        await limiter.close()

    _run(scenario)


def test_hopping_between_services_is_refused() -> None:
    """Attack 52: an app that spreads its calls over two services on one Redis has one limit, and is told so by both."""

    async def scenario(url: str) -> None:
        store = populated_store()
        token = store.add_credential(OWNER, calls_per_hour=20)
        async with sharing(url, store, prefix=prefix()) as services:
            replies = [await services[n % 2].token(token) for n in range(30)]
            statuses = [reply.status for reply in replies]
            assert statuses == [200] * 20 + [429] * 10
            assert 3000 < int(replies[-1].headers["retry-after"]) <= HOUR_S + LEASE_S + 10
            assert '"call_count":100' in replies[-1].headers["x-app-usage"]
            assert replies[-1].json["error"]["code"] == 4

    with any_server() as url:
        _run(lambda: scenario(url))


def test_hopping_for_one_business_is_refused() -> None:
    """Attack 52: the limit per app and business holds over two services as well, and other businesses go on."""

    async def scenario(url: str) -> None:
        store = populated_store()
        store.share(SOLUTION, SIBLING)
        token = store.add_credential(OWNER, calls_per_hour=1000, calls_per_business_per_hour=20)
        async with sharing(url, store, prefix=prefix()) as services:
            statuses = [(await services[n % 2].token(token)).status for n in range(30)]
            assert statuses == [200] * 20 + [429] * 10
            assert services[0].seen[-1].reason is Reason.APP_BUSINESS_LIMITED
            assert (await services[0].token(token, SIBLING)).status == 200

    with any_server() as url:
        _run(lambda: scenario(url))


def test_an_address_that_fails_everywhere_is_refused_everywhere() -> None:
    """Attack 52: failures on one service count on the others within a second, and guessing goes on nowhere."""

    async def scenario(url: str) -> None:
        store = populated_store()
        good = store.add_credential(OWNER)
        async with sharing(url, store, 3, prefix=prefix(), failures=10) as services:
            first, second, third = services
            for _ in range(6):
                assert (await first.token("nonsense")).status == 401
                assert (await second.token("nonsense")).status == 401
            for service in services[:2]:
                await service.shared.report()
            assert (await third.token("nonsense")).status == 401
            await third.shared.report()

            assert [(await service.token("nonsense")).status for service in (second, third)] == [429, 429]
            refused = await third.token(good)
            assert refused.status == 429
            assert 1 <= int(refused.headers["retry-after"]) <= HOUR_S + 10
            other = await third.request(
                f"/v23.0/{SOLUTION}/access_token",
                f"business_id={CUSTOMER}",
                {"Authorization": f"Bearer {good}"},
                peer="192.0.2.8",
            )
            assert other.status == 200

    with any_server() as url:
        _run(lambda: scenario(url))


def test_a_flood_of_bad_tokens_does_not_cost_a_question_each() -> None:
    """Failures are told in the background: 5,000 of them from 5,000 addresses wait for nothing and stay bounded."""

    async def scenario() -> None:
        counts = MemoryCounts({}, [float(CLOCK_S)])
        limiter = SharedLimiter(counts, 1000)
        for n in range(20_000):
            limiter.failed(f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", _instant(CLOCK_S, 0))
        for _ in range(50):
            limiter.failed("192.0.2.1", _instant(CLOCK_S, 0))
        assert counts.asked == 0
        assert len(limiter._reports._unreported) == 10_000
        await limiter.report()

        assert counts.asked == 64
        assert "192.0.2.1" not in limiter._reports._unreported
        await limiter.close()

    _run(scenario)


def test_a_warm_answer_asks_nobody() -> None:
    """1,000 warm answers within a lease are given without one command to the server."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER, calls_per_hour=10_000_000, calls_per_business_per_hour=5_000_000)
        with own_server() as server:
            async with sharing(server.url, store, 1, prefix=prefix()) as (service,):
                for _ in range(3):
                    assert (await service.token(token)).status == 200
                before = server.calls()
                for _ in range(1000):
                    assert (await service.token(token)).status == 200
                assert server.calls() == before > 0

    _run(scenario)


def test_without_the_server_each_counts_alone_and_comes_back() -> None:
    """Killed: the next calls are counted here, each worker its part; started again: shared within two probes."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER, calls_per_hour=20)
        with own_server() as server:
            async with sharing(server.url, store, 1, prefix=prefix(), workers=2) as (service,):
                limiter = service.shared
                assert [(await service.token(token)).status for _ in range(4)] == [200] * 4
                server.kill()
                statuses = [(await service.token(token)).status for _ in range(10)]
                assert statuses == [200] * 6 + [429] * 4
                assert (limiter.link.up, limiter.link.errors) == (False, 1)
                await limiter.probe()
                assert (limiter.link.up, limiter.link.errors) == (False, 2)
                server.start()
                await limiter.probe()
                assert limiter.link.up
                assert (await service.token(token)).status == 200

    _run(scenario)


def test_without_the_server_calls_are_refused_if_so_set() -> None:
    """With `refuse` nothing is let through uncounted: the transient 500, warm or not; and again 200 when it is back."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER, calls_per_hour=10_000)
        with own_server() as server:
            async with sharing(server.url, store, 1, prefix=prefix(), refuse=True) as (service,):
                assert (await service.token(token)).status == 200
                server.kill()
                await service.shared.probe()
                replies = [await service.token(token) for _ in range(2)]
                assert [(r.status, r.json["error"]["is_transient"]) for r in replies] == [(500, True)] * 2
                assert service.seen[-1].reason is Reason.LIMITS_UNAVAILABLE
                server.start()
                await service.shared.probe()
                assert (await service.token(token)).status == 200

    _run(scenario)


def test_a_flushed_server_begins_anew() -> None:
    """FLUSHALL gives every app its limit again, within ten seconds of the next refusal; nothing breaks."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER, calls_per_hour=5)
        with own_server() as server:
            async with sharing(server.url, store, 1, prefix=prefix()) as (service,):
                assert [(await service.token(token)).status for _ in range(6)] == [200] * 5 + [429]
                client = server.client()
                client.flushall()
                client.script_flush()
                client.close()
                assert (await service.token(token)).status == 429
                service.turn(11)
                assert (await service.token(token)).status == 200

    _run(scenario)


@pytest.mark.parametrize(
    "answer",
    [b"-LOADING Redis is loading the dataset in memory\r\n", b"-READONLY You can't write\r\n", b"HTTP/1.1 400 no\r\n\r\n", b""],
    ids=["loading", "readonly", "nonsense", "silence"],
)
def test_a_server_of_no_use_counts_as_away(answer: bytes) -> None:
    """A server that loads, only reads, talks nonsense or never answers: counted here, and asked no more than by the probe."""

    async def scenario(url: str) -> None:
        store = populated_store()
        token = store.add_credential(OWNER, calls_per_hour=5)
        async with sharing(url, store, 1, prefix=prefix()) as (service,):
            assert [(await service.token(token)).status for _ in range(7)] == [200] * 5 + [429] * 2
            assert (service.shared.link.up, service.shared.link.errors) == (False, 1)
            await service.shared.probe()
            assert not service.shared.link.up

    with garbage_server(answer) as url:
        _run(lambda: scenario(url))


def test_many_that_wait_for_one_lease_ask_once() -> None:
    """A hundred requests of one cold app take its lease in a handful of questions, not in a hundred."""

    async def scenario() -> None:
        counts = MemoryCounts({}, [float(CLOCK_S)])
        limiter = SharedLimiter(counts, 1000)
        assert await _burst([limiter], _caller(1000), [100], CLOCK_S, CUSTOMER) == 100

        assert counts.asked <= 8
        await limiter.close()

    _run(scenario)


def test_a_flood_over_the_limit_is_refused_without_asking() -> None:
    """A full count is asked again after ten seconds at the earliest, however many calls come."""

    async def scenario() -> None:
        counts = MemoryCounts({}, [float(CLOCK_S)])
        limiter = SharedLimiter(counts, 1000)
        assert await _burst([limiter], _caller(10), [50], CLOCK_S, CUSTOMER) == 10
        asked = counts.asked
        assert await _burst([limiter], _caller(10), [5000], CLOCK_S + 9, CUSTOMER) == 0

        assert counts.asked == asked
        await limiter.close()

    _run(scenario)


def test_a_wall_clock_that_steps_frees_no_lease() -> None:
    """What is held is counted on the boot clock: a step of the wall clock by a day neither ends nor prolongs it."""

    async def scenario() -> None:
        counts = MemoryCounts({}, [float(CLOCK_S)])
        limiter, caller = SharedLimiter(counts, 1000), _caller(100_000)
        now = _instant(CLOCK_S, 0)
        assert await limiter.call(caller, limiter.quota(caller, CUSTOMER, now), now) is None
        asked = counts.asked
        for step_s in (-86_400, 86_400):
            stepped = Instant(now.wall_s + step_s, now.boot_ns)
            assert limiter.admits(limiter.quota(caller, CUSTOMER, stepped), stepped)

        assert counts.asked == asked
        await limiter.close()

    _run(scenario)


def test_usage_is_that_of_all_processes() -> None:
    """X-App-Usage tells what all processes used, as last seen, and not what this one did."""

    async def scenario(url: str) -> None:
        store = populated_store()
        token = store.add_credential(OWNER, calls_per_hour=100)
        async with sharing(url, store, prefix=prefix()) as services:
            for _ in range(60):
                await services[0].token(token)
            told = await services[1].token(token)
            assert '"call_count":61' in told.headers["x-app-usage"]

    with any_server() as url:
        _run(lambda: scenario(url))


def test_one_process_alone_needs_no_server() -> None:
    """Without `limits_url` the limiter is the one of before: nothing of the library is imported, nobody is asked."""
    assert type(InProcess(populated_store()).limiter) is Limiter
