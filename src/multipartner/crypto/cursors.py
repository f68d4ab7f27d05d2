"""Page cursors: a position in a list that nobody but us can read, make or carry elsewhere (attack 37).

Format: base64url of nonce (12 bytes) | AES-256-GCM of (expiry, 8 bytes | texts with NUL between). The key is drawn from the
deployment's and from whose list of what it is, so a cursor of one list is noise to any other, and no key seals many.
"""

import base64
import binascii
import hmac
import os
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LIFETIME_S: Final = 86_400
"""For so long after it was given a cursor is good."""

MOST_CHARS: Final = 512

_LABEL: Final = b"multipartner page cursor\0"
_NONCE_BYTES: Final = 12
_EXPIRY_BYTES: Final = 8


class CursorRefused(Exception):  # noqa: N818 - a verdict
    """Not a cursor of this list and this viewer under this key, or one whose time is over."""


def seal_cursor(key: bytes, bound_to: Sequence[str], position: Sequence[str], now_s: int) -> str:
    """Make a cursor for one list: `bound_to` says whose and of what, `position` holds no NUL; `now_s` is Unix seconds."""
    nonce = os.urandom(_NONCE_BYTES)
    plain = (now_s + LIFETIME_S).to_bytes(_EXPIRY_BYTES, "big") + "\0".join(position).encode()
    return base64.urlsafe_b64encode(nonce + _cipher(key, bound_to).encrypt(nonce, plain, None)).rstrip(b"=").decode()


def open_cursor(key: bytes, bound_to: Sequence[str], text: str, now_s: int) -> tuple[str, ...]:
    """Return the position. Raises CursorRefused."""
    if len(text) > MOST_CHARS:
        raise CursorRefused("too long")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        plain = _cipher(key, bound_to).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None)
    except (binascii.Error, InvalidTag, ValueError) as error:
        raise CursorRefused("not one of this list") from error
    # Bits that the alphabet leaves over: two texts would be one cursor.
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise CursorRefused("not as it was written")
    if int.from_bytes(plain[:_EXPIRY_BYTES], "big") <= now_s:
        raise CursorRefused("expired")
    return tuple(plain[_EXPIRY_BYTES:].decode().split("\0"))


def _cipher(key: bytes, bound_to: Sequence[str]) -> AESGCM:
    # Length-prefixed, so that ("a", "bc") and ("ab", "c") are two lists.
    parts = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in bound_to)
    return AESGCM(hmac.digest(key, _LABEL + parts, "sha256"))
