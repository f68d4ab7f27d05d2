"""A file of keys: one key a line, base64 of 32 random bytes; the first seals, all of them open."""

import base64
import binascii
import os
import secrets
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from multipartner.crypto.sealing import KEY_BYTES, MasterKeys

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
    _write_new(path, path, lambda: [secrets.token_bytes(KEY_BYTES)], f"exists already; a {kind.noun} is never overwritten")


def rewrite(path: Path, change: Callable[[list[bytes]], Sequence[bytes]], kind: Kind = MASTER) -> None:
    """Put the changed keys in place of a file's, durably and at once; nobody ever sees half of it.

    Raises KeyFileError as `read_keys` does, and when somebody else is at it.
    """
    beside = path.with_name(f"{path.name}.new")
    # The new file's name is the lock: what is read under it is what will be replaced.
    busy = f"exists: the keys are being changed, or that was interrupted; if nobody is at it, run `rm {beside}`"
    _write_new(beside, path, lambda: change(read_keys(path, kind)), busy)


def _write_new(path: Path, final: Path, keys: Callable[[], Sequence[bytes]], taken: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path}: {taken}") from None
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor is no path
            # The umask may take bits away, and it must not decide.
            os.fchmod(descriptor, 0o600)
            file.writelines(base64.b64encode(key) + b"\n" for key in keys())
            file.flush()
            os.fsync(descriptor)
        if path != final:
            path.replace(final)
        _sync_folder(final.parent)
    except (OSError, KeyFileError) as error:
        # Half a key would stand in the way of the next try.
        path.unlink(missing_ok=True)
        if isinstance(error, KeyFileError):
            raise
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None


def _sync_folder(folder: Path) -> None:
    """Make a new name in it outlast a power failure: the databases that it opens would."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> MasterKeys:
    """Read the master keys; raises KeyFileError as `read_keys` does."""
    return MasterKeys(read_keys(path))


def read_keys(path: Path, kind: Kind = MASTER) -> list[bytes]:
    """Read the keys; raises KeyFileError unless the file is ours alone, a plain file, and holds nothing but keys."""
    try:
        # Not through a link: whoever may change the link would choose the key.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise KeyFileError(f"{path}: there is no {kind.noun} file; {kind.missing}") from None
    except OSError as error:
        if path.is_symlink():
            raise KeyFileError(f"{path}: is a symbolic link; name the file itself") from None
        raise KeyFileError(f"{path}: the {kind.noun} file cannot be read: {error.strerror}") from None
    try:
        _check(path, os.fstat(descriptor), kind)
        data = os.read(descriptor, _MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    return _keys(path, data, kind)


def _check(path: Path, status: os.stat_result, kind: Kind) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{path}: the {kind.noun} file is no plain file")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise KeyFileError(f"{path}: the {kind.noun} file is open to others (mode {mode:04o}); run `chmod 600 {path}`")
    if status.st_uid not in (os.geteuid(), 0):
        raise KeyFileError(f"{path}: the {kind.noun} file belongs to another user; run `chown {os.geteuid()} {path}`")


def _keys(path: Path, data: bytes, kind: Kind) -> list[bytes]:
    keys: list[bytes] = []
    lines = data.splitlines() if len(data) <= _MAX_BYTES else []
    for number, line in enumerate(lines, 1):
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
