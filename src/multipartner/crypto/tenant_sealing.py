"""Sealing one tenant's token for a shared file: AES-256-GCM under a key of its own, bound to everything its row says of it.

Format: format (1 byte) | algorithm (1) | root key id (4) | nonce (12) | ciphertext and tag (16).
The key is HKDF-Expand (RFC 5869, SHA-256) of a root key over tenant and generation, so that it seals one token, and a nonce that
comes twice (a machine restored from a snapshot) tells nothing of anybody else's. The associated data are format, algorithm, root
key id and all of `Binding`, each with its length: what is copied to another tenant, generation or expiry does not open.
"""

import hashlib
import os
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from multipartner.crypto.sealing import KEY_BYTES, SealBroken

__all__ = ["KEY_BYTES", "Binding", "SealBroken", "TenantKeys", "id_in", "key_id_of"]

_HEAD: Final = b"\x01\x01"  # format 1, AES-256-GCM under a derived key
_ID_AT: Final = len(_HEAD)
_NONCE_AT: Final = _ID_AT + 4
_TEXT_AT: Final = _NONCE_AT + 12


class Binding(NamedTuple):
    """What a sealed token is bound to: the tenant's canonical bytes, and what its row says in clear (Unix seconds)."""

    tenant: bytes
    generation: int
    expires_at_s: int
    refresh_at_s: int
    purpose: bytes = b"token"


class TenantKeys:
    """The root keys of a token store: the first seals, all of them open. Also the way in for keys that a KMS unwraps.

    Raises ValueError for a key that is not 32 bytes, two keys of one id, or an empty list.
    """

    __slots__ = ("_first", "_keys")

    def __init__(self, keys: list[bytes]) -> None:
        if not keys:
            raise ValueError("no key")
        self._keys: dict[bytes, bytes] = {}
        for key in keys:
            if len(key) != KEY_BYTES:
                raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
            if self._keys.setdefault(key_id_of(key), key) != key:
                raise ValueError("two keys have one id; make another")
        self._first = next(iter(self._keys))

    @property
    def ids(self) -> tuple[bytes, ...]:
        """Ids of all keys, 4 bytes each; the first is the one that seals."""
        return tuple(self._keys)

    def seal(self, plain: bytes, binding: Binding) -> bytes:
        """Seal under the first key, for exactly this binding."""
        nonce = os.urandom(_TEXT_AT - _NONCE_AT)
        head = _HEAD + self._first
        return head + nonce + _cipher(self._keys[self._first], binding).encrypt(nonce, plain, _associated(head, binding))

    def open(self, sealed: bytes, binding: Binding) -> bytes:
        """Open what was sealed for exactly this binding; raises SealBroken otherwise. Only the key that is named is tried."""
        key = self._keys.get(sealed[_ID_AT:_NONCE_AT])
        if sealed[:_ID_AT] != _HEAD or key is None:
            raise SealBroken("sealed under a key that is not in the ring")
        try:
            return _cipher(key, binding).decrypt(
                sealed[_NONCE_AT:_TEXT_AT], sealed[_TEXT_AT:], _associated(sealed[:_NONCE_AT], binding)
            )
        except (InvalidTag, ValueError) as error:
            raise SealBroken("the sealed value was changed or belongs to another row") from error

    def __repr__(self) -> str:
        return f"<TenantKeys {len(self._keys)}>"


def key_id_of(key: bytes) -> bytes:
    """Return the 4 bytes by which a root key is named in what it sealed."""
    return hashlib.sha256(b"multipartner token store key id\0" + key).digest()[:4]


def id_in(sealed: bytes) -> bytes:
    """Return the id of the root key that a sealed value names."""
    return sealed[_ID_AT:_NONCE_AT]


def _cipher(root: bytes, binding: Binding) -> AESGCM:
    info = _lengths(b"multipartner token store", binding.purpose, binding.tenant, str(binding.generation).encode())
    return AESGCM(HKDFExpand(SHA256(), KEY_BYTES, info).derive(root))


def _associated(head: bytes, binding: Binding) -> bytes:
    numbers = (binding.generation, binding.expires_at_s, binding.refresh_at_s)
    return _lengths(head, binding.tenant, *(str(number).encode() for number in numbers), binding.purpose)


def _lengths(*parts: bytes) -> bytes:
    # Length-prefixed, so that ("a", "bc") and ("ab", "c") are two bindings.
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
