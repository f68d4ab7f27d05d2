"""Webhooks that end and revive tokens."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest

from client.driving import ACCOUNT, KEY, UNSHARED, Api, FakeTransport, TurnedClock
from multipartner.client import Options, Secret, TenantNotShared, TokenProvider
from multipartner.client.webhooks import Applied, SignatureInvalid, WebhookMalformed, apply_webhook

SECRET = Secret("an-app-secret-of-a-test")
APP = ACCOUNT.id.app_id


class World:
    def __init__(self) -> None:
        clock, self.api = TurnedClock(), Api()
        self.provider = TokenProvider(ACCOUNT, Options(sweeps=False), transport=FakeTransport(self.api, clock), clock=clock)

    def send(self, field: str, value: dict[str, Any]) -> Applied:
        change = {"field": field, "value": value}
        body = json.dumps(
            {"object": "whatsapp_business_account", "entry": [{"id": "1", "time": 1, "changes": [change]}]}
        ).encode()
        return apply_webhook(self.provider, body, signed(body), SECRET)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.provider.close()


def signed(body: bytes) -> str:
    return "sha256=" + hmac.new(SECRET.reveal().encode(), body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("event", ["PARTNER_APP_UNINSTALLED", "PARTNER_REMOVED"])
def test_a_customer_that_left_has_no_token_any_more(world: World, event: str) -> None:
    """When a customer removes the partner, its tokens are forgotten at once, and the next call asks anew."""
    world.provider.get(KEY)
    info = {"waba_id": "5", "owner_business_id": KEY.business_id, "partner_app_id": APP}

    assert world.send("account_update", {"event": event, "waba_info": info}) == Applied(forgotten=1)
    world.api.answer = lambda _key, _wall: UNSHARED
    with pytest.raises(TenantNotShared):
        world.provider.get(KEY)


@pytest.mark.parametrize("event", ["PARTNER_ADDED", "PARTNER_APP_INSTALLED"])
def test_a_customer_that_came_back_is_asked_for_at_once(world: World, event: str) -> None:
    """When a customer shares again, the remembered refusal does not hold its first token up."""
    world.api.answer = lambda _key, _wall: UNSHARED
    with pytest.raises(TenantNotShared):
        world.provider.get(KEY)
    world.api.answer = None
    info = {"waba_id": "5", "owner_business_id": KEY.business_id, "solution_id": KEY.solution_id}

    assert world.send("account_update", {"event": event, "waba_info": info}) == Applied(revived=1)
    assert world.provider.get(KEY).reveal() == f"{KEY.business_id}-2"


def test_a_solution_that_ended_has_no_tokens(world: World) -> None:
    """When a solution is deactivated all its tokens are forgotten; another status changes nothing."""
    world.provider.get(KEY)
    for status in ("PENDING_DEACTIVATION", "INITIATED"):
        value = {"event": "SOLUTION_UPDATED", "solution_id": KEY.solution_id, "solution_status": status}
        assert world.send("partner_solutions", value) == Applied()
    value = {"event": "SOLUTION_UPDATED", "solution_id": KEY.solution_id, "solution_status": "DEACTIVATED"}
    assert world.send("partner_solutions", value) == Applied(forgotten=1)


@pytest.mark.parametrize(
    "value",
    [
        {"event": "PARTNER_REMOVED"},
        {"event": "PARTNER_REMOVED", "waba_info": {"owner_business_id": 17}},
        {"event": "PARTNER_REMOVED", "waba_info": {"owner_business_id": KEY.business_id, "partner_app_id": "77"}},
        {"event": "ACCOUNT_VIOLATION", "waba_info": {"owner_business_id": KEY.business_id}},
    ],
    ids=["nobody", "number", "another-app", "another-event"],
)
def test_what_is_not_about_our_tokens_changes_nothing(world: World, value: dict[str, Any]) -> None:
    """Other events, other apps and other shapes leave every token where it is."""
    world.provider.get(KEY)

    assert world.send("account_update", value) == Applied()
    assert world.provider.explain(KEY).state == "fresh"


def test_an_unsigned_webhook_is_not_believed(world: World) -> None:
    """Without the app's signature over exactly these bytes nothing is applied; signed nonsense is told as such."""
    body = b'{"entry":[]}'
    for signature in ("", "sha256=", signed(b"other"), signed(body).upper(), "ü"):
        with pytest.raises(SignatureInvalid):
            apply_webhook(world.provider, body, signature, SECRET)
    for nonsense in (b"", b"[]", b'{"entry":7}', b'{"entry":[7]}', b'{"entry":[{"changes":[{}]}]}'):
        with pytest.raises(WebhookMalformed):
            apply_webhook(world.provider, nonsense, signed(nonsense), SECRET)
    assert apply_webhook(world.provider, body, signed(body), SECRET) == Applied()
