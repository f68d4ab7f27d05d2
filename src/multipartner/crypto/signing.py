"""Ed25519 compact JWS for granular tokens (RFC 7515, 8037), made and checked on bytes.

A header is never parsed: the only headers that exist are the ones we would write ourselves, one for each key of the
ring, and the header segment is the look-up key. So `alg` belongs to the key (attack 20), and `kid`, `jku`, `jwk`, `crit`
or a duplicate member of an attacker's making meet no code at all (attacks 21, 22).
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM = "EdDSA"
"""Not RFC 9864's `Ed25519`: PyJWT knows no other name for it."""

TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type
MAX_TOKEN_CHARS = 4096


class TokenRefused(Exception):  # noqa: N818 - a verdict
    """Not a token that this ring signed; the text says what failed, never the token."""


class _Header(msgspec.Struct):
    typ: str
    alg: str
    kid: str


class Signer:
    """One private key, ready to sign."""

    __slots__ = ("_header", "_private", "kid")

    def __init__(self, kid: str, private_key: bytes) -> None:
        self.kid = kid
        self._private = Ed25519PrivateKey.from_private_bytes(private_key)
        self._header = header_segment(kid)

    def sign(self, payload: bytes) -> str:
        """Return `header.payload.signature`; the same payload always gives the same text."""
        signed = self._header + b"." + _b64(payload)
        return (signed + b"." + _b64(self._private.sign(signed))).decode()

    def __repr__(self) -> str:
        return f"<Signer {self.kid}>"


class Verifier:
    """The public keys of a ring."""

    __slots__ = ("_by_header",)

    def __init__(self, public_keys: Mapping[str, bytes]) -> None:
        self._by_header = {header_segment(kid): Ed25519PublicKey.from_public_bytes(raw) for kid, raw in public_keys.items()}

    def payload(self, token: str) -> bytes:
        """Return the payload's bytes if the signature holds; raises TokenRefused otherwise."""
        # Sizes first: nothing is decoded of a text that cannot be ours.
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise TokenRefused("not of a token's form")
        parts = token.encode().split(b".")
        if len(parts) != 3:
            raise TokenRefused("not of a token's form")
        header, payload, signature = parts
        key = self._by_header.get(header)
        if key is None:
            raise TokenRefused("no key of the ring has this header")
        try:
            key.verify(_unb64(signature), header + b"." + payload)
        except InvalidSignature as error:
            raise TokenRefused("the signature does not hold") from error
        return _unb64(payload)


def new_private_key() -> tuple[str, bytes, bytes]:
    """Make a key from the operating system's randomness: (kid, private key, public key), each key 32 bytes."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return thumbprint(public), private.private_bytes_raw(), public


def thumbprint(public_key: bytes) -> str:
    """RFC 7638 thumbprint of an Ed25519 public key: its `kid`."""
    canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{_b64(public_key).decode()}"}}'
    return _b64(hashlib.sha256(canonical.encode()).digest()).decode()


def jwk(kid: str, public_key: bytes) -> dict[str, str]:
    """Public key as a JWK (RFC 8037) for the published key set."""
    return {"kty": "OKP", "crv": "Ed25519", "x": _b64(public_key).decode(), "kid": kid, "alg": ALGORITHM, "use": "sig"}


def public_key_of(key: Mapping[Any, object]) -> tuple[str, bytes] | None:
    """(kid, 32 bytes) of a JWK that may verify granular tokens; None for any other key of a set."""
    kid, x = key.get("kid"), key.get("x")
    if key.get("kty") != "OKP" or key.get("crv") != "Ed25519" or key.get("alg") != ALGORITHM or key.get("use") != "sig":
        return None
    if not isinstance(kid, str) or not isinstance(x, str):
        return None
    try:
        raw = _unb64(x.encode())
    except TokenRefused:
        return None
    return (kid, raw) if len(raw) == 32 and thumbprint(raw) == kid else None


def header_segment(kid: str) -> bytes:
    """The one header there is for this key, encoded."""
    return _b64(msgspec.json.encode(_Header(TOKEN_TYPE, ALGORITHM, kid)))


def _b64(raw: bytes) -> bytes:
    # A token's payload is long: msgspec writes base64 in half the time, and `replace` of what is not there costs nothing.
    return msgspec.json.encode(raw)[1:-1].rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_")


def _unb64(text: bytes) -> bytes:
    try:
        raw = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise TokenRefused("not base64url") from error
    # Two texts must not mean one signature: unused bits set, or padding sent along, is another text.
    if _b64(raw) != text:
        raise TokenRefused("not canonical base64url")
    return raw
