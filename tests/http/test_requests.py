"""What may stand in path and query: ids, versions, parameters, methods. Sent over a socket to a real server."""

import asyncio
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import CUSTOMER, OWNER, SOLUTION, InProcess, populated_store
from multipartner.domain.model import Instant
from multipartner.domain.reasons import Reason, Refusal
from multipartner.wire.ask import ID_PATTERN, VERSION_PATTERN, Arrival, AskParser
from multipartner.wire.versions import answering
from rawhttp import Answer, Raw, ask, request
from running import Running, running

__all__ = ["running"]

OTHER_SCRIPTS = ["١٢٣", "１２３", "१२३", "²", "1²", "৩", "𝟙𝟚"]  # noqa: RUF001 - they look like digits, on purpose
NO_IDS = [
    *OTHER_SCRIPTS, "123\n", "\n123", "123\r\n", "123\0", "+123", "-1", "1_000", " 123", "123 ", "0x10", "1e5", "123.0", "",
    "null", "undefined", "NaN", "1,2", "[1]", '"1"', "1;2", "1/2", "\u0660", "😀", "%31", "\u2028",
]  # fmt: skip
BROKEN_UTF8 = ["%ff", "%c0%b1", "%ed%a0%80", "1%80"]
"""A lone continuation, an overlong 1, a surrogate (attack 10)."""


def get(running: Running, target: str | bytes, *headers: str, method: str = "GET") -> Answer:
    """Ask with the owner's caller token."""
    lines = (f"Authorization: Bearer {running.owner.caller_token}", *headers)
    answer = ask(running.address, request(target, *lines, method=method))
    assert answer is not None
    return answer


def told(answer: Answer) -> tuple[int, int]:
    return answer.status, answer.error["code"]


@pytest.mark.parametrize("text", [*map(quote, NO_IDS), *BROKEN_UTF8], ids=lambda text: text or "empty")
def test_business_id_is_ascii_digits(running: Running, text: str) -> None:
    """business_id in another script, with a sign, a space, a newline or empty is refused with 400/100 (attacks 1, 2, 3, 10)."""
    answer = get(running, f"/v23.0/{running.solution_id}/access_token?business_id={text}")

    assert told(answer) == (400, 100)


@pytest.mark.parametrize("text", [*(quote(text, safe="") for text in NO_IDS if "/" not in text), *BROKEN_UTF8], ids=str)
def test_solution_id_is_ascii_digits(running: Running, text: str) -> None:
    """Solution-ID in another script, with a sign, a space or a newline is refused with 400/100 (attacks 1, 2, 3, 10)."""
    answer = get(running, f"/v23.0/{text}/access_token?business_id={running.business[200]}")

    assert told(answer) == (400, 100)


@pytest.mark.parametrize(
    "text", ["v23.0%0A", "%0Av23.0", "v23", "23.0", "V23.0", "v2\uff13.0", "v23.0.", "v.0", "v-1.0", "v23,0", "v+23.0"], ids=quote
)  # fmt: skip
def test_version_is_v_digits_dot_digits(running: Running, text: str) -> None:
    """A version that does not look like v23.0, a newline after it included, is refused with 400/100 (attacks 2, 9)."""
    answer = get(running, f"/{quote(text, safe='%')}/{running.solution_id}/access_token?business_id={running.business[200]}")

    assert told(answer) == (400, 100)


@pytest.mark.parametrize("version", ["v0.0", "v999.0", "v27.0", "v23.00", "v023.0", "v23.1", "v" + "9" * 400 + ".0"])
def test_unknown_version_is_an_unknown_path(running: Running, version: str) -> None:
    """A well-formed version that was never released is 404/2500, and none is an alias of another (attack 9)."""
    assert told(get(running, running.target(version=version))) == (404, 2500)


@pytest.mark.parametrize(("asked", "answered"), [("v1.0", "v21.0"), ("v20.0", "v21.0"), ("v21.0", "v21.0"), ("v26.0", "v26.0")])
def test_expired_version_says_which_one_answers(running: Running, asked: str, answered: str) -> None:
    """An expired version is served as the oldest usable one and says so (attack 9)."""
    answer = get(running, running.target(version=asked))

    assert (200, answered) == (answer.status, answer.header("facebook-api-version"))


@pytest.mark.parametrize("digits", [19, 20, 39, 3900, 5000])
@pytest.mark.parametrize("where", ["business", "solution"])
def test_long_ids_are_ids_of_nothing(running: Running, digits: int, where: str) -> None:
    """An id of any length is well-formed and unknown: 404, never 500 (attack 4)."""
    long = "9" * digits
    solution, business = (long, running.business[200]) if where == "solution" else (running.solution_id, long)

    assert told(get(running, f"/v23.0/{solution}/access_token?business_id={business}")) == (404, 803)


