"""RFC 7662 over HTTP: for registered resource servers only, and no oracle for anybody else."""

import asyncio
import base64
from urllib.parse import urlencode

import pytest

from fakes import CUSTOMER, OWNER, SOLUTION, WABA, InProcess, Reply, populated_store
from multipartner.domain.reasons import Reason


async def _introspect(
    service: InProcess, credential: str | None, body: str, media: str = "application/x-www-form-urlencoded"
) -> Reply:
    headers = {"Content-Type": media}
    if credential is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(credential.encode()).decode()
    return await service.request("/oauth/introspect", headers=headers, method="POST", body=body.encode())


def test_a_resource_server_learns_what_a_token_is_for() -> None:
    """A registered resource server reads scope, tenant and WABAs of a good token, and only `active: false` of any other text."""

    async def scenario() -> None:
        store = populated_store()
        server_id, secret = store.add_resource_server()
        service = InProcess(store)
        caller = store.add_credential(OWNER)
        granted = (await service.token(caller)).json
        told = await _introspect(service, f"{server_id}:{secret}", urlencode({"token": granted["access_token"]}))

        assert told.status == 200
        assert told.json["active"] is True
        assert told.json["exp"] == granted["expires_at"]
        assert (told.json["solution_id"], told.json["business_id"], told.json["client_id"]) == (SOLUTION, CUSTOMER, OWNER)
        assert told.json["authorization_details"][0]["waba_ids"] == [WABA]
        assert "no-store" in told.headers["cache-control"]
        for other in (caller, secret, "x", granted["access_token"] + "x", "a.b.c"):
            assert (await _introspect(service, f"{server_id}:{secret}", urlencode({"token": other}))).json == {"active": False}

    asyncio.run(scenario())


@pytest.mark.parametrize("credential", [None, "", ":", "x:y", "{id}:wrong", "other:{secret}", "{id}:{secret}x", "\xe9:\xe9"])
def test_nobody_else_may_ask(credential: str | None) -> None:
    """Without its own good credential nobody learns whether a token is good; a caller token is no such credential."""

    async def scenario() -> None:
        store = populated_store()
        server_id, secret = store.add_resource_server()
        service = InProcess(store)
        presented = credential.format(id=server_id, secret=secret) if credential is not None else None
        reply = await _introspect(service, presented, "token=x")

        assert (reply.status, reply.json) == (401, {"error": "invalid_client"})
        assert reply.headers["www-authenticate"].startswith("Basic ")
        assert service.trail.refusals[-1].trace_id == service.seen[-1].trace_id == reply.headers["x-fb-request-id"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("body", "media"),
    [
        ("", "application/x-www-form-urlencoded"),
        ("token=a&token=b", "application/x-www-form-urlencoded"),
        ("hint=a", "application/x-www-form-urlencoded"),
        ('{"token":"a"}', "application/json"),
        ("token=" + "a" * 9000, "application/x-www-form-urlencoded"),
        ("token=%ff", "application/x-www-form-urlencoded"),
        ("token=a&client_secret=x", "application/x-www-form-urlencoded"),
        ("token=a&client_id=another", "application/x-www-form-urlencoded"),
    ],
    ids=["empty", "twice", "none", "json", "long", "not-utf-8", "two-credentials", "two-clients"],
)
def test_a_form_with_one_token_is_required(body: str, media: str) -> None:
    """Anything but a form with one token, from one client that came in one way, is an invalid_request, never an answer."""

    async def scenario() -> None:
        store = populated_store()
        server_id, secret = store.add_resource_server()
        reply = await _introspect(InProcess(store), f"{server_id}:{secret}", body, media)

        assert (reply.status, reply.json) == (400, {"error": "invalid_request"})

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
def test_only_a_post_introspects(method: str) -> None:
    """Another method is told so in RFC 6749's form, and kept for `explain` as every refusal is."""

    async def scenario() -> None:
        service = InProcess(populated_store())
        reply = await service.request("/oauth/introspect", "token=x", method=method)

        assert (reply.status, reply.json, reply.headers["allow"]) == (405, {"error": "invalid_request"}, "POST")
        assert service.trail.refusals[-1].trace_id == service.seen[-1].trace_id == reply.headers["x-fb-request-id"]
        assert service.observer.counts["introspect", 405, Reason.METHOD_NOT_ALLOWED] == 1

    asyncio.run(scenario())


def test_when_the_facts_are_away_nothing_is_said() -> None:
    """While the store cannot answer, introspection says 503, and neither active nor inactive."""

    async def scenario() -> None:
        store = populated_store()
        server_id, secret = store.add_resource_server()
        service = InProcess(store)
        store.broken = "away"
        reply = await _introspect(service, f"{server_id}:{secret}", "token=x")

        assert (reply.status, reply.json) == (503, {"error": "temporarily_unavailable"})

    asyncio.run(scenario())
