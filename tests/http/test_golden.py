"""Every refusal, byte for byte: the golden files, the table and real answers agree."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from fakes import (
    CUSTOMER,
    NOON_S,
    OTHER_SOLUTION,
    OWNER,
    PARTNER,
    SIBLING,
    SOLUTION,
    STRANGER,
    InProcess,
    MemoryStore,
    Reply,
    populated_store,
)
from goldenfile import FOLDER, TRACE_ID, golden_of, stored
from issuing.shared import MemoryCounts
from multipartner.crypto.credentials import appsecret_proof
from multipartner.domain.model import AppId, Facts, Permission, SolutionStatus, Tenant
from multipartner.domain.reasons import Reason
from multipartner.issuing.shared_limits import SharedLimiter
from rawhttp import ask, request
from running import Running, running
from solutions.refusals import REACHED_BY_SOLUTIONS

__all__ = ["running"]

PATH = f"/v23.0/{SOLUTION}/access_token"
QUERY = f"business_id={CUSTOMER}"


class FaultyStore(MemoryStore):
    """A store with a bug: it raises what no port allows."""

    async def facts(self, tenant: Tenant) -> Facts:
        raise RuntimeError(f"a bug met {tenant.business_id}")


def _service(store: MemoryStore | None = None, **options: Any) -> tuple[InProcess, str]:
    store = store or populated_store()
    return InProcess(store, **options), store.add_credential(OWNER)


def _asked(path: str = PATH, query: str = QUERY, *, method: str = "GET", body: bytes = b"", **named: str) -> Reply:
    service, token = _service()
    headers = {"Authorization": f"Bearer {token}"} | {name.replace("_", "-"): value for name, value in named.items()}
    return asyncio.run(service.request(path, query, headers, method=method, body=body))


def _with_token(token: str) -> Reply:
    service, _ = _service()
    return asyncio.run(service.token(token))


def _changed(change: Callable[[MemoryStore], object]) -> Reply:
    store = populated_store()
    service, token = _service(store)
    change(store)
    return asyncio.run(service.token(token))


def _caller(**options: Any) -> Reply:
    store = populated_store()
    token = store.add_credential(OWNER, **options)
    return asyncio.run(InProcess(store).token(token))


def _twice(service: InProcess, token: str) -> Reply:
    async def both() -> Reply:
        await service.token(token)
        return await service.token(token)

    return asyncio.run(both())


def _limited(**options: Any) -> Reply:
    store = populated_store()
    token = store.add_credential(OWNER, **options)
    return _twice(InProcess(store), token)


def _without_limits() -> Reply:
    store = populated_store()
    limiter = SharedLimiter(MemoryCounts({}, [0.0]), 1000, refuse_when_away=True)
    limiter.link.lost()
    return asyncio.run(InProcess(store, limiter=limiter).token(store.add_credential(OWNER)))


def _query_token() -> Reply:
    service, token = _service()
    return asyncio.run(service.request(PATH, f"{QUERY}&access_token={token}"))


def _wrong_proof() -> Reply:
    service, token = _service()
    return asyncio.run(service.token(token, more="&appsecret_proof=" + appsecret_proof("another app's secret", token)))


def _revoked() -> Reply:
    store = populated_store()
    token = store.add_credential(OWNER)
    store.revoke_credential(token, NOON_S)
    return asyncio.run(InProcess(store).token(token))


def _other_app(app_id: AppId) -> Reply:
    store = populated_store()
    return asyncio.run(InProcess(store).token(store.add_credential(app_id)))


def _consented_to_messaging_only() -> Reply:
    store = populated_store()
    store.share(SOLUTION, CUSTOMER, permissions=frozenset({Permission.MESSAGING}))
    return asyncio.run(InProcess(store).token(store.add_credential(PARTNER)))


def _broken_store() -> Reply:
    return _changed(lambda store: setattr(store, "broken", "the disk is gone"))


def _broken_trail() -> Reply:
    service, token = _service()
    service.trail.broken = "the disk is full"
    return asyncio.run(service.token(token))


def _bug() -> Reply:
    store = FaultyStore()
    store.add_app(OWNER)
    service, token = _service(store)
    return asyncio.run(service.token(token))


REACHED: dict[Reason, Callable[[], Reply]] = {
    Reason.UNKNOWN_PATH: lambda: _asked("/nowhere"),
    Reason.URL_TOO_LONG: lambda: _asked(query=QUERY + "&pad=" + "x" * 4096),
    Reason.METHOD_NOT_ALLOWED: lambda: _asked(method="POST"),
    Reason.UNKNOWN_VERSION: lambda: _asked(f"/v999.0/{SOLUTION}/access_token"),
    Reason.MALFORMED_FRAMING: lambda: _asked(Transfer_Encoding="chunked"),
    Reason.MALFORMED_VERSION: lambda: _asked(f"/23/{SOLUTION}/access_token"),
    Reason.MALFORMED_SOLUTION_ID: lambda: _asked("/v23.0/mine/access_token"),
    Reason.MALFORMED_QUERY: lambda: _asked(query="business_id=%zz"),
    Reason.REPEATED_PARAMETER: lambda: _asked(query=f"{QUERY}&{QUERY}"),
    Reason.MISSING_BUSINESS_ID: lambda: _asked(query=""),
    Reason.MALFORMED_BUSINESS_ID: lambda: _asked(query="business_id=mine"),
    Reason.TWO_CREDENTIALS: lambda: _asked(query=f"{QUERY}&access_token=x"),
    Reason.BODY_ON_GET: lambda: _asked(body=b"business_id=1"),
    Reason.ADDRESS_LIMITED: lambda: _twice(InProcess(populated_store(), failures_per_hour=1), "no token"),
    Reason.CALLER_MISSING: lambda: asyncio.run(_service()[0].request(PATH, QUERY)),
    Reason.CALLER_IN_QUERY: _query_token,
    Reason.CALLER_MALFORMED: lambda: _with_token("no token"),
    Reason.CALLER_UNKNOWN: lambda: _with_token(_service()[1]),
    Reason.CALLER_REVOKED: _revoked,
    Reason.CALLER_EXPIRED: lambda: _caller(expires_at_s=NOON_S),
    Reason.PROOF_MISSING: lambda: _caller(proof_required=True),
    Reason.PROOF_INVALID: _wrong_proof,
    Reason.APP_LIMITED: lambda: _limited(calls_per_hour=1),
    Reason.APP_BUSINESS_LIMITED: lambda: _limited(calls_per_business_per_hour=1),
    Reason.LIMITS_UNAVAILABLE: _without_limits,
    Reason.SOLUTION_UNKNOWN: lambda: _asked("/v23.0/1/access_token"),
    Reason.APP_NOT_PARTY: lambda: _other_app(STRANGER),
    Reason.APP_SUSPENDED: lambda: _changed(lambda store: store.suspend(OWNER, suspended=True)),
    Reason.PERMISSION_MISSING: lambda: _caller(permissions=frozenset({Permission.MESSAGING})),
    Reason.BUSINESS_NOT_CONNECTED: lambda: _asked(query=f"business_id={SIBLING}"),
    Reason.SOLUTION_INACTIVE: lambda: _changed(lambda store: store.set_status(SOLUTION, SolutionStatus.DEACTIVATED)),
    Reason.NOTHING_SHARED: lambda: _changed(lambda store: store.withdraw(SOLUTION, CUSTOMER)),
    Reason.GRANT_REVOKED: lambda: _changed(lambda store: store.set_grant(Tenant(OWNER, SOLUTION, CUSTOMER), active=False)),
    Reason.NOTHING_PERMITTED: _consented_to_messaging_only,
    Reason.FACTS_UNAVAILABLE: _broken_store,
    Reason.TRAIL_UNAVAILABLE: _broken_trail,
    Reason.NO_SIGNING_KEY: lambda: _changed(lambda store: store.keys.clear()),
    Reason.UNEXPECTED: _bug,
}
"""How a request meets each reason; what it is told is compared with the reason's golden file."""


