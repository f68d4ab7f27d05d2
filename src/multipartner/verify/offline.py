"""Verification with the published key set alone.

Sees signature, expiry and scope, not withdrawals: a token withdrawn since stays good here for the rest of its life (one
hour unless set otherwise). Where a withdrawal must count at once, ask by introspection.
"""

from collections.abc import Mapping, Sequence

from multipartner.crypto.signing import TokenRefused as SignatureRefused
from multipartner.crypto.signing import Verifier, public_key_of
from multipartner.domain.claims import WABA_DETAIL, Claims, ClaimsRefused, check, decode
from multipartner.domain.model import Permission


class TokenRefused(Exception):  # noqa: N818 - a verdict
    """Not a granular token of this deployment, or not in force now. The text says why, never the token."""


class NotPermitted(Exception):  # noqa: N818 - a verdict
    """A good token, but not for this WABA or not for this permission."""


class NeedsIntrospection(Exception):  # noqa: N818 - a verdict
    """The share is too large for the token to list its WABAs (over 2 kB): only introspection can tell."""


class OfflineVerifier:
    """Verifies against one key set (the JSON document of `/.well-known/jwks.json`, RFC 7517).

    `issuer` and `audience` must equal the token's `iss` and `aud`. Keys of the set that are not Ed25519 signing keys of
    ours are passed over. Raises ValueError when none is left.
    """

    def __init__(self, key_set: Mapping[str, object], *, issuer: str, audience: str) -> None:
        listed = key_set.get("keys")
        candidates: Sequence[object] = listed if isinstance(listed, list) else ()
        found = (public_key_of(key) for key in candidates if isinstance(key, Mapping))
        keys = dict(key for key in found if key is not None)
        if not keys:
            raise ValueError("the key set has no Ed25519 signing key")
        self._verifier = Verifier(keys)
        self._issuer = issuer
        self._audience = audience

    def verify(self, token: str, *, wall_s: int) -> Claims:
        """Return the claims of a token in force at `wall_s` (Unix seconds); raises TokenRefused."""
        try:
            claims = decode(self._verifier.payload(token))
            check(claims, self._issuer, self._audience, wall_s)
        except (SignatureRefused, ClaimsRefused) as error:
            raise TokenRefused(str(error)) from error
        return claims

    def require(self, claims: Claims, waba_id: str, permission: Permission) -> None:
        """Raise NotPermitted, or NeedsIntrospection, unless verified `claims` allow this on this WABA."""
        if permission.value not in claims.scope.split(" "):
            raise NotPermitted("the token does not carry this permission")
        if claims.authorization_details is None:
            raise NeedsIntrospection("the token lists no WABAs")
        for detail in claims.authorization_details:
            if detail.type == WABA_DETAIL and permission.value in detail.actions and waba_id in detail.waba_ids:
                return
        raise NotPermitted("the token is not for this WABA")
