"""The provider over real threads, event loops and processes, with an API that answers when the test lets it."""

import asyncio
import copy
import json
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from client.driving import ACCOUNT, BAD_CALLER, FAULT, KEY, UNSHARED, Api, FakeTransport, TurnedClock, granted, middle
from multipartner.client import (
    Account,
    CredentialRejected,
    LifetimeTooShort,
    Options,
    ProviderClosed,
    RetryPolicy,
    Secret,
    TenantNotShared,
    TokenProvider,
    UpstreamTransient,
    WaitTimedOut,
    WrongAccount,
)
from multipartner.client.keys import TokenKey

OTHER = ACCOUNT.key(KEY.solution_id, "4089388446014104")


OPTIONS = Options(sweeps=False, uniform=middle, retry=RetryPolicy(attempts=1))


class World:
    def __init__(self) -> None:
        self.api, self.clock = Api(), TurnedClock()
        self.transport = FakeTransport(self.api, self.clock)
        self.events: list[str] = []
        self.provider = TokenProvider(
            ACCOUNT,
            OPTIONS,
            transport=self.transport,
            clock=self.clock,
            hooks=[lambda name, _: self.events.append(name)],
        )


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.provider.close()


def together(count: int, act: Callable[[], str]) -> list[str]:
    """Run an act in so many threads at once."""
    barrier = threading.Barrier(count)

    def run() -> str:
        barrier.wait(30)
        return act()

    with ThreadPoolExecutor(count) as pool:
        return [future.result(30) for future in [pool.submit(run) for _ in range(count)]]


def test_64_threads_on_one_cold_key_make_one_call(world: World) -> None:
    """Probe A, in threads."""
    assert set(together(64, lambda: world.provider.get(KEY).reveal())) == {f"{KEY.business_id}-1"}
    assert world.api.calls[KEY] == 1


async def _gathered(provider: TokenProvider, count: int) -> set[str]:
    return {token.reveal() for token in await asyncio.gather(*(provider.aget(KEY) for _ in range(count)))}


def test_a_thousand_tasks_on_one_cold_key_make_one_call(world: World) -> None:
    """Probe A, in tasks."""
    assert asyncio.run(_gathered(world.provider, 1000)) == {f"{KEY.business_id}-1"}
    assert world.api.calls[KEY] == 1


def test_threads_and_two_event_loops_share_one_fetch(world: World) -> None:
    """One provider serves any number of loops and threads at once, with one call."""
    world.transport.gate.clear()
    with ThreadPoolExecutor(3) as pool:
        waiting: list[Future[set[str]]] = [pool.submit(lambda: asyncio.run(_gathered(world.provider, 50))) for _ in range(2)]
        waiting.append(pool.submit(lambda: {world.provider.get(KEY).reveal()}))
        assert world.transport.began.acquire(timeout=30)
        world.transport.gate.set()
        assert [future.result(30) for future in waiting] == [{f"{KEY.business_id}-1"}] * 3
    assert world.api.calls[KEY] == 1


def test_a_cancelled_task_takes_nothing_from_the_others(world: World) -> None:
    """The first to ask may give up; the fetch goes on, and nobody begins another."""
    world.transport.gate.clear()

    async def scene() -> str:
        leader = asyncio.create_task(world.provider.aget(KEY))
        follower = asyncio.create_task(world.provider.aget(KEY))
        assert await asyncio.to_thread(world.transport.began.acquire, timeout=30)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        world.transport.gate.set()
        return (await follower).reveal()

    assert asyncio.run(scene()) == f"{KEY.business_id}-1"
    assert world.api.calls[KEY] == 1


def test_a_slow_tenant_holds_nobody_up(world: World) -> None:
    """While one tenant's fetch hangs, another's token is served and a third one's fetched."""
    world.provider.get(OTHER)
    slow = threading.Event()

    def answer(key: TokenKey, wall: float) -> object:
        assert key != KEY or slow.wait(30)
        return granted(key.business_id, wall + 3600)

    world.api.answer = answer  # type: ignore[assignment] # a Response
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(world.provider.get, KEY)
        assert world.provider.get(OTHER).reveal() == f"{OTHER.business_id}-1"
        assert world.provider.get(ACCOUNT.key("7", "8")).reveal() == "8"
        assert not waiting.done()
        slow.set()
        assert waiting.result(30).reveal() == KEY.business_id


def test_nobody_waits_longer_than_asked(world: World) -> None:
    """A caller's own patience ends its wait; the fetch goes on for the next one."""
    world.transport.gate.clear()
    with pytest.raises(WaitTimedOut):
        world.provider.get(KEY, timeout_s=0)
    with pytest.raises(WaitTimedOut):
        asyncio.run(world.provider.aget(KEY, timeout_s=0))
    world.transport.gate.set()

    assert (world.provider.get(KEY).reveal(), world.api.calls[KEY]) == (f"{KEY.business_id}-1", 1)


