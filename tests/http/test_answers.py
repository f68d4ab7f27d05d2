"""What stands in an answer, and what never does."""

import asyncio
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import CUSTOMER, OWNER, SOLUTION, InProcess, populated_store
from multipartner.crypto.credentials import PATTERN
from rawhttp import ask, request
from running import Running, running

__all__ = ["running"]

CANARY = "CanarySecret0123456789"
JWT = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.")


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "gzip;q=1, *;q=0.1", "*"])
def test_token_answers_are_neither_compressed_nor_kept(running: Running, coding: str) -> None:
    """A token is never compressed beside attacker-chosen text, never cached, and varies with Authorization (attack 54)."""
    lines = (f"Authorization: Bearer {running.owner.caller_token}", f"Accept-Encoding: {coding}")
    answer = ask(running.address, request(running.target() + "&pad=" + "a" * 500, *lines))

    assert answer is not None
    assert answer.status == 200
    assert answer.header("content-encoding") is None
    assert {"access_token", "expires_at"} == json.loads(answer.body).keys()
    assert "no-store" in (answer.header("cache-control") or "")
    assert tuple(answer.header(name) for name in ("pragma", "referrer-policy", "x-content-type-options")) == (
        "no-cache",
        "no-referrer",
        "nosniff",
    )
    assert "authorization" in (answer.header("vary") or "").lower()
    assert answer.header("content-type") == "application/json; charset=UTF-8"
    assert answer.header("etag") is None


@pytest.mark.parametrize("headers", [{}, {"If-None-Match": "*"}, {"If-Modified-Since": "Thu, 01 Jan 2099 00:00:00 GMT"}])
@pytest.mark.parametrize("outcome", [200, 403, 404, 422])
def test_every_answer_says_no_store(running: Running, outcome: int, headers: dict[str, str]) -> None:
    """Refusals are as uncacheable as tokens, and a conditional request gets a whole answer (attack 54)."""
    lines = (f"Authorization: Bearer {running.owner.caller_token}", *(f"{name}: {value}" for name, value in headers.items()))
    answer = ask(running.address, request(running.target(outcome), *lines))

    assert answer is not None
    assert outcome == answer.status
    assert "no-store" in (answer.header("cache-control") or "")
    assert re.fullmatch(r"A[A-Za-z0-9_-]{22}", answer.header("x-fb-request-id") or "")


SPLITS = ["%0d%0aX-Injected:%201", "%0aX-Injected:%201", "%0d%0a%0d%0a<html>", "%E5%98%8A%E5%98%8DX-Injected:%201", "%1b%5b31m"]


@pytest.mark.parametrize("text", SPLITS)
def test_nothing_sent_comes_back_as_a_header(running: Running, text: str) -> None:
    """Line breaks in version, ids and parameters never end up in an answer, let alone as a header of it (attack 51)."""
    token, good = running.owner.caller_token, running.target()
    for target in (
        good.replace("v23.0", "v23.0" + text),
        good.replace(running.solution_id, running.solution_id + text),
        good + text,
        good + "&x=" + text,
        "/" + text,
    ):
        answer = ask(running.address, request(target, f"Authorization: Bearer {token}", "User-Agent: a%0d%0ab"))

        assert answer is not None
        assert "x-injected" not in answer.headers
        assert b"Injected" not in answer.body
        assert b"<html>" not in answer.body


@given(path=st.binary(max_size=60), query=st.binary(max_size=60), header=st.binary(max_size=40))
def test_whatever_is_sent_is_answered_and_never_logged_raw(path: bytes, query: bytes, header: bytes) -> None:
    """Any bytes in path, query and Authorization get an envelope below 500, and no control character into a log (51, 10)."""
    service = InProcess(populated_store())
    headers = {"Authorization": header.decode("latin-1"), "User-Agent": "\r\n\x1b[31m"}

    reply = asyncio.run(service.request("/" + path.decode("latin-1"), query.decode("latin-1"), headers))

    assert 400 <= reply.status < 500
    assert reply.json["error"]["fbtrace_id"] == reply.headers["x-fb-request-id"]
    logged = [str(getattr(seen, name)) for seen in service.seen for name in seen.__struct_fields__]
    assert all(text.isprintable() for text in logged)
    assert service.errors == []


def test_secrets_that_are_sent_never_come_back() -> None:
    """Whatever a caller sends as token, proof, path or parameter is in no answer, log field, trail or error (attack 57)."""
    store = populated_store()
    service, token = InProcess(store, accept_query_token=True), store.add_credential(OWNER)
    good = {"Authorization": f"Bearer {token}"}
    path, query = f"/v23.0/{SOLUTION}/access_token", f"business_id={CUSTOMER}"

    async def all_of_them() -> list[object]:
        return [
            await service.request(path, query, {"Authorization": f"Bearer {CANARY}"}),
            await service.request(path, query, {"Authorization": CANARY, "Cookie": CANARY, "Referer": CANARY}),
            await service.request(path, f"{query}&access_token={CANARY}"),
            await service.request(path, f"{query}&access_token={CANARY}", good),
            await service.request(path, f"{query}&appsecret_proof={CANARY}", good),
            await service.request(path, f"business_id={CANARY}", good),
            await service.request(f"/{CANARY}/{SOLUTION}/access_token", query, good),
            await service.request(f"/v23.0/{CANARY}/access_token", query, good),
            await service.request(f"/{CANARY}", CANARY, good),
            await service.request(path, query, good, body=CANARY.encode()),
            await service.request(path, query, good | {"X-Forwarded-For": CANARY}),
        ]

    replies = asyncio.run(all_of_them())

    held = repr((replies, service.seen, service.trail.events, service.trail.refusals, service.errors, service.observer.counts))
    assert CANARY not in held
    assert token.split("_")[2] not in held
    assert store.secrets[OWNER] not in held


def test_public_documents_hold_nothing_of_a_secrets_form(running: Running) -> None:
    """The OpenAPI document, the page and the key set hold no caller token, no JWT and no private key (attack 57)."""
    known = [value for app in (running.owner, running.partner) for value in (app.caller_token, app.secret)]
    for path in ("/openapi.json", "/docs", "/.well-known/jwks.json", "/.well-known/oauth-authorization-server"):
        answer = ask(running.address, request(path))
        assert answer is not None
        body = answer.body

        assert answer.status == 200
        assert not re.search(PATTERN.encode(), body)
        assert not JWT.search(body)
        assert b'"d"' not in body
        assert not [value for value in known if value.encode() in body]
