"""The token store's keys: a file of this user's alone, how it is made, and how a key comes and goes without a lost token."""

import secrets
from pathlib import Path
from typing import Final

import msgspec

from multipartner import keyfile
from multipartner.crypto.tenant_sealing import KEY_BYTES, TenantKeys, key_id_of
from multipartner.keyfile import KeyFileError

__all__ = ["KeyFileError", "KeyUse", "TenantKeys", "create_keyring", "drop_key", "read_keyring", "rotate_keyring"]

_STORE: Final = keyfile.Kind(
    "token store key",
    "make one with `create_keyring`",
    "remove it and make one with `create_keyring`; what is in the store will be fetched anew",
    "`create_keyring`",
)


class KeyUse(msgspec.Struct, frozen=True):
    """What a store holds under one key. `last_end_s` is Unix seconds: then the last of its rows has ended; 0 without a row."""

    key_id: str
    rows: int
    last_end_s: int
    seals: bool
    """It is the key that seals."""
    opens: bool
    """It is in the ring; rows under a key that is not are fetched anew when they are wanted."""


def create_keyring(path: Path) -> None:
    """Write a key file (0600) with one new key. Raises KeyFileError if anything is there already."""
    keyfile.create(path, _STORE)


def read_keyring(path: Path) -> TenantKeys:
    """Read the keys. Raises KeyFileError unless it is a plain file of this user's alone that holds nothing but keys."""
    return TenantKeys(keyfile.read_keys(path, _STORE))


def rotate_keyring(path: Path) -> str:
    """Put a new key first and return its id. Tokens are sealed under it as they are refreshed; the old keys still open.

    Processes use it from their next start. Raises KeyFileError.
    """
    new = secrets.token_bytes(KEY_BYTES)
    keyfile.rewrite(path, lambda keys: [new, *keys], _STORE)
    return key_id_of(new).hex()


def drop_key(path: Path, key_id: str) -> None:
    """Take an old key out of the file; `KeyUse` says from when on nothing needs it. Raises KeyFileError for the first."""

    def without(keys: list[bytes]) -> list[bytes]:
        ids = [key_id_of(key).hex() for key in keys]
        if key_id not in ids:
            raise KeyFileError(f"{path}: holds no key {key_id}")
        if ids[0] == key_id:
            raise KeyFileError(f"{path}: {key_id} is the key that seals; rotate first")
        return [key for key, its_id in zip(keys, ids, strict=True) if its_id != key_id]

    keyfile.rewrite(path, without, _STORE)