def test_errors_tell_what_the_api_said_and_when_to_come_back(world: World) -> None:
    """Each error has code, subcode, trace id, transience and the time from which another try can help."""
    world.api.answer = lambda _key, _wall: UNSHARED
    with pytest.raises(TenantNotShared) as unshared:
        world.provider.get(KEY)
    assert (unshared.value.status, unshared.value.code, unshared.value.fbtrace_id) == (422, 100, "Atrace")
    assert unshared.value.retry_at_s == pytest.approx(world.clock.wall() + 30)
    assert unshared.value.__context__ is None

    world.api.answer = lambda _key, _wall: BAD_CALLER
    with pytest.raises(CredentialRejected) as bad:
        world.provider.get(OTHER)
    assert (bad.value.code, bad.value.subcode) == (190, 463)


def test_a_connection_that_fails_is_told_as_passing(world: World) -> None:
    """No answer at all is an UpstreamTransient without any address in its text."""
    world.transport.is_cut = True
    with pytest.raises(UpstreamTransient) as cut:
        world.provider.get(KEY)
    assert "graph.example" not in str(cut.value)


def test_a_life_that_no_token_has_is_refused_at_once(world: World) -> None:
    """To ask for two hours of an hour-long token fails after one fetch, not after the caller's patience."""
    for _ in range(5):
        with pytest.raises(LifetimeTooShort):
            world.provider.get(KEY, min_ttl_s=7200)
    assert world.api.calls[KEY] == 1


def test_two_apps_never_get_each_others_token() -> None:
    """Attack 30: two apps that ask for the same customer at the same moment get their own tokens, and no key fits both."""
    accounts = [Account("https://graph.example", app, Secret(f"caller-{app}")) for app in ("11", "12")]
    clock = TurnedClock()
    providers = [
        TokenProvider(
            account,
            transport=FakeTransport(Api(answer=lambda key, wall: granted(f"of-{key.account.app_id}", wall + 3600)), clock),
            clock=clock,
        )
        for account in accounts
    ]
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda provider: provider.get(provider.key("1", "2")).reveal(), providers))
    assert told == ["of-11", "of-12"]
    with pytest.raises(WrongAccount):
        providers[0].get(providers[1].key("1", "2"))
    for provider in providers:
        provider.close()


def test_a_child_has_the_tokens_and_nothing_of_the_fetching(world: World) -> None:
    """After a fork with a fetch under way the child serves what is known, and fetches for itself over its own connections."""
    world.provider.get(OTHER)
    world.transport.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(world.provider.get, KEY)
        assert world.transport.began.acquire(timeout=30)
        assert world.transport.began.acquire(timeout=30)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            # Nothing of pytest may run here: the answer goes through the pipe, and the process ends at once.
            try:
                world.transport.gate = threading.Event()
                world.transport.gate.set()
                told = [world.provider.get(OTHER).reveal(), world.provider.get(KEY).reveal(), world.transport.abandoned]
                os.write(writing, json.dumps(told).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            told = json.loads(answer.read())
        os.waitpid(child, 0)
        world.transport.gate.set()
        assert waiting.result(30).reveal() == f"{KEY.business_id}-1"
    assert told == [f"{OTHER.business_id}-1", f"{KEY.business_id}-1", 1]


def test_closing_ends_every_wait(world: World) -> None:
    """Whoever waits when the provider is closed is told so, in threads and in loops."""
    world.transport.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(world.provider.get, KEY), pool.submit(lambda: asyncio.run(world.provider.aget(KEY)))]
        assert world.transport.began.acquire(timeout=30)
        closing = threading.Thread(target=world.provider.close)
        closing.start()
        for future in waiting:
            with pytest.raises(ProviderClosed):
                future.result(30)
        world.transport.gate.set()
        closing.join(30)
    with pytest.raises(ProviderClosed):
        world.provider.get(KEY, min_ttl_s=1)


def test_a_closed_provider_hands_out_nothing(world: World) -> None:
    """After `close` also a token that was at hand is refused, and none is left in memory."""
    world.provider.get(KEY)
    world.clock.turn(3000)
    world.provider.get(KEY)
    world.transport.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(world.provider.get, OTHER)
        assert world.transport.began.acquire(timeout=30)
        closing = threading.Thread(target=world.provider.close)
        closing.start()
        with pytest.raises(ProviderClosed):
            waiting.result(30)
    for _ in range(2):
        with pytest.raises(ProviderClosed):
            world.provider.get(KEY)
        with pytest.raises(ProviderClosed):
            asyncio.run(world.provider.aget(KEY))
        with pytest.raises(ProviderClosed):
            world.provider.forget([KEY])
        # And once more when the fetch that was under way has ended.
        world.transport.gate.set()
        closing.join(30)
    states = world.provider._flow.table.states.values()
    assert [state for state in states if state.previous or state.aside] == []
    assert world.provider.health().tokens == 0


