"""Other people's HTTP clients, unmodified, with a token that the resource server refuses in between."""

import asyncio
import hashlib
import hmac
import os
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests

from client.driving import Api, FakeTransport, TurnedClock
from client.resource_server import ResourceServer, resource_server
from clients.foreign_code import foreign_warnings
from multipartner.client import Account, Options, Secret, TokenProvider
from multipartner.client.adapters.aiohttp import aiohttp_middleware
from multipartner.client.adapters.httpx import TokenAuth, httpx_auth
from multipartner.client.adapters.requests import RequestsTokenAuth
from multipartner.client.adapters.sdks import facebook_business_api, pywa_session
from multipartner.client.keys import TokenKey

__all__ = ["foreign_warnings"]

APP_SECRET = "an-app-secret-of-a-test"


@pytest.fixture
def server() -> Iterator[ResourceServer]:
    with resource_server() as running:
        yield running


@pytest.fixture
def provider() -> Iterator[TokenProvider]:
    clock = TurnedClock()
    account = Account("https://graph.example", "1", Secret("caller"), app_secret=Secret(APP_SECRET))
    made = TokenProvider(account, Options(sweeps=False), transport=FakeTransport(Api(), clock), clock=clock)
    made.get(key_of(made))
    clock.turn(100)
    yield made
    made.close()


def key_of(provider: TokenProvider) -> TokenKey:
    return provider.key("8", "9")


def with_httpx2(provider: TokenProvider, url: str) -> Any:
    with httpx2.Client(auth=TokenAuth(provider, key_of(provider), proofs=True)) as client:
        return client.post(url, content=b"hello", params={"a": "1"}).json()


def with_async_httpx2(provider: TokenProvider, url: str) -> Any:
    async def call() -> Any:
        async with httpx2.AsyncClient(auth=TokenAuth(provider, key_of(provider), proofs=True)) as client:
            return (await client.post(url, content=b"hello", params={"a": "1"})).json()

    return asyncio.run(call())


def with_httpx(provider: TokenProvider, url: str) -> Any:
    with httpx.Client(auth=httpx_auth(provider, key_of(provider), proofs=True)) as client:
        return client.post(url, content=b"hello", params={"a": "1"}).json()


def with_requests(provider: TokenProvider, url: str) -> Any:
    with requests.Session() as session:
        session.auth = RequestsTokenAuth(provider, key_of(provider), proofs=True)
        return session.post(url, data=b"hello", params={"a": "1"}, timeout=30).json()


def with_aiohttp(provider: TokenProvider, url: str) -> Any:
    async def call() -> Any:
        middleware = aiohttp_middleware(provider, key_of(provider), proofs=True)
        async with (
            aiohttp.ClientSession(middlewares=[middleware]) as session,
            session.post(url, data=b"hello", params={"a": "1"}) as answer,
        ):
            return await answer.json()

    return asyncio.run(call())


CLIENTS = [with_httpx2, with_async_httpx2, with_httpx, with_requests, with_aiohttp]
Client = Callable[[TokenProvider, str], Any]


@pytest.mark.parametrize("status", [401, 400])
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_a_refused_token_is_replaced_within_the_call(
    client: Client, status: int, provider: TokenProvider, server: ResourceServer
) -> None:
    """A refusal, as 401 or as the live API's 400, brings the next token; the same body goes once more, with its own proof."""
    server.good, server.refused_status = {"9-2"}, status

    assert client(provider, server.url + "/v23.0/1/messages") == {"ok": True}
    assert [(seen.authorization, seen.body) for seen in server.seen] == [("Bearer 9-1", b"hello"), ("Bearer 9-2", b"hello")]
    for seen, token in zip(server.seen, ("9-1", "9-2"), strict=True):
        proof = hmac.new(APP_SECRET.encode(), token.encode(), hashlib.sha256).hexdigest()
        assert seen.path == f"/v23.0/1/messages?a=1&appsecret_proof={proof}"


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_a_service_that_refuses_everything_is_asked_twice(
    client: Client, provider: TokenProvider, server: ResourceServer
) -> None:
    """When the next token is refused too, the caller gets the refusal; nobody loops."""
    assert client(provider, server.url)["error"]["code"] == 190
    assert client(provider, server.url)["error"]["code"] == 190

    assert len(server.seen) <= 4


@pytest.mark.parametrize("kind", ["httpx2", "httpx", "requests"])
def test_a_body_that_is_read_while_it_is_sent_is_sent_once(kind: str, provider: TokenProvider, server: ResourceServer) -> None:
    """A stream cannot be sent again: its caller gets the refusal, and the next call has the next token."""
    server.good = {"9-2"}
    body = iter([b"hel", b"lo"])
    if kind == "requests":
        with requests.Session() as session:
            session.auth = RequestsTokenAuth(provider, key_of(provider))
            read, write = os.pipe()
            os.write(write, b"hello")
            os.close(write)
            with os.fdopen(read, "rb") as stream:
                status = session.post(server.url, data=stream, timeout=30, headers={"content-length": "5"}).status_code
    elif kind == "httpx2":
        with httpx2.Client(auth=TokenAuth(provider, key_of(provider))) as client2:
            status = client2.post(server.url, content=body, headers={"content-length": "5"}).status_code
    else:
        with httpx.Client(auth=httpx_auth(provider, key_of(provider))) as client:
            status = client.post(server.url, content=body, headers={"content-length": "5"}).status_code

    assert (status, len(server.seen)) == (401, 1)
    assert provider.get(key_of(provider)).reveal() == "9-2"


def test_facebook_business_sends_the_fresh_token_in_the_header(
    provider: TokenProvider, server: ResourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The official SDK works as it is, its calls carry the tenant's token, and no token stands in an address."""
    from facebook_business.session import FacebookSession  # type: ignore[import-untyped]  # noqa: PLC0415 - slow to import

    monkeypatch.setattr(FacebookSession, "GRAPH", server.url)
    server.good = {"9-2"}
    api = facebook_business_api(provider, key_of(provider), proofs=True)

    assert api.call("GET", ("1", "phone_numbers")).json() == {"ok": True}
    assert [seen.authorization for seen in server.seen] == ["Bearer 9-1", "Bearer 9-2"]
    assert "access_token" not in server.seen[0].path
    assert "appsecret_proof" in server.seen[0].path


def test_pywa_sends_the_fresh_token(provider: TokenProvider, server: ResourceServer) -> None:
    """Pywa works as it is, over a session that keeps its token fresh."""
    from pywa.client import WhatsApp  # noqa: PLC0415 - slow to import

    server.good = {"9-2"}
    session = pywa_session(provider, key_of(provider))
    client: Any = WhatsApp(phone_id="1", token="not sent", session=session)
    session.base_url = server.url + "/v23.0"

    assert client.api._request("GET", "/1/phone_numbers") == {"ok": True}
    assert [seen.authorization for seen in server.seen] == ["Bearer 9-1", "Bearer 9-2"]
    session.close()


def test_proofs_without_an_app_secret_are_refused() -> None:
    """Proofs asked for where none can be made is a mistake of the set-up, told at once."""
    with (
        TokenProvider(Account("https://graph.example", "1", Secret("t")), transport=FakeTransport(Api(), TurnedClock())) as made,
        pytest.raises(ValueError, match="app_secret"),
    ):
        TokenAuth(made, made.key("1", "2"), proofs=True)
