"""`GET /oauth/access_token?grant_type=client_credentials`: how SDKs get an app token."""

import asyncio
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from deployment import DemoDeployment
from serving import OWNER_APP
from solutions.companies import Reply
from tokens.bearers import Bearers, told


@pytest.fixture
def open_bearers(demo: DemoDeployment) -> Iterator[Bearers]:
    """As in a demo: credentials may come in a query."""
    with asyncio.Runner() as runner:
        made = Bearers(demo, runner, accept_query_token=True)
        yield made
        made.close()


def ask(bearers: Bearers, **changed: str) -> Reply:
    given = {"client_id": OWNER_APP, "client_secret": bearers.secrets["owner"], "grant_type": "client_credentials"} | changed
    return bearers.call("", "GET", "oauth/access_token", query=urlencode({k: v for k, v in given.items() if v}))


def test_an_app_gets_its_own_token(open_bearers: Bearers) -> None:
    """Id and secret are answered with the app token that they make, which then inspects."""
    given = ask(open_bearers)

    assert given.json == {"access_token": open_bearers.app_token("owner"), "token_type": "bearer"}
    assert "no-store" in given.headers["cache-control"]
    assert open_bearers.data(given.json["access_token"], given.json["access_token"])["type"] == "APP"


def test_what_an_sdk_sends_along_is_not_looked_at(open_bearers: Bearers) -> None:
    """A caller token and its `appsecret_proof`, which SDKs send with every call, neither help nor hinder here."""
    assert ask(open_bearers, access_token="x", appsecret_proof="x").json["token_type"] == "bearer"
    wrong = ask(open_bearers, access_token=open_bearers.tokens["owner"], client_secret="wrong")
    assert told(wrong) == (401, 190, None)


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ({"client_secret": "wrong"}, (401, 190, None)),
        ({"client_id": "999999999999999"}, (401, 190, None)),
        ({"client_id": "x"}, (400, 100, None)),
        ({"client_secret": ""}, (400, 100, None)),
        ({"grant_type": "password"}, (400, 100, None)),
        ({"grant_type": ""}, (400, 100, None)),
    ],
)
def test_nobody_else_gets_one(open_bearers: Bearers, changed: dict[str, str], refused: tuple[int, int, int | None]) -> None:
    """Attacks 6, 11: a wrong secret, an unknown app or another grant type gets no token."""
    assert told(ask(open_bearers, **changed)) == refused


def test_a_secret_in_a_query_is_refused_where_queries_may_hold_none(demo: DemoDeployment) -> None:
    """Attack 7: with `accept_query_token` off, as `serve` has it, a secret in an address is refused, right or wrong."""
    with asyncio.Runner() as runner:
        closed = Bearers(demo, runner)
        answers = [ask(closed), ask(closed, client_secret="wrong")]
        closed.close()

    assert [told(one) for one in answers] == [(401, 190, None)] * 2


def test_the_solutions_operation_is_another(open_bearers: Bearers) -> None:
    """Attack 8: neither path answers for the other."""
    assert told(open_bearers.call("owner", "GET", "oauth/access_token", query="business_id=1")) == (400, 100, None)
    assert told(open_bearers.call("owner", "GET", "oauthx/access_token", query="business_id=1")) == (400, 100, None)
    assert told(open_bearers.call("owner", "GET", "x/oauth/access_token")) == (404, 2500, None)
