"""Opaque credentials of our own making: `prefix_identifier_secret_checksum`.

`mpc_` is a caller token, `mprs_` a resource server's secret, `mpb_` a caller token of a broker. The identifier finds the row,
the secret has 256 random bits, the checksum lets a leak scanner (and us, before any look-up) tell one from a random string.
A store keeps only an HMAC of it.
"""

import enum
import hmac
import re
import secrets
import string
import zlib

import msgspec

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
IDENTIFIER_CHARS = 16
SECRET_CHARS = 43
"""62 ** 43 > 2 ** 256."""


class CredentialType(enum.Enum):
    """What a credential is for; the value is its prefix and separates the domains of the HMAC."""

    CALLER = "mpc"
    RESOURCE_SERVER = "mprs"
    BROKER = "mpb"


PATTERN = r"mp(?:b|c|rs)_[0-9A-Za-z]{16}_[0-9A-Za-z]{43}_[0-9a-f]{8}"
"""For leak scanners; the checksum is CRC-32 of all before its underscore, in hex."""

_FORMS = {kind: re.compile(rf"{kind.value}_([0-9A-Za-z]{{16}})_[0-9A-Za-z]{{43}}_[0-9a-f]{{8}}") for kind in CredentialType}


class MacKey(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A key for fingerprints of credentials; its id stands in each row it made."""

    id: str
    key: bytes

    def __repr__(self) -> str:
        return f"<MacKey {self.id}>"


def new_credential(kind: CredentialType) -> tuple[str, str]:
    """Make one: (identifier, whole text). The text is to be shown once and not kept."""
    identifier = "".join(secrets.choice(ALPHABET) for _ in range(IDENTIFIER_CHARS))
    secret = "".join(secrets.choice(ALPHABET) for _ in range(SECRET_CHARS))
    body = f"{kind.value}_{identifier}_{secret}"
    return identifier, f"{body}_{zlib.crc32(body.encode()):08x}"


def new_app_secret() -> str:
    """128 random bits in hex, the form that SDKs know an app secret in."""
    return secrets.token_hex(16)


def identifier_of(text: str, kind: CredentialType) -> str | None:
    """The identifier, if the text has the form and the checksum of this kind of credential."""
    match = _FORMS[kind].fullmatch(text)
    if match is None or zlib.crc32(text[:-9].encode()) != int(text[-8:], 16):
        return None
    return match[1]


def mac_of(text: str, kind: CredentialType, key: MacKey) -> bytes:
    """HMAC-SHA-256 of the whole text, separated by kind."""
    return hmac.digest(key.key, kind.value.encode() + b"\0" + text.encode(), "sha256")


def mac_matches(text: str, kind: CredentialType, key: MacKey, mac: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(mac_of(text, kind, key), mac)


def appsecret_proof(app_secret: str, token: str) -> str:
    """Hex HMAC-SHA-256 of the token under the app's secret (facts: graph-wire 3, sure: vendor page and SDK runs)."""
    return hmac.digest(app_secret.encode(), token.encode(), "sha256").hex()


def proof_matches(proof: str, app_secret: str, token: str) -> bool:
    """Compare in constant time; a proof that is not ASCII is simply wrong."""
    return proof.isascii() and hmac.compare_digest(proof.lower().encode(), appsecret_proof(app_secret, token).encode())


def new_generation() -> str:
    """64 random bits as 11 base64url characters, for a row whose tokens must die."""
    return secrets.token_urlsafe(8)