def test_each_refusal_is_reached() -> None:
    """Every reason is met by a request here, or by one to an operation on solutions."""
    assert REACHED.keys() | REACHED_BY_SOLUTIONS.keys() == set(Reason)


def test_there_is_one_golden_file_for_each_refusal() -> None:
    """Each reason has a golden file that says what the table says, and no file is left over."""
    assert {f"{reason.value}.json" for reason in Reason} == {path.name for path in FOLDER.iterdir()}
    assert {reason: golden_of(reason) for reason in Reason} == {reason: stored(reason) for reason in Reason}


@pytest.mark.parametrize("reason", list(REACHED), ids=lambda reason: reason.value)
def test_each_refusal_answers_as_its_golden_file(reason: Reason) -> None:
    """A request that meets a reason is answered with its status, challenge and body, and the trace id of its header."""
    reply = REACHED[reason]()

    trace_id = reply.json["error"]["fbtrace_id"]
    shown = {
        "status": reply.status,
        "www-authenticate": reply.headers.get("www-authenticate"),
        "body": json.loads(reply.body.replace(trace_id.encode(), TRACE_ID.encode())),
    }
    assert stored(reason) == shown
    assert trace_id == reply.headers["x-fb-request-id"]
    assert "no-store" in reply.headers["cache-control"]