def test_leading_zeros_make_another_id(running: Running) -> None:
    """0123 is not 123, not even when the token of 123 lies in the cache (attack 5)."""
    assert get(running, running.target()).status == 200

    zero_business = f"/v23.0/{running.solution_id}/access_token?business_id=0{running.business[200]}"
    zero_solution = f"/v23.0/0{running.solution_id}/access_token?business_id={running.business[200]}"
    assert told(get(running, zero_business)) == (404, 803)
    assert told(get(running, zero_solution)) == (404, 803)


@pytest.mark.parametrize(
    "query",
    [
        "business_id={a}&business_id={a}", "business_id={a}&business_id={b}", "business_id[]={a}", "business_id[0]={a}",
        "business_id={a}&business_id[]={b}", "business_id={a};business_id={b}", "business%5Fid={a}&business_id={a}",
        "business_id={a}&business_id", "business_id={a}&access_token=x&access_token=y", "business_id={a}&appsecret_proof[]=x",
        "business_id={a}&business%5fid%5B%5D={b}", "business_id={a},{b}", "BUSINESS_ID={a}", "business_id%00={a}", "business_id",
        "+business_id={a}",
    ],
)  # fmt: skip
def test_ambiguous_parameters_are_refused(running: Running, query: str) -> None:
    """Two layers can never read two values out of one request: duplicates, lists and lookalikes are 400/100 (attack 6)."""
    written = query.format(a=running.business[200], b=running.business[404])

    assert told(get(running, f"/v23.0/{running.solution_id}/access_token?{written}")) == (400, 100)


@pytest.mark.parametrize("body", [b"business_id=1", b'{"business_id":"1"}', b"[]", b"{ }", b"null"])
def test_body_of_a_get_is_refused(running: Running, body: bytes) -> None:
    """Parameters in a body are never merged with those of the query: 400/100, and the connection is still good (attack 6)."""
    lines = (f"Authorization: Bearer {running.owner.caller_token}", f"Content-Length: {len(body)}")
    with Raw(running.address) as connection:
        first = connection.send(request(running.target(), *lines) + body).answer()
        second = connection.send(request(running.target(), lines[0])).answer()

    assert first is not None
    assert told(first) == (400, 100)
    assert second is None or second.status == 200


def test_empty_object_as_body_of_a_get_is_ignored(running: Running) -> None:
    """`{}` as a GET's body, which the official Node SDK sends, is ignored."""
    lines = (f"Authorization: Bearer {running.owner.caller_token}", "Content-Type: application/json", "Content-Length: 2")
    answer = ask(running.address, request(running.target(), *lines) + b"{}")

    assert answer is not None
    assert answer.status == 200


def test_token_in_header_and_query_is_refused(running: Running) -> None:
    """A token in the query is good where it is switched on, and never together with an Authorization header (attack 7)."""
    token = running.owner.caller_token
    alone = ask(running.address, request(f"{running.target()}&access_token={token}"))

    assert alone is not None
    assert alone.status == 200
    assert told(get(running, f"{running.target()}&access_token={token}")) == (400, 100)


def test_token_in_query_can_be_switched_off_and_is_never_written_down() -> None:
    """Where query tokens are off such a call is 401, and neither log nor trail holds any of it (attack 7)."""
    store = populated_store()
    service, token = InProcess(store, accept_query_token=False), store.add_credential(OWNER)

    reply = asyncio.run(service.request(f"/v23.0/{SOLUTION}/access_token", f"business_id={CUSTOMER}&access_token={token}"))

    assert (reply.status, service.seen[-1].reason) == (401, Reason.CALLER_IN_QUERY)
    assert token[:20] not in repr((service.seen, service.trail.refusals, service.errors, reply))


