"""What the service prints is what the client reads, and what it must not misread."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multipartner.domain.model import Secret, Token
from multipartner.domain.reasons import Reason
from multipartner.wire import answer, headers, refusals

segments = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=200)


@given(segments, st.integers(0, answer.MAX_EXPIRES_AT_S))
def test_a_printed_answer_is_read_back(text: str, expires_at_s: int) -> None:
    """Token and expiry survive the wire, in the contract's body and in the guides' list of one."""
    body = answer.render(Token(Secret(text), "jti", expires_at_s))
    for printed in (body, b'{"data":[' + body + b"]}"):
        token, read_s = answer.parse(printed)
        assert (token.reveal(), read_s) == (text, expires_at_s)


def test_a_missing_expiry_is_read_as_never_said() -> None:
    """The guides' body has no expires_at: that is 0, not an expiry in 1970."""
    assert answer.parse(b'{"data":[{"access_token":"t"}]}')[1] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"data":[]}',
        b'{"data":[{"access_token":"a"},{"access_token":"b"}]}',
        b'{"access_token":""}',
        b'{"access_token":5,"expires_at":1}',
        b'{"access_token":"t","expires_at":-1}',
        b'{"access_token":"t","expires_at":"1735689600"}',
        b'{"access_token":"t","expires_at":1.5}',
        b'{"access_token":"t","expires_at":true}',
        b'{"access_token":"t","expires_at":1e300}',
    ],
)
def test_a_body_without_a_token_is_malformed(body: bytes) -> None:
    """A 200 that carries no token, several, or no readable expiry is told as malformed, never half read."""
    with pytest.raises(answer.AnswerMalformed):
        answer.parse(body)


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)
def test_a_printed_refusal_is_read_back(reason: Reason) -> None:
    """Every row of the table survives the wire with all its members, and its fbtrace_id is the request's."""
    row = refusals.ROWS[reason]
    error = refusals.parse(refusals.render(reason, "A" * 23))

    assert error is not None
    assert (error.message, error.type, error.code, error.fbtrace_id) == (row.message, row.type, row.code, "A" * 23)
    assert (error.error_subcode or 0, bool(error.is_transient)) == (row.error_subcode, row.is_transient)
    assert (error.error_user_title or "", error.error_user_msg or "") == (row.error_user_title, row.error_user_msg)


def test_what_is_no_envelope_is_none() -> None:
    """A body without an error envelope is not taken for one."""
    for body in (b"", b"{}", b'{"error":"x"}', b'{"error":{"message":"x"}}', b"<html>"):
        assert refusals.parse(body) is None


def test_only_transient_rows_invite_a_retry() -> None:
    """is_transient is true on limits and faults alone: a client that obeys it never hammers a refusal."""
    assert {refusals.ROWS[reason].status for reason in Reason if refusals.ROWS[reason].is_transient} == {429, 500}


def test_each_401_challenges_and_nothing_else_does() -> None:
    """RFC 6750: a 401 carries a Bearer challenge, with an error code only when a credential came."""
    for reason in Reason:
        challenge = headers.challenge(reason)
        assert (challenge is not None) == (refusals.ROWS[reason].status == 401)
    missing = headers.challenge(Reason.CALLER_MISSING)
    assert missing is not None
    assert b"error" not in missing[1]


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 61))
def test_usage_is_whole_percent_up_to_100(app: int, business: int, minutes: int) -> None:
    """Usage headers are JSON of the documented shape, whole numbers, never over 100."""
    shown = msgspec.json.decode(headers.app_usage(app)[1])
    told = msgspec.json.decode(headers.business_usage(b"7", business, minutes)[1])["7"][0]

    assert shown["call_count"] == min(app, 100)
    assert (told["call_count"], told["estimated_time_to_regain_access"]) == (min(business, 100), minutes)
