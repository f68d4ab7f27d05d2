"""Providers that share one store, each with a handle of its own as in processes of their own."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from client.driving import Api as Turned
from client.driving import FakeTransport, TurnedClock
from client.store.conftest import Opener
from client.store.stored import KEY
from multipartner.client import Account, Options, RetryPolicy, Secret, TokenProvider, UpstreamTransient
from multipartner.client.keys import TokenKey
from multipartner.client.ports import Response

ACCOUNT = Account("https://graph.example", "301000000000000", Secret("caller-token"))


class Api:
    """Answers once somebody has let it."""

    def __init__(self) -> None:
        self.calls = 0
        self.may_answer = threading.Event()

    def fetch(self, account: Account, key: TokenKey) -> Response:
        assert account is ACCOUNT
        assert key.business_id == KEY.business_id
        self.calls += 1
        assert self.may_answer.wait(10)
        body = {"access_token": f"token-{self.calls}", "expires_at": int(time.time()) + 3600}
        return Response(200, {}, json.dumps(body).encode())

    def close(self) -> None: ...

    def abandon(self) -> None: ...


def test_providers_that_share_a_store_call_once(opener: Opener) -> None:
    """Three providers want one cold key at once: one call; one that starts later makes none."""
    api, waiting = Api(), threading.Semaphore(0)

    def hear(event: str, _key: TokenKey | None) -> None:
        if event == "lease_wait":
            waiting.release()

    def provider() -> TokenProvider:
        return TokenProvider(ACCOUNT, transport=api, store=opener(), hooks=[hear])

    key = ACCOUNT.key(KEY.solution_id, KEY.business_id)
    with ExitStack() as stack:
        providers = [stack.enter_context(provider()) for _ in range(3)]
        pool = stack.enter_context(ThreadPoolExecutor(3))
        tokens = [pool.submit(each.get, key) for each in providers]
        for _ in range(2):
            assert waiting.acquire(timeout=10)
        api.may_answer.set()
        assert {token.result(10).reveal() for token in tokens} == {"token-1"}
    with provider() as later:
        assert later.get(key).reveal() == "token-1"
    assert api.calls == 1


def test_a_process_that_starts_in_an_outage_hands_out_what_the_store_has(opener: Opener) -> None:
    """A token whose refresh is due but that still lives is better than none when the API does not answer."""
    clock = TurnedClock()
    transport = FakeTransport(Turned(), clock)

    def provider() -> TokenProvider:
        return TokenProvider(ACCOUNT, Options(retry=RetryPolicy(attempts=1)), transport=transport, store=opener(), clock=clock)

    key = ACCOUNT.key(KEY.solution_id, KEY.business_id)
    with provider() as first:
        text = first.get(key).reveal()
    clock.turn(3000)
    transport.is_cut = True
    with provider() as second:
        assert second.get(key).reveal() == text
        clock.turn(600)
        with pytest.raises(UpstreamTransient):
            second.get(key)


def test_what_one_process_forgets_another_forgets_within_a_tick(opener: Opener) -> None:
    """A webhook that one process hears ends the token in the others, by their next look at the store."""
    clock, forgotten = TurnedClock(), threading.Event()
    transport = FakeTransport(Turned(), clock)

    def hear(event: str, _key: TokenKey | None) -> None:
        if event == "forgotten":
            forgotten.set()

    key = ACCOUNT.key(KEY.solution_id, KEY.business_id)
    with (
        TokenProvider(ACCOUNT, transport=transport, store=opener(), clock=clock) as one,
        TokenProvider(ACCOUNT, transport=transport, store=opener(), clock=clock, hooks=[hear]) as other,
    ):
        text = one.get(key).reveal()
        assert other.get(key).reveal() == text
        one.forget(business_id=KEY.business_id)
        clock.turn(2)
        assert forgotten.wait(10)
        assert other.get(key).reveal() != text
