"""Providers that share one store, each with a handle of its own as in processes of their own."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from client.store.conftest import Opener
from client.store.stored import KEY
from multipartner.client import Account, Secret, TokenProvider
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
