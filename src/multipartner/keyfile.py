"""A file of keys: one key a line, base64 of 32 random bytes; the first seals, all of them open."""

import base64
import binascii
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from multipartner import private_file
from multipartner.crypto.sealing import KEY_BYTES, MasterKeys
from multipartner.private_file import PrivateFileError

_MAX_BYTES = 4096


class KeyFileError(Exception):
    """The key file cannot be used; the text is one line: the file, what is wrong, the fix."""


class Kind(NamedTuple):
    """What messages call the keys of a file, and what they say is to be done when there are none."""

    noun: str
    missing: str
    empty: str
    maker: str


MASTER: Final = Kind(
    "master key",
    "run `multipartner init`, or name it: --master-key-file",
    "restore it from your backup, or run `multipartner init` for a new deployment",
    "`multipartner init`",
)


def create(path: Path, kind: Kind = MASTER) -> None:
    """Write a new key file (0600), durably; raises KeyFileError if there is anything at the path, or if it cannot be written."""
    with _told():
        private_file.create(path, _lines([secrets.token_bytes(KEY_BYTES)]), f"exists already; a {kind.noun} is never overwritten")


def rewrite(path: Path, change: Callable[[list[bytes]], Sequence[bytes]], kind: Kind = MASTER) -> None:
    """Put the changed keys in place of a file's, durably and at once; nobody ever sees half of it.

    Raises KeyFileError as `read_keys` does, when somebody else is at it, and rather than write more than can be read again.
    """

    def changed() -> bytes:
        lines = _lines(change(read_keys(path, kind)))
        if len(lines) > _MAX_BYTES:
            raise KeyFileError(f"{path}: would hold more than {_MAX_BYTES} bytes; drop old keys first")
        return lines

    with _told():
        private_file.replace(path, changed, "keys")


def _lines(keys: Sequence[bytes]) -> bytes:
    return b"".join(base64.b64encode(key) + b"\n" for key in keys)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except PrivateFileError as error:
        raise KeyFileError(str(error)) from None


def read(path: Path) -> MasterKeys:
    """Read the master keys; raises KeyFileError as `read_keys` does."""
    return MasterKeys(read_keys(path))


def read_keys(path: Path, kind: Kind = MASTER) -> list[bytes]:
    """Read the keys; raises KeyFileError unless the file is ours alone, a plain file, and holds nothing but keys."""
    with _told():
        data = private_file.read(path, kind.noun, _MAX_BYTES, kind.missing)
    return _keys(path, data, kind)


def _keys(path: Path, data: bytes, kind: Kind) -> list[bytes]:
    keys: list[bytes] = []
    if len(data) > _MAX_BYTES:
        raise KeyFileError(f"{path}: has more than {_MAX_BYTES} bytes: is it the file with the {kind.noun}?")
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            key = base64.b64decode(line.strip(), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            # The line itself is a secret, even a broken one.
            raise KeyFileError(
                f"{path}: line {number} is no {kind.noun}; each is base64 of {KEY_BYTES} bytes, as {kind.maker} makes it"
            )
        keys.append(key)
    if not keys:
        raise KeyFileError(f"{path}: holds no {kind.noun}; {kind.empty}")
    return keys
