"""Station 1: bytes of a request to an `Ask`, or the reason why it is none (contract: getSolutionAccessToken, parameters)."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote_plus, unquote_to_bytes

import msgspec

from multipartner.domain.model import Ask, BusinessId, Instant, Secret, SolutionId
from multipartner.domain.reasons import Reason, Refusal

# `[0-9]` on bytes is ASCII only; `fullmatch` has no `$` that forgives a newline (attacks 1, 2).
VERSION_PATTERN = r"v[0-9]+\.[0-9]+"
ID_PATTERN = "[0-9]+"

_PATH = re.compile(f"/({VERSION_PATTERN})/({ID_PATTERN})/access_token".encode())
_SHAPE = re.compile(rb"/([^/]*)/([^/]*)/access_token")
_VERSION = re.compile(VERSION_PATTERN.encode())
_DIGITS = re.compile(ID_PATTERN.encode())
_PLAIN_QUERY = re.compile(f"business_id=({ID_PATTERN})".encode())
BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")

DECIDING = frozenset({b"business_id", b"access_token", b"appsecret_proof"})
"""Query parameters that decide something; any other is ignored, as the Graph API ignores it."""

NO_TOKEN = Secret("")


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """What is known of a request before it is read. `address` is the client's, behind trusted proxies the forwarded one."""

    trace_id: str
    address: str
    now: Instant


def is_plain(query: bytes) -> bool:
    """Say whether a query is a business_id alone, unescaped: the usual one, and one that holds no secret."""
    return _PLAIN_QUERY.fullmatch(query) is not None


class AskParser:
    """Reads requests for a list of served versions."""

    __slots__ = ("_answering",)

    def __init__(self, answering: Mapping[str, str]) -> None:
        self._answering = {asked.encode(): answered for asked, answered in answering.items()}

    def __call__(self, raw_path: bytes, query: bytes, authorization: bytes | None, arrival: Arrival) -> Ask | Refusal:
        """Parse path (percent-encoded, as received), query and the one Authorization header."""
        path = _PATH.fullmatch(raw_path)
        if path is None:
            return self.bad_path(raw_path) or Refusal(Reason.UNKNOWN_PATH)
        version = self._answering.get(path[1])
        if version is None:
            return Refusal(Reason.UNKNOWN_VERSION)
        plain = _PLAIN_QUERY.fullmatch(query)
        if plain is not None:
            business_id, token, proof = plain[1], None, None
        else:
            found = _deciding(query)
            if isinstance(found, Refusal):
                return found
            business_id, token, proof = found
            if token is not None and authorization is not None:
                return Refusal(Reason.TWO_CREDENTIALS)
        return Ask(
            arrival.trace_id,
            version,
            SolutionId(path[2].decode()),
            BusinessId(business_id.decode()),
            bearer_of(authorization) if token is None else Secret(token.decode("latin-1")),
            None if proof is None else Secret(proof.decode("latin-1")),
            token is not None,
            arrival.address,
            arrival.now,
        )

    def bad_path(self, raw_path: bytes) -> Refusal | None:
        """Say what is wrong with a path; None when nothing is."""
        shape = _SHAPE.fullmatch(raw_path)
        if shape is None:
            return Refusal(Reason.UNKNOWN_PATH)
        if _VERSION.fullmatch(shape[1]) is None:
            return Refusal(Reason.MALFORMED_VERSION)
        if shape[1] not in self._answering:
            return Refusal(Reason.UNKNOWN_VERSION)
        return None if _DIGITS.fullmatch(shape[2]) else Refusal(Reason.MALFORMED_SOLUTION_ID)


def bearer_of(authorization: bytes | None) -> Secret | None:
    """The token of an Authorization header; text that is no token's when the header has another form."""
    if authorization is None:
        return None
    # Another scheme, two spaces, a space inside: a credential was sent, and it is not of a caller token's form.
    return Secret(authorization[7:].decode("latin-1")) if authorization[:7] == b"Bearer " else NO_TOKEN


def unquoted(query: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and values of a query whose escapes are whole, in their order."""
    for part in query.split(b"&"):
        name, _, value = part.replace(b"+", b" ").partition(b"=")
        yield unquote_to_bytes(name), unquote_to_bytes(value)


def _deciding(query: bytes) -> tuple[bytes, bytes | None, bytes | None] | Refusal:
    """Pick business_id, access_token, appsecret_proof; refuse what two parsers could read in two ways (attack 6)."""
    if BAD_ESCAPE.search(query):
        return Refusal(Reason.MALFORMED_QUERY)
    values: dict[bytes, bytes] = {}
    for name, value in unquoted(query):
        bare = name.partition(b"[")[0]
        if bare not in DECIDING:
            continue
        if name != bare or bare in values:
            return Refusal(Reason.REPEATED_PARAMETER, fact=bare.decode())
        values[bare] = value
    business_id = values.get(b"business_id")
    if business_id is None:
        return Refusal(Reason.MISSING_BUSINESS_ID)
    if _DIGITS.fullmatch(business_id) is None:
        return Refusal(Reason.MALFORMED_BUSINESS_ID)
    return business_id, values.get(b"access_token"), values.get(b"appsecret_proof")


def request_target(version: str, solution_id: str, business_id: str) -> str:
    """Write the path and query that `AskParser` reads."""
    return f"/{version}/{solution_id}/access_token?business_id={quote_plus(business_id)}"
