"""What may stand in Authorization. Failures come from loopback addresses of their own: they are counted for each."""

import pytest

from multipartner.wire.headers import ANSWER
from rawhttp import Answer, ask, request
from running import Running, running

__all__ = ["running"]

SOURCE = "127.0.11.1"


def refused(running: Running, *lines: str | bytes) -> Answer:
    answer = ask(running.address, request(running.target(), *lines), SOURCE)
    assert answer is not None
    return answer


def plain(answer: Answer) -> tuple[int, bytes]:
    """Status and body without the trace id."""
    return answer.status, answer.body.replace((answer.header("x-fb-request-id") or "").encode(), b"T")


NO_CREDENTIALS: list[str | bytes] = [
    "Authorization:", "Authorization: ", "Authorization: Bearer", "Authorization: Bearer ", "Authorization: Bearer  {token}",
    "Authorization: bearer {token}", "Authorization: BEARER {token}", "Authorization: Basic {token}", "Authorization: {token}",
    "Authorization: OAuth {token}", "Authorization: Bearer {token} x", "Authorization: Bearer {token}, Bearer {token}",
    "Authorization: Bearer\t{token}", "Authorization: Bearer a b", "Authorization: Bearer {token}x",
    "Authorization: Bearer x{token}", 'Authorization: Bearer "{token}"', "Authorization: Bearer {cut}",
    "Authorization: Bearer {token}%0A", "Authorization: Bearer null",
    "Proxy-Authorization: Bearer {token}", "X-Authorization: Bearer {token}", "Cookie: access_token={token}",
    "Authorization: Bearer \u00fc\u00df", b"Authorization: Bearer \xff\xfe", "Authorization: Bearer " + "x" * 8000,
    "Authorization: Bearer ' OR 1=1 --", "Authorization: Bearer ../../etc/passwd", "Authorization: Digest username=a",
]  # fmt: skip


@pytest.mark.parametrize("line", NO_CREDENTIALS, ids=range(len(NO_CREDENTIALS)))
def test_whatever_is_no_caller_token_gets_one_answer(running: Running, line: str | bytes) -> None:
    """No header, an empty one, another scheme, spaces, other bytes: 401/190 with the same body for all (attacks 11, 15)."""
    token = running.owner.caller_token
    written = line.format(token=token, cut=token[:-1]) if isinstance(line, str) else line

    answer = refused(running, written)

    assert plain(refused(running)) == plain(answer)
    assert (answer.status, answer.error["code"]) == (401, 190)
    challenge = answer.header("www-authenticate") or ""
    assert challenge.startswith("Bearer ")
    assert token[4:20] not in repr(answer)


def test_missing_token_challenge_names_no_error(running: Running) -> None:
    """Without a credential the challenge has no error code, with a bad one it says invalid_token (RFC 6750 3.1, attack 11)."""
    assert refused(running).header("www-authenticate") == 'Bearer realm="graph"'
    assert 'error="invalid_token"' in (refused(running, "Authorization: Bearer x").header("www-authenticate") or "")


def test_every_header_of_a_401_is_that_of_any_other(running: Running) -> None:
    """Unknown and malformed tokens are told apart by no header either (attack 11)."""
    unknown = "mpc_" + "0" * 16 + "_" + "0" * 43 + "_00000000"

    def shape(answer: Answer) -> dict[str, list[str]]:
        return {name: values for name, values in answer.headers.items() if name not in {"date", "x-fb-request-id"}}

    malformed, absent = refused(running, "Authorization: Bearer x"), refused(running, f"Authorization: Bearer {unknown}")

    assert shape(malformed) == shape(absent)
    assert {name.decode() for name, _ in ANSWER} <= malformed.headers.keys()


@pytest.mark.parametrize(
    "second", ["{line}", "Authorization: Bearer x", "Authorization:", "authorization: {line}", "AUTHORIZATION: x"]
)
@pytest.mark.parametrize("first", [True, False])
def test_two_authorization_headers_are_refused(running: Running, second: str, first: bool) -> None:  # noqa: FBT001 - a case
    """Two Authorization headers are 400, equal ones included, whichever comes first: no layer picks one (attack 12)."""
    line = f"Authorization: Bearer {running.owner.caller_token}"
    lines = [line, second.format(line=line)]

    answer = refused(running, *(lines if first else reversed(lines)))

    assert (answer.status, answer.error["code"]) == (400, 100)


def test_caller_token_works_for_its_form_alone(running: Running) -> None:
    """The one form that is good: `Bearer`, one space, the token (attack 11)."""
    assert refused(running, f"Authorization: Bearer {running.owner.caller_token}").status == 200


def test_granular_token_is_no_caller_token(running: Running) -> None:
    """A token that the service issued does not authenticate at the service (attacks 11, 17)."""
    answer = refused(running, f"Authorization: Bearer {running.owner.caller_token}")
    granular = answer.body.split(b'"')[3]

    again = refused(running, b"Authorization: Bearer " + granular)

    assert (again.status, again.error["code"]) == (401, 190)
