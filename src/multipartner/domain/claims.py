"""The claims of a granular token (a profile of RFC 9068), in one fixed order, and what makes them good.

Same facts, same bytes: nothing here depends on a library's member order, a clock or chance.
"""

import binascii
import hashlib

import msgspec

from multipartner.domain.lifetime import Window
from multipartner.domain.model import Permit, WabaId, names_of

SKEW_S = 60
"""How far in the future `iat` may lie for a verifier (seconds). `exp` is never stretched by it."""

MAX_TOKEN_BYTES = 2048

WABA_DETAIL = "whatsapp_business_account"


class Detail(msgspec.Struct, frozen=True):
    """One object of `authorization_details` (RFC 9396): what may be done on which WABAs."""

    type: str
    actions: tuple[str, ...]
    waba_ids: tuple[WabaId, ...]


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The payload. Times are Unix seconds; without `authorization_details` the WABA list is to be had by introspection."""

    iss: str
    aud: str
    sub: str
    client_id: str
    iat: int
    exp: int
    scope: str
    solution_id: str
    business_id: str
    gen: tuple[str, str, str, str, str]
    authorization_details: tuple[Detail, ...] | None = None
    jti: str = ""


class ClaimsRefused(Exception):  # noqa: N818 - a verdict, not a fault
    """The claims are not good here and now; the text says which one."""


class Expired(ClaimsRefused):
    """They are this deployment's, and no longer in force."""


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Claims)


def claims_for(permit: Permit, window: Window, issuer: str, audience: str) -> Claims:
    """State what the permit allows in this window; `jti` is still empty."""
    tenant, facts = permit.tenant, permit.facts
    gen = facts.generations
    return Claims(
        iss=issuer,
        aud=audience,
        sub=f"{tenant.business_id}.{tenant.app_id}",
        client_id=tenant.app_id,
        iat=max(window.starts_at_s, facts.changed_at_s),
        exp=window.expires_at_s,
        scope=" ".join(names_of(permit.permissions)),
        solution_id=tenant.solution_id,
        business_id=tenant.business_id,
        gen=(gen.deployment, gen.app, gen.solution, gen.share, gen.grant),
        authorization_details=details_for(permit),
    )


def details_for(permit: Permit) -> tuple[Detail, ...]:
    """One object for each set of actions; consent covers a whole share, so that is one."""
    share = permit.facts.share
    return (Detail(WABA_DETAIL, names_of(permit.permissions), share.waba_ids if share else ()),)


def encode(claims: Claims) -> tuple[bytes, str]:
    """Return the payload's bytes and its `jti`: 128 bits of a hash over all other claims."""
    bare = _encoder.encode(claims)
    digest = hashlib.sha256(b"multipartner jti\0" + bare).digest()[:16]
    jti = binascii.b2a_base64(digest, newline=False).rstrip(b"=").translate(_URL_SAFE).decode()
    return bare[:-1] + b',"jti":"' + jti.encode() + b'"}', jti


def decode(payload: bytes) -> Claims:
    """Read a payload whose signature holds; raises ClaimsRefused when it is not one of ours, to the byte."""
    try:
        claims = _decoder.decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ClaimsRefused("not the claims of a granular token") from error
    # Re-encoding catches what decoders forgive: duplicate members, 1.0 for 1, spaces, another order.
    if _encoder.encode(claims) != payload:
        raise ClaimsRefused("not encoded as a granular token is")
    return claims


def check(claims: Claims, issuer: str, audience: str, wall_s: int) -> None:
    """Raise ClaimsRefused unless the claims are of this deployment and in force at `wall_s` (Unix seconds)."""
    if claims.iss != issuer:
        raise ClaimsRefused("iss is another issuer")
    if claims.aud != audience:
        raise ClaimsRefused("aud is another audience")
    if wall_s >= claims.exp:
        raise Expired("expired")
    if claims.iat > wall_s + SKEW_S:
        raise ClaimsRefused("iat is in the future")
    if claims.iat >= claims.exp:
        raise ClaimsRefused("exp is not after iat")
