"""Discovery and introspection: RFC 7517 key set, RFC 8414 metadata, RFC 7662 introspection for resource servers."""

from collections.abc import Mapping

from multipartner.domain.keyring import KEY_SET_MAX_AGE_S
from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.grants import Grants
from multipartner.issuing.introspect import Introspection as IntrospectionAnswer
from multipartner.issuing.introspect import Introspector, StorageUnavailable
from multipartner.issuing.keyring import KeyRing
from multipartner.issuing.limits import Limiter
from multipartner.web.asgi import Receive, Scope, Send, answer
from multipartner.web.oauth_forms import (
    answer_headers,
    basic_of,
    client_in,
    encode,
    form_of,
    invalid_client,
    later,
    must_post,
    refusing,
    token_in,
)
from multipartner.web.observing import Observer
from multipartner.web.refusing import TurningAway
from multipartner.web.revocation import AUTH_METHODS, REVOCATION_PATH
from multipartner.wire.ask import Arrival

JWKS_PATH = "/.well-known/jwks.json"
METADATA_PATH = "/.well-known/oauth-authorization-server"
INTROSPECTION_PATH = "/oauth/introspect"

ROUTE = "introspect"

_PUBLIC: tuple[tuple[bytes, bytes], ...] = (
    (b"content-type", b"application/json"),
    (b"cache-control", f"public, max-age={KEY_SET_MAX_AGE_S}".encode()),
    (b"access-control-allow-origin", b"*"),
    (b"x-content-type-options", b"nosniff"),
)


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
        await answer(send, 200, list(_PUBLIC), encode(self._ring.key_set(arrival.now.wall_s)))
        self._counts["jwks", 200, None] += 1


class Metadata:
    """`GET /.well-known/oauth-authorization-server` (RFC 8414). The issuer is the configured one, never the Host's."""

    def __init__(self, issuer: str, observer: Observer) -> None:
        self._counts = observer.counts
        self._body = encode(
            {
                "issuer": issuer,
                "jwks_uri": issuer + JWKS_PATH,
                "introspection_endpoint": issuer + INTROSPECTION_PATH,
                "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
                "revocation_endpoint": issuer + REVOCATION_PATH,
                "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
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

    def __init__(self, introspect: Introspector, limiter: Limiter, turn_away: TurningAway) -> None:
        self._introspect = introspect
        self._limiter = limiter
        self._turn_away = turn_away

    async def __call__(self, scope: Scope, receive: Receive, send: Send, arrival: Arrival, named: Mapping[bytes, bytes]) -> None:
        """Answer 200 with `active`, or an OAuth error (RFC 6749 section 5.2)."""
        async with refusing(send, self._turn_away, ROUTE, arrival):
            must_post(scope["method"])
            result = await self._answered(receive, arrival, named)
            await answer(send, 200, [(b"content-type", b"application/json"), *answer_headers(arrival)], encode(result))
            self._turn_away.observer.counts[ROUTE, 200, None] += 1

    async def _answered(self, receive: Receive, arrival: Arrival, named: Mapping[bytes, bytes]) -> IntrospectionAnswer:
        limited = self._limiter.address(arrival.address, arrival.now)
        if limited is not None:
            raise later(429, *limited)
        known = basic_of(named.get(b"authorization"))
        if known is None or not await self._introspect.resource_server(*known):
            self._limiter.failed(arrival.address, arrival.now)
            refusal = Refusal(Reason.CALLER_UNKNOWN, fact="no registered resource server's credential")
            raise invalid_client(refusal, "introspection")
        form = await form_of(receive, named)
        client_in(form, named.get(b"authorization"))  # as in the header, or not there: RFC 6749 section 2.3 knows one way at once
        return await self._introspect(token_in(form), arrival.now)
