"""Discovery and introspection: RFC 7517 key set, RFC 8414 metadata, RFC 7662 introspection for resource servers."""

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote_plus

import msgspec

from multipartner.domain.keyring import KEY_SET_MAX_AGE_S
from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.corridor import Corridor
from multipartner.issuing.grants import Grants
from multipartner.issuing.introspect import Introspector, StorageUnavailable
from multipartner.issuing.keyring import KeyRing
from multipartner.issuing.limits import Limiter
from multipartner.web.asgi import Headers, Receive, Scope, Send, answer, read_body
from multipartner.web.observing import Observer, Seen
from multipartner.wire import headers
from multipartner.wire.ask import Arrival

JWKS_PATH = "/.well-known/jwks.json"
METADATA_PATH = "/.well-known/oauth-authorization-server"
INTROSPECTION_PATH = "/oauth/introspect"

ROUTE = "introspect"
MAX_FORM_BYTES = 8192

_PUBLIC: tuple[tuple[bytes, bytes], ...] = (
    (b"content-type", b"application/json"),
    (b"cache-control", f"public, max-age={KEY_SET_MAX_AGE_S}".encode()),
    (b"access-control-allow-origin", b"*"),
    (b"x-content-type-options", b"nosniff"),
)

_encode = msgspec.json.Encoder().encode


class KeySet:
    """`GET /.well-known/jwks.json`: public, so that anybody can verify offline."""

    def __init__(self, grants: Grants, ring: KeyRing, observer: Observer) -> None:
        self._grants = grants
        self._ring = ring
        self._counts = observer.counts

    async def __call__(
        self, _scope: Scope, _receive: Receive, send: Send, arrival: Arrival, _named: Mapping[bytes, bytes]
    ) -> None:
        """Answer with the published keys, or 503 when they cannot be read."""
        try:
            self._grants.catch_up(arrival.now.boot_ns)
            await self._ring.load()
        except StorageUnavailable:
            await answer(send, 503, [*_PUBLIC[:1], (b"cache-control", b"no-store"), (b"retry-after", b"1")], b'{"keys":[]}')
            self._counts["jwks", 503, None] += 1
            return
        await answer(send, 200, list(_PUBLIC), _encode(self._ring.key_set(arrival.now.wall_s)))
        self._counts["jwks", 200, None] += 1


class Metadata:
    """`GET /.well-known/oauth-authorization-server` (RFC 8414). The issuer is the configured one, never the Host's."""

    def __init__(self, issuer: str, observer: Observer) -> None:
        self._counts = observer.counts
        self._body = _encode(
            {
                "issuer": issuer,
                "jwks_uri": issuer + JWKS_PATH,
                "introspection_endpoint": issuer + INTROSPECTION_PATH,
                "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
                "response_types_supported": [],
                "grant_types_supported": [],
                "authorization_details_types_supported": ["whatsapp_business_account"],
            }
        )

    async def __call__(
        self, _scope: Scope, _receive: Receive, send: Send, _arrival: Arrival, _named: Mapping[bytes, bytes]
    ) -> None:
        """Answer with the document."""
        await answer(send, 200, list(_PUBLIC), self._body)
        self._counts["metadata", 200, None] += 1


class Introspection:
    """`POST /oauth/introspect` (RFC 7662), for resource servers with their own credential (client_secret_basic)."""

    def __init__(self, introspect: Introspector, corridor: Corridor, limiter: Limiter, observer: Observer) -> None:
        self._introspect = introspect
        self._corridor = corridor
        self._limiter = limiter
        self._observer = observer

    async def __call__(self, _scope: Scope, receive: Receive, send: Send, arrival: Arrival, named: Mapping[bytes, bytes]) -> None:
        """Answer 200 with `active`, or an OAuth error (RFC 6749 section 5.2)."""
        limited = self._limiter.address(arrival.address, arrival.now)
        if limited is not None:
            self._note(limited[0], 429, arrival)
            await self._error(send, arrival, 429, "temporarily_unavailable", [(b"retry-after", str(limited[1]).encode())])
            return
        try:
            if not await self._authenticated(named.get(b"authorization")):
                self._limiter.failed(arrival.address, arrival.now)
                self._note(Refusal(Reason.CALLER_UNKNOWN, fact="no registered resource server's credential"), 401, arrival)
                await self._error(send, arrival, 401, "invalid_client", [(b"www-authenticate", b'Basic realm="introspection"')])
                return
            token = await _token_of(receive, named)
            if token is None:
                await self._error(send, arrival, 400, "invalid_request", [])
                return
            result = await self._introspect(token, arrival.now)
        except StorageUnavailable as error:
            self._note(Refusal(Reason.FACTS_UNAVAILABLE, fact=str(error)), 503, arrival)
            await self._error(send, arrival, 503, "temporarily_unavailable", [(b"retry-after", b"1")])
            return
        await answer(send, 200, _listed(arrival), _encode(result))
        self._observer.counts[ROUTE, 200, None] += 1

    async def _authenticated(self, authorization: bytes | None) -> bool:
        if authorization is None or authorization[:6] != b"Basic ":
            return False
        try:
            text = base64.b64decode(authorization[6:], validate=True).decode("ascii")
        except (binascii.Error, ValueError):
            return False
        server_id, _, secret = text.partition(":")
        return await self._introspect.resource_server(unquote_plus(server_id), unquote_plus(secret))

    def _note(self, refusal: Refusal, status: int, arrival: Arrival) -> None:
        """Let operators see a refusal as they see those of the contract's operation: a log line, and `explain`."""
        seen = Seen(arrival.trace_id, ROUTE, status, refusal.reason, refusal.fact, arrival.address)
        self._observer.refusal(seen, arrival.now.boot_ns)
        self._corridor.turned_away(refusal, arrival.trace_id, arrival.address, arrival.now)

    async def _error(self, send: Send, arrival: Arrival, status: int, error: str, more: Headers) -> None:
        await answer(send, status, _listed(arrival) + more, _encode({"error": error}))
        self._observer.counts[ROUTE, status, None] += 1


def _listed(arrival: Arrival) -> Headers:
    return [(b"content-type", b"application/json"), *headers.UNCACHED, (b"x-fb-request-id", arrival.trace_id.encode())]


async def _token_of(receive: Receive, named: Mapping[bytes, bytes]) -> str | None:
    """The one `token` of a form; None for another media type, a repeated or missing parameter, or a body too long."""
    if named.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/x-www-form-urlencoded":
        return None
    body = await read_body(receive, MAX_FORM_BYTES)
    if body is None:
        return None
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=8, errors="strict")
    except ValueError:
        return None
    tokens = [value for name, value in pairs if name == "token"]
    return tokens[0] if len(tokens) == 1 and len({name for name, _ in pairs}) == len(pairs) else None
