"""Who may ask a broker for what: its own caller tokens and their limits, and what makes a request one."""

import asyncio
import itertools
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.inprocess import CUSTOMER, OTHER_CUSTOMER, OTHER_SOLUTION, SOLUTION, InProcess
from client.driving import refused
from fakes import Reply
from multipartner.broker.answers import SAID, Cause
from multipartner.crypto.credentials import ALPHABET, CredentialType, new_credential
from multipartner.domain.reasons import Reason
from multipartner.wire import refusals

REACHES = [("*",), (SOLUTION,), (OTHER_SOLUTION,), (SOLUTION, OTHER_SOLUTION), ("1",)]
CUSTOMERS = [("*",), (CUSTOMER,), (OTHER_CUSTOMER,), (CUSTOMER, OTHER_CUSTOMER), (f"0{CUSTOMER}",)]


def without_trace(reply: Reply) -> tuple[int, dict[str, str], bytes]:
    trace_id = reply.headers["x-fb-request-id"]
    headers = {name: value for name, value in reply.headers.items() if name != "x-fb-request-id"}
    return reply.status, headers, reply.body.replace(trace_id.encode(), b"")


@pytest.mark.parametrize(("solutions", "businesses"), list(itertools.product(REACHES, CUSTOMERS)))
def test_a_token_reaches_what_it_names_and_nothing_else(
    broker: InProcess, solutions: tuple[str, ...], businesses: tuple[str, ...]
) -> None:
    """Attacks 5, 29, 30: 200 iff solution and business are both named; for anything else upstream is not even asked."""
    bearer = broker.credential(solutions=solutions, businesses=businesses)
    for solution, business in itertools.product((SOLUTION, OTHER_SOLUTION), (CUSTOMER, OTHER_CUSTOMER)):
        may = (solution in solutions or solutions == ("*",)) and (business in businesses or businesses == ("*",))

        assert broker.ask(bearer, solution, business).status == (200 if may else 404)

    asked = {(key.solution_id, key.business_id) for key in broker.apis["main"].calls}
    assert all(s in solutions or solutions == ("*",) for s, _ in asked)
    assert all(b in businesses or businesses == ("*",) for _, b in asked)


def test_out_of_reach_is_told_like_unknown(broker: InProcess) -> None:
    """Attack 31: what a token does not name, whether it exists or not, is told with the bytes of what upstream does not know."""
    narrow = broker.credential(solutions=[SOLUTION], businesses=[CUSTOMER])
    assert broker.ask(business=OTHER_CUSTOMER).status == 200
    there, nowhere = broker.ask(narrow, business=OTHER_CUSTOMER), broker.ask(narrow, business="4711")
    elsewhere, long = broker.ask(narrow, solution=OTHER_SOLUTION), broker.ask(business="9" * 40)
    broker.apis["main"].answer = lambda _key, _wall: refused(404, 803)

    unknown = broker.ask(business="4712")

    assert {without_trace(reply)[2] for reply in (there, nowhere, elsewhere, long)} == {without_trace(unknown)[2]}
    assert without_trace(there) == without_trace(nowhere) == without_trace(elsewhere) == without_trace(unknown)
    assert SAID[Cause.OUT_OF_REACH] is SAID[Cause.UPSTREAM_UNKNOWN]


def test_a_token_uses_its_own_account_alone(broker: InProcess) -> None:
    """Attack 33: two accounts for one customer never share a token; each caller gets its own account's."""
    other = broker.credential("other")
    broker.apis["other"].answer = lambda _key, _wall: refused(403, 200)

    assert (broker.ask().status, broker.ask(other).status, broker.ask().status) == (200, 403, 200)


def test_many_callers_at_once_get_their_own(broker: InProcess) -> None:
    """Attack 36: 2,000 interleaved calls of eight callers bring each the token of the customer it asked for."""
    customers = [str(1_000_000_000_000_000 + number) for number in range(8)]
    bearers = {business: broker.credential(businesses=[business]) for business in customers}

    async def asked() -> list[tuple[str, Reply]]:
        calls = [business for _ in range(250) for business in customers]
        replies = await asyncio.gather(*(broker.aask(bearers[business], business=business) for business in calls))
        return list(zip(calls, replies, strict=True))

    for business, reply in asyncio.run(asked()):
        assert reply.json["access_token"] == f"{business}-1"
    assert set(broker.apis["main"].calls.values()) == {1}