def test_what_is_no_key_is_told_with_the_way_to_one(world: World) -> None:
    """None, a pair or a text in place of a key: a TypeError that names the method that makes one."""
    wrongs: list[Any] = [None, (KEY.solution_id, KEY.business_id), KEY.business_id]
    for wrong in wrongs:
        for ask in (world.provider.get, world.provider.explain, lambda key: world.provider.prefetch([key])):
            with pytest.raises(TypeError, match=r"provider\.key"):
                ask(wrong)


def test_a_token_prints_and_leaves_nothing(world: World) -> None:
    """Attack 57: a token has no text in repr, format, errors or copies, and is not pickled; nor is an account's secret seen."""
    token = world.provider.get(KEY)
    shown = (
        f"{token} {token!r} {token.secret!r} {world.provider.account!r} {world.provider.explain(KEY)} {world.provider.health()}"
    )

    assert token.reveal() not in shown
    assert "caller-token-of-a-test" not in shown + repr(KEY)
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leave(token)


def _failing(_name: str, _key: TokenKey | None) -> None:
    raise RuntimeError("a hook's own fault")


def test_what_happens_is_told_to_hooks_and_a_hook_that_fails_harms_nobody(world: World) -> None:
    """Hooks hear of misses, refreshes, refusals and degraded service by fixed names."""
    world.provider = TokenProvider(
        ACCOUNT,
        OPTIONS,
        transport=world.transport,
        clock=world.clock,
        hooks=[_failing, lambda name, _: world.events.append(name)],
    )
    world.provider.get(KEY)
    world.clock.turn(3000)
    world.api.answer = lambda _key, _wall: FAULT
    world.provider.get(KEY)
    world.provider.forget(business_id=KEY.business_id)

    assert {"miss", "refresh_ok", "forgotten"} <= set(world.events)


def test_explain_says_why(world: World) -> None:
    """For each state of a key there is one word and one line that says what happens next."""
    assert world.provider.explain(KEY).state == "absent"
    world.provider.get(KEY)
    assert world.provider.explain(KEY).state == "fresh"
    world.clock.turn(3000)
    assert world.provider.explain(KEY).state == "due"
    world.provider.forget([KEY])
    world.api.answer = lambda _key, _wall: UNSHARED
    with pytest.raises(TenantNotShared):
        world.provider.get(KEY)
    told = world.provider.explain(KEY)
    assert (told.state, told.failure and told.failure.code) == ("refused", 100)
    assert told.retry_at_s == pytest.approx(world.clock.wall() + 30, abs=1)


def test_health_tells_how_long_the_tokens_last(world: World) -> None:
    """Runway: with the API down from now on, the seconds until the first token in use is gone."""
    world.provider.get(KEY)
    world.clock.turn(600)
    world.provider.get(OTHER)

    assert world.provider.health().runway_s == pytest.approx(3585 - 600)
    assert (world.provider.health().tokens, world.provider.health().in_use) == (2, 2)


@pytest.mark.parametrize(
    ("origin", "app", "token", "told"),
    [
        ("http://graph.example", "1", "t", "https"),
        ("https://graph.example/path", "1", "t", "origin"),
        ("https://user:pw@graph.example", "1", "t", "origin"),
        ("ftp://graph.example", "1", "t", "origin"),
        ("https://graph.example", "one", "t", "app_id"),
        ("https://graph.example", "1", "", "caller_token"),
        ("https://graph.example", "1", "two words", "caller_token"),
    ],
)
def test_an_account_that_cannot_work_is_refused_by_name(origin: str, app: str, token: str, told: str) -> None:
    """A wrong setting is told by its name and shape, without its value."""
    with pytest.raises(ValueError, match=told) as error:
        Account(origin, app, Secret(token))
    assert "pw" not in str(error.value)
    assert "two words" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"), [("caller_token", "secret-of-somebody"), ("app_secret", "secret-of-somebody"), ("caller_token", None)]
)
def test_a_secret_is_given_as_one(name: str, value: object) -> None:
    """A caller token or app secret as plain text is refused with its name and the type that it must have, not with its value."""
    given: dict[str, object] = {"caller_token": Secret("t"), name: value}
    with pytest.raises(TypeError, match=f"{name} must be a Secret") as error:
        Account("https://graph.example", "1", **given)  # type: ignore[arg-type]
    assert "of-somebody" not in str(error.value)
