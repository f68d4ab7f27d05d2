"""What the OAuth endpoints share: forms in, errors of RFC 6749 section 5.2 out, refusals seen by operators as everywhere."""

import base64
import binascii
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

import msgspec

from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.introspect import StorageUnavailable
from multipartner.web.asgi import Headers, Receive, Send, answer, read_body
from multipartner.web.refusing import TurningAway
from multipartner.wire import headers
from multipartner.wire.ask import Arrival

MAX_FORM_BYTES: Final = 8192
_MOST_FIELDS: Final = 8

encode: Final = msgspec.json.Encoder().encode


class OAuthRefused(Exception):  # noqa: N818 - a verdict
    """What the client is told: a status, an `error` and headers; and for the operator the refusal behind it."""

    def __init__(self, status: int, error: str, refusal: Refusal, more: Headers | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.refusal = refusal
        self.more: Headers = more or []


def invalid_request(fact: str, reason: Reason = Reason.MALFORMED_BODY) -> OAuthRefused:
    """The request cannot be read in one way alone."""
    return OAuthRefused(400, "invalid_request", Refusal(reason, fact=fact))


def invalid_client(refusal: Refusal, realm: str) -> OAuthRefused:
    """Whoever asks is not known, in the same words for all the ways in which that can be (RFC 7617's challenge)."""
    return OAuthRefused(401, "invalid_client", refusal, [(b"www-authenticate", f'Basic realm="{realm}"'.encode())])


def later(status: int, refusal: Refusal, retry_after_s: int = 1) -> OAuthRefused:
    """429 or 503: not now."""
    return OAuthRefused(status, "temporarily_unavailable", refusal, [(b"retry-after", str(retry_after_s).encode())])


def must_post(method: str) -> None:
    """Raise OAuthRefused for any other method: a secret in a form never stands in an address."""
    if method != "POST":
        raise OAuthRefused(405, "invalid_request", Refusal(Reason.METHOD_NOT_ALLOWED), [(b"allow", b"POST")])


async def form_of(receive: Receive, named: Mapping[bytes, bytes]) -> dict[str, str]:
    """Read a form of names that come once each; raises OAuthRefused for another media type or a body that is too long."""
    if named.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/x-www-form-urlencoded":
        raise invalid_request("the body is no form")
    body = await read_body(receive, MAX_FORM_BYTES)
    if body is None:
        raise invalid_request(f"the form has more than {MAX_FORM_BYTES} bytes")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise invalid_request("the body is not a form in UTF-8") from error
    found = dict(pairs)
    if len(found) != len(pairs):
        raise invalid_request("a parameter comes twice", Reason.REPEATED_PARAMETER)
    return found


def token_in(form: Mapping[str, str]) -> str:
    """The `token`; raises OAuthRefused when there is none."""
    if "token" not in form:
        raise OAuthRefused(400, "invalid_request", Refusal(Reason.MISSING_PARAMETER, parameter="token"))
    return form["token"]


def basic_of(authorization: bytes | None) -> tuple[str, str] | None:
    """Id and secret of `client_secret_basic` (RFC 6749 section 2.3.1); None when the header has another form."""
    if authorization is None or authorization[:6] != b"Basic ":
        return None
    try:
        text = base64.b64decode(authorization[6:], validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    name, _, secret = text.partition(":")
    return unquote_plus(name), unquote_plus(secret)


def client_in(form: Mapping[str, str], authorization: bytes | None) -> tuple[str, str]:
    """Id and secret of the client, from the header or from the form, never from both; empty texts when there are none.

    Raises OAuthRefused.
    """
    if authorization is None:
        return form.get("client_id", ""), form.get("client_secret", "")
    known = basic_of(authorization) or ("", "")
    if "client_secret" in form or form.get("client_id", known[0]) != known[0]:
        raise invalid_request("the client authenticates in two ways", Reason.TWO_CREDENTIALS)
    return known


def answer_headers(arrival: Arrival) -> Headers:
    """Headers of every answer, without a media type: none may be kept."""
    return [*headers.UNCACHED, (b"x-fb-request-id", arrival.trace_id.encode())]


@asynccontextmanager
async def refusing(send: Send, turn_away: TurningAway, route: str, arrival: Arrival) -> AsyncIterator[None]:
    """Answer what is raised within: OAuthRefused, and StorageUnavailable as 503."""
    try:
        yield
    except OAuthRefused as refused:
        await _refuse(send, turn_away, route, arrival, refused)
    except StorageUnavailable as error:
        away = later(503, Refusal(Reason.FACTS_UNAVAILABLE, fact=str(error)))
        await _refuse(send, turn_away, route, arrival, away)


async def _refuse(send: Send, turn_away: TurningAway, route: str, arrival: Arrival, refused: OAuthRefused) -> None:
    """Answer, and let operators see it as they see other refusals."""
    listed: Headers = [(b"content-type", b"application/json"), *answer_headers(arrival), *refused.more]
    await answer(send, refused.status, listed, encode({"error": refused.error}))
    turn_away.note(route, refused.status, refused.refusal, arrival)