PATHS = [
    "/{v}//{s}/access_token", "//{v}/{s}/access_token", "/./{v}/{s}/access_token", "/{v}/./{s}/access_token",
    "/{v}/{s}/../{s}/access_token", "/x/../{v}/{s}/access_token", "/%2e%2e/{v}/{s}/access_token", "/{v}/{s}%2faccess_token",
    "/{v}%2f{s}/access_token", "/{v}/{s}/access_token%00", "/{v}/{s}/access_token%0a", "/{v}/{s}%00/access_token",
    "/{v}/{s}%252faccess_token", "/{v}/{s}/access_token/", "/{v}/{s}/access_token.", "/{v}/{s}/access_token%20",
    "/{v}/{s}/ACCESS_TOKEN", "/V23.0/{s}/access_token", "/{v}/{s};x=1/access_token", "/{v};x=1/{s}/access_token",
    "/{v}/{s}/access_token;x=1", "/{v}/{s}/access%5ftoken", "/{v}/{s}/access_token/..", "/{v}/{s}\\access_token",
    "/docs/../{v}/{s}/access_token", "/.well-known/../{v}/{s}/access_token", "/{v}/{s}/%61ccess_token", "/{s}/access_token",
    "/{v}/%{s}/access_token", "/{v}/{s}/access_token#", "/{v}/{s}/access_token/me", "{v}/{s}/access_token",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_path_tricks_reach_nothing(running: Running, path: str) -> None:
    """A path that is not the documented one to the byte is 400 or 404, and never a redirect or another route (attack 8)."""
    written = path.format(v="v23.0", s=running.solution_id)
    answer = get(running, f"{written}?business_id={running.business[200]}")

    assert answer.status in {400, 404}
    assert answer.header("location") is None
    assert b'access_token":' not in answer.body


def test_very_long_path_is_refused(running: Running) -> None:
    """A path of 100 kB is refused by the server itself, without the service's envelope (attacks 8, 49)."""
    answer = ask(running.address, request("/" + "a" * 100_000))

    assert answer is None or answer.status in {404, 414, 431}


@pytest.mark.parametrize("header", ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Forwarded-Path"])
def test_no_header_moves_a_request_to_another_path(running: Running, header: str) -> None:
    """The path of the request line alone decides (attack 8)."""
    assert told(get(running, "/nowhere", f"{header}: {running.target()}")) == (404, 2500)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "PROPFIND", "QUERY"])
def test_other_methods_are_refused_with_allow(running: Running, method: str) -> None:
    """Every method but GET is 405 and Allow names GET; nothing of the request is echoed (attack 9)."""
    answer = get(running, running.target(), "X-Echo: marker-of-this-test", method=method)

    assert (answer.status, answer.header("allow")) == (405, "GET")
    assert b"marker-of-this-test" not in answer.body


def test_head_does_not_mint(running: Running) -> None:
    """HEAD is 405 without a body, and leaves no issuance in the trail (attack 9)."""
    token = f"Authorization: Bearer {running.owner.caller_token}"
    with Raw(running.address) as connection:
        head = connection.send(request(running.target(), token, method="HEAD")).answer(to_head=True)
        after = connection.send(request(running.target(), token)).answer()
    assert head is not None
    assert after is not None
    assert (head.status, after.status) == (405, 200)

    store = populated_store()
    service, bearer = InProcess(store), store.add_credential(OWNER)
    path, query, headers = f"/v23.0/{SOLUTION}/access_token", f"business_id={CUSTOMER}", {"Authorization": f"Bearer {bearer}"}
    assert asyncio.run(service.request(path, query, headers, method="HEAD")).status == 405
    assert service.trail.events == []


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override: DELETE", "X-Method-Override: POST", "X-HTTP-Method: PUT"])
def test_method_overrides_are_ignored(running: Running, header: str) -> None:
    """A method named in a header or a parameter changes nothing (attack 9)."""
    assert get(running, running.target() + "&method=delete&_method=DELETE", header).status == 200
    assert get(running, running.target(), "X-HTTP-Method-Override: GET", method="POST").status == 405


PARSE = AskParser(answering(("v21.0", "v23.0")))
ARRIVAL = Arrival("A" * 23, "192.0.2.1", Instant(0, 0))


@given(st.text(max_size=12) | st.from_regex(ID_PATTERN) | st.text("0123456789+-_. \n\u0661²", max_size=12))
def test_parser_accepts_exactly_the_documented_ids(text: str) -> None:
    """The parser takes an id if and only if it matches the documented pattern to its end (attacks 1 to 3)."""
    query = b"business_id=" + quote(text).encode()
    refused = PARSE(b"/v23.0/1/access_token", query, None, ARRIVAL)

    documented = re.fullmatch(ID_PATTERN, text, re.ASCII) is not None
    assert documented is not isinstance(refused, Refusal)


@given(st.text(max_size=8) | st.from_regex(VERSION_PATTERN) | st.text("v0123.\n٢", max_size=8))
def test_parser_calls_exactly_the_undocumented_versions_malformed(text: str) -> None:
    """The parser calls a version malformed if and only if it does not match the documented pattern (attacks 2, 9)."""
    found = PARSE(b"/" + quote(text, safe="").encode() + b"/1/access_token", b"business_id=1", None, ARRIVAL)

    documented = re.fullmatch(VERSION_PATTERN, text, re.ASCII) is not None
    malformed = isinstance(found, Refusal) and found.reason is Reason.MALFORMED_VERSION
    assert documented is not malformed
