"""Sealing what must be shown again: AES-256-GCM under a master key, bound to the row it lies in.

Format: version (1 byte) | master key id (4 bytes) | nonce (12 bytes) | ciphertext and tag.
The associated data is a list of texts that names the row; a sealed value copied to another row does not open.
"""

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = b"\x01"
KEY_BYTES = 32


class SealBroken(Exception):  # noqa: N818 - a verdict
    """A sealed value does not open: another master key, another row, or it was changed."""


class MasterKeys:
    """The master keys of a deployment: the first seals, all of them open.

    Raises ValueError for a key that is not 32 bytes, or an empty list.
    """

    __slots__ = ("_first", "_keys")

    def __init__(self, keys: list[bytes]) -> None:
        if not keys:
            raise ValueError("no master key")
        self._keys: dict[bytes, AESGCM] = {}
        for key in keys:
            if len(key) != KEY_BYTES:
                raise ValueError(f"a master key has {KEY_BYTES} bytes, not {len(key)}")
            self._keys[_key_id(key)] = AESGCM(key)
        self._first = next(iter(self._keys))

    def seal(self, plain: bytes, *row: str) -> bytes:
        """Seal `plain` for the row that `row` names (table, column, primary key ...)."""
        nonce = os.urandom(12)
        return VERSION + self._first + nonce + self._keys[self._first].encrypt(nonce, plain, _associated(row))

    def open(self, sealed: bytes, *row: str) -> bytes:
        """Open what was sealed for exactly this row; raises SealBroken otherwise."""
        key = self._keys.get(sealed[1:5])
        if sealed[:1] != VERSION or key is None:
            raise SealBroken(f"{'/'.join(row)}: sealed under a master key that is not in the key file")
        try:
            return key.decrypt(sealed[5:17], sealed[17:], _associated(row))
        except (InvalidTag, ValueError) as error:
            raise SealBroken(f"{'/'.join(row)}: the sealed value was changed or belongs to another row") from error

    def __repr__(self) -> str:
        return f"<MasterKeys {len(self._keys)}>"


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"multipartner master key id\0" + key).digest()[:4]


def _associated(row: tuple[str, ...]) -> bytes:
    # Length-prefixed, so that ("a", "bc") and ("ab", "c") are two rows.
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in row)
