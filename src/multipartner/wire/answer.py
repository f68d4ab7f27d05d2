"""The 200 body (contract: WhatsAppBusinessSolutionAccessToken), printed here and parsed here."""

from typing import cast

import msgspec

from multipartner.domain.model import Secret, Token

MAX_EXPIRES_AT_S = 1 << 53
"""Beyond this a number is no longer whole in every JSON reader, and is no Unix second of ours."""


class AnswerMalformed(Exception):  # noqa: N818 - a verdict
    """A 200 body that carries no token."""


def render(token: Token) -> bytes:
    """Print the contract's two members. A token's alphabet needs no escapes, nor does an integer."""
    return f'{{"access_token":"{token.text.reveal()}","expires_at":{token.expires_at_s}}}'.encode()


def relay(token: Secret, expires_at_s: int) -> bytes:
    """Print a token of somebody else's making, whose alphabet nobody knows: the same two members, escaped where needed."""
    return b'{"access_token":' + msgspec.json.encode(token.reveal()) + b',"expires_at":%d}' % expires_at_s


def parse(body: bytes) -> tuple[Secret, int]:
    """Read (token, expires_at in Unix seconds, 0 = never said) from the contract's body or the guides' `{"data":[...]}`.

    Raises AnswerMalformed for anything else.
    """
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise AnswerMalformed("not JSON") from error
    if isinstance(document, dict) and isinstance(document.get("data"), list) and len(document["data"]) == 1:
        document = document["data"][0]
    if not isinstance(document, dict):
        raise AnswerMalformed("not an object")
    fields = cast("dict[str, object]", document)
    token, expires_at = fields.get("access_token"), fields.get("expires_at", 0)
    if not isinstance(token, str) or not token:
        raise AnswerMalformed("no access_token")
    if not isinstance(expires_at, int) or isinstance(expires_at, bool) or not 0 <= expires_at <= MAX_EXPIRES_AT_S:
        raise AnswerMalformed("expires_at is not Unix seconds")
    return Secret(token), expires_at