def test_unknown_and_unconnected_businesses_get_the_same_bytes() -> None:
    """A business that does not exist and one that never dealt with the caller's app are told apart by nothing (attack 31)."""
    store = populated_store()
    store.share(OTHER_SOLUTION, SIBLING)
    store.connections.discard((OWNER, SIBLING))
    service = InProcess(store)
    token = store.add_credential(OWNER)

    async def both() -> list[Reply]:
        return [await service.token(token, business_id) for business_id in (SIBLING, "79999999999999999")]

    answers = []
    for reply, business_id in zip(asyncio.run(both()), (SIBLING, "79999999999999999"), strict=True):
        trace_id = reply.json["error"]["fbtrace_id"]
        whole = repr((reply.status, sorted(reply.headers.items()), reply.body))
        answers.append(whole.replace(trace_id, "T").replace(business_id, "B"))
    assert answers[0] == answers[1]


REAL = {
    Reason.UNKNOWN_PATH: (404, "/nowhere", ()),
    Reason.UNKNOWN_VERSION: (404, "/v999.0/{solution}/access_token?business_id={shared}", ()),
    Reason.MALFORMED_SOLUTION_ID: (400, "/v23.0/mine/access_token?business_id={shared}", ()),
    Reason.MISSING_BUSINESS_ID: (400, "/v23.0/{solution}/access_token", ()),
    Reason.MALFORMED_BUSINESS_ID: (400, "/v23.0/{solution}/access_token?business_id=mine", ()),
    Reason.CALLER_MISSING: (401, "/v23.0/{solution}/access_token?business_id={shared}", ()),
    Reason.CALLER_MALFORMED: (401, "/v23.0/{solution}/access_token?business_id={shared}", ("Authorization: Bearer no",)),
    Reason.GRANT_REVOKED: (403, "/v23.0/{solution}/access_token?business_id={refused}", ("Authorization: Bearer {token}",)),
    Reason.SOLUTION_UNKNOWN: (404, "/v23.0/1/access_token?business_id={shared}", ("Authorization: Bearer {token}",)),
    Reason.BUSINESS_NOT_CONNECTED: (404, "/v23.0/{solution}/access_token?business_id={far}", ("Authorization: Bearer {token}",)),
    Reason.NOTHING_SHARED: (422, "/v23.0/{solution}/access_token?business_id={gone}", ("Authorization: Bearer {token}",)),
}


@pytest.mark.parametrize("reason", REAL, ids=lambda reason: reason.value)
def test_a_running_service_answers_as_the_golden_file(running: Running, reason: Reason) -> None:
    """Over a real server a refusal is the golden file's, byte for byte."""
    status, target, lines = REAL[reason]
    business = {"shared": 200, "refused": 403, "far": 404, "gone": 422}
    known = {name: running.business[outcome] for name, outcome in business.items()}
    known |= {"solution": running.solution_id, "token": running.owner.caller_token}

    answer = ask(running.address, request(target.format(**known), *(line.format(**known) for line in lines)))

    assert answer is not None
    trace_id = answer.header("x-fb-request-id") or ""
    told = answer.body.replace(trace_id.encode(), TRACE_ID.encode())
    assert (status, json.dumps(stored(reason)["body"], separators=(",", ":"))) == (answer.status, told.decode())
    assert stored(reason)["www-authenticate"] == answer.header("www-authenticate")
