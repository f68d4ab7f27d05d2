"""The master key's file: one key a line, base64 of 32 random bytes; the first seals, all of them open."""

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path

from multipartner.crypto.sealing import KEY_BYTES, MasterKeys

_MAX_BYTES = 4096


class KeyFileError(Exception):
    """The key file cannot be used; the text is one line: the file, what is wrong, the fix."""


def create(path: Path) -> None:
    """Write a new key file (0600), durably; raises KeyFileError if there is anything at the path, or if it cannot be written."""
    line = base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path}: exists already; a master key is never overwritten") from None
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor is no path
            # The umask may take bits away, and it must not decide.
            os.fchmod(descriptor, 0o600)
            file.write(line)
            file.flush()
            os.fsync(descriptor)
        _sync_folder(path.parent)
    except OSError as error:
        # Half a key would stand in the way of the next try.
        path.unlink(missing_ok=True)
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None


def _sync_folder(folder: Path) -> None:
    """Make a new name in it outlast a power failure: the databases that it opens would."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> MasterKeys:
    """Read the master keys; raises KeyFileError unless the file is ours alone, a plain file, and holds nothing but keys."""
    try:
        # Not through a link: whoever may change the link would choose the key.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise KeyFileError(
            f"{path}: there is no master key file; run `multipartner init`, or name it: --master-key-file"
        ) from None
    except OSError as error:
        if path.is_symlink():
            raise KeyFileError(f"{path}: is a symbolic link; name the file itself") from None
        raise KeyFileError(f"{path}: the master key file cannot be read: {error.strerror}") from None
    try:
        _check(path, os.fstat(descriptor))
        data = os.read(descriptor, _MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    return _keys(path, data)


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{path}: the master key file is no plain file")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise KeyFileError(f"{path}: the master key file is open to others (mode {mode:04o}); run `chmod 600 {path}`")
    if status.st_uid not in (os.geteuid(), 0):
        raise KeyFileError(f"{path}: the master key file belongs to another user; run `chown {os.geteuid()} {path}`")


def _keys(path: Path, data: bytes) -> MasterKeys:
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
                f"{path}: line {number} is no master key; each is base64 of {KEY_BYTES} bytes, as `multipartner init` makes it"
            )
        keys.append(key)
    if not keys:
        raise KeyFileError(
            f"{path}: holds no master key; restore it from your backup, or run `multipartner init` for a new deployment"
        )
    return MasterKeys(keys)