def _with_checksum(body: str) -> str:
    return f"{body}_{zlib.crc32(body.encode()):08x}"


def _wrong_secret(token: str) -> str:
    prefix, identifier, secret, _ = token.split("_")
    return _with_checksum(f"{prefix}_{identifier}_{'1' if secret[0] != '1' else '2'}{secret[1:]}")


WRONG: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "two words": lambda token: f"{token} {token}",
    "leading space": lambda token: f" {token}",
    "truncated": lambda token: token[:-1],
    "appended": lambda token: f"{token}0",
    "first secret character": _wrong_secret,
    "unknown identifier": lambda _: new_credential(CredentialType.BROKER)[1],
    "the service's kind": lambda _: new_credential(CredentialType.CALLER)[1],
    "a resource server's": lambda _: new_credential(CredentialType.RESOURCE_SERVER)[1],
    "renamed prefix": lambda token: _with_checksum("mpc_" + token.split("_", 1)[1].rsplit("_", 1)[0]),
    "not ascii": lambda token: token.replace("_", "é"),
    "a granular token": lambda _: "eyJ0eXAiOiJhdCtqd3QifQ.e30.c2ln",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_token_is_401_whatever_is_wrong(broker: InProcess, name: str) -> None:
    """Attacks 11, 13, 15, 17: every wrong credential reads the same 401/190 with a challenge, and reaches no provider."""
    reply = broker.ask(WRONG[name](broker.bearer))

    assert reply.status == 401
    assert reply.body == refusals.render(Reason.CALLER_UNKNOWN, reply.headers["x-fb-request-id"])
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    assert not broker.apis["main"].calls


def test_the_kept_fingerprint_opens_nothing(broker: InProcess) -> None:
    """Attack 14: what the file holds of a token, presented as its secret, is refused."""
    entry = json.loads(broker.file.read_bytes())["credentials"][0]
    secret = "".join(c for c in entry["mac"] if c in ALPHABET).ljust(43, "0")[:43]

    assert broker.ask(_with_checksum(f"mpb_{entry['id']}_{secret}")).status == 401


def test_no_token_is_401_without_an_error_code(broker: InProcess) -> None:
    """RFC 6750: without a credential the challenge names no error; another scheme is a wrong credential."""
    path, query = f"/v23.0/{SOLUTION}/access_token", f"business_id={CUSTOMER}"

    missing = asyncio.run(broker.request(path, query))
    basic = asyncio.run(broker.request(path, query, [(b"authorization", b"Basic eDp5")]))

    assert (missing.status, missing.headers["www-authenticate"]) == (401, 'Bearer realm="graph"')
    assert (basic.status, "invalid_token" in basic.headers["www-authenticate"]) == (401, True)


def test_an_ended_token_says_how_it_ended(broker: InProcess) -> None:
    """Attack 18: expired is 401/190/463 from its second on, revoked 401/190/466 with the very next request."""
    from multipartner.broker.credentials import revoke  # noqa: PLC0415 - the one test that ends one

    known, lasting = broker.made()
    brief = broker.credential(lifetime_s=60)
    assert (broker.ask(brief).status, broker.ask(lasting).status) == (200, 200)

    broker.clock.turn(60)
    assert revoke(broker.file, known.id, int(broker.clock.wall()))

    ended = [broker.ask(bearer).json["error"] for bearer in (brief, lasting)]
    assert [(error["code"], error["error_subcode"]) for error in ended] == [(190, 463), (190, 466)]


def test_a_file_that_cannot_be_read_lets_nobody_in(broker: InProcess) -> None:
    """Open to others, emptied or gone: nobody is let in, nobody is told 401, readiness names it; put right, it goes on."""
    kept = broker.file.read_bytes()
    for spoil in (lambda: broker.file.chmod(0o644), lambda: broker.file.write_bytes(b"{}"), broker.file.unlink):
        assert broker.ask().status == 200
        spoil()
        reply = broker.ask()
        assert (reply.status, reply.headers["retry-after"]) == (500, "1")
        assert broker.readings.readiness()[1]["lacking"] == ["credentials_file"]
        broker.file.unlink(missing_ok=True)
        broker.file.touch(0o600)
        broker.file.write_bytes(kept)

    assert broker.ask().status == 200


def test_an_account_that_is_gone_lets_nobody_in(broker: InProcess) -> None:
    """A token of an account that the configuration has no more is 401."""
    assert broker.ask(broker.credential("former")).status == 401


SHAPES: dict[str, tuple[str, str, str, int, int]] = {
    "another path": ("GET", "/", "", 404, 2500),
    "a slash more": ("GET", f"/v23.0/{SOLUTION}/access_token/", f"business_id={CUSTOMER}", 404, 2500),
    "an escaped slash": ("GET", f"/v23.0%2F{SOLUTION}/access_token", f"business_id={CUSTOMER}", 404, 2500),
    "unknown version": ("GET", f"/v999.0/{SOLUTION}/access_token", f"business_id={CUSTOMER}", 404, 2500),
    "malformed version": ("GET", f"/V23.0/{SOLUTION}/access_token", f"business_id={CUSTOMER}", 400, 100),
    "newline in id": ("GET", f"/v23.0/{SOLUTION}%0A/access_token", f"business_id={CUSTOMER}", 400, 100),
    "no business": ("GET", f"/v23.0/{SOLUTION}/access_token", "", 400, 100),
    "two businesses": ("GET", f"/v23.0/{SOLUTION}/access_token", "business_id=1&business_id=2", 400, 100),
    "full-width digits": ("GET", f"/v23.0/{SOLUTION}/access_token", "business_id=%EF%BC%91", 400, 100),
    "HEAD": ("HEAD", f"/v23.0/{SOLUTION}/access_token", f"business_id={CUSTOMER}", 405, 100),
    "POST": ("POST", f"/v23.0/{SOLUTION}/access_token", f"business_id={CUSTOMER}", 405, 100),
    "long address": ("GET", f"/v23.0/{SOLUTION}/access_token", "business_id=" + "1" * 5000, 404, 803),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_malformed_request_is_refused_as_the_service_does(broker: InProcess, name: str) -> None:
    """Attacks 1 to 9: the broker reads requests with the service's own parser, before it looks who asks."""
    method, path, query, status, code = SHAPES[name]

    reply = asyncio.run(broker.request(path, query, [(b"authorization", b"Bearer x")], method=method))

    assert (reply.status, reply.json["error"]["code"]) == (status, code)
    assert ("allow" in reply.headers) == (status == 405)


def test_doubtful_framing_closes_the_connection(broker: InProcess) -> None:
    """Attacks 12, 49: two Authorization headers are refused, and the connection with them."""
    twice = [(b"authorization", f"Bearer {broker.bearer}".encode())] * 2

    reply = asyncio.run(broker.request(f"/v23.0/{SOLUTION}/access_token", f"business_id={CUSTOMER}", twice))

    assert (reply.status, reply.headers["connection"]) == (400, "close")


def test_a_body_on_get_is_refused_but_for_the_sdks_empty_object(broker: InProcess) -> None:
    """`{}` comes from an official SDK and is ignored; any other body is 400."""
    headers = [(b"authorization", f"Bearer {broker.bearer}".encode())]
    path, query = f"/v23.0/{SOLUTION}/access_token", f"business_id={CUSTOMER}"

    statuses = [asyncio.run(broker.request(path, query, headers, body=body)).status for body in (b"{}", b'{"a":1}')]

    assert statuses == [200, 400]


@pytest.mark.parametrize("accepted", [False, True])
def test_a_token_in_the_query_needs_leave(tmp_path: Path, accepted: bool) -> None:  # noqa: FBT001 - the parameter
    """Attack 7: the query's token is refused with 401 unless accept_query_token is on; beside a header always with 400."""
    broker = InProcess(tmp_path, accept_query_token=accepted)
    path, query = f"/v23.0/{SOLUTION}/access_token", f"business_id={CUSTOMER}&access_token={broker.bearer}&appsecret_proof=00"

    alone = asyncio.run(broker.request(path, query))
    both = asyncio.run(broker.request(path, query, [(b"authorization", f"Bearer {broker.bearer}".encode())]))

    assert (alone.status, both.status) == (200 if accepted else 401, 400)
    assert broker.bearer not in repr(broker.seen)
    broker.upstreams.close()


@pytest.mark.parametrize("version", ["v1.0", "v18.0", "v26.0", "v99.0"])
def test_any_released_version_is_answered_in_the_accounts(broker: InProcess, version: str) -> None:
    """An SDK's default version is as good as another: the header says in which one upstream was asked."""
    assert broker.ask(version=version).headers["facebook-api-version"] == "v25.0"
