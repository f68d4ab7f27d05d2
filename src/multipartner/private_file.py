"""Files that one user alone may read: how they are read, made, and replaced so that nobody ever sees half of one."""

import os
import stat
from collections.abc import Callable
from pathlib import Path


class PrivateFileError(Exception):
    """The file cannot be used; the text is one line: the file, what is wrong, the fix. Never what stands in it."""


def read(path: Path, noun: str, most_bytes: int, missing: str) -> bytes:
    """Read a file whole; what is longer than `most_bytes` comes back one byte longer than that.

    Raises PrivateFileError unless it is a plain file that nobody else may read. `noun` names it in messages, `missing` says what
    to do when there is none.
    """
    try:
        # Not through a link: whoever may change the link would choose the secret.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise PrivateFileError(f"{path}: there is no {noun} file; {missing}") from None
    except OSError as error:
        if path.is_symlink():
            raise PrivateFileError(f"{path}: is a symbolic link; name the file itself") from None
        raise PrivateFileError(f"{path}: the {noun} file cannot be read: {error.strerror}") from None
    try:
        _check(path, os.fstat(descriptor), noun)
        return os.read(descriptor, most_bytes + 1)
    finally:
        os.close(descriptor)


def _check(path: Path, status: os.stat_result, noun: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PrivateFileError(f"{path}: the {noun} file is no plain file")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise PrivateFileError(f"{path}: the {noun} file is open to others (mode {mode:04o}); run `chmod 600 {path}`")
    if status.st_uid not in (os.geteuid(), 0):
        theirs, ours = status.st_uid, os.geteuid()
        mend = f"run this as user {theirs}, or, to make it yours, `chown {ours} {path}`"
        raise PrivateFileError(f"{path}: the {noun} file belongs to another user; {mend}")


def create(path: Path, content: bytes, taken: str) -> None:
    """Write a new file (0600), durably. Raises PrivateFileError, with `taken`, if there is anything at the path."""
    _write_new(path, path, lambda: content, taken)


def replace(path: Path, content: Callable[[], bytes], noun: str) -> None:
    """Put what `content` returns in place of a file, durably and at once. What it reads cannot be replaced by others meanwhile.

    Raises PrivateFileError, also when somebody else is at it; what `content` raises leaves everything as it was.
    """
    beside = path.with_name(f"{path.name}.new")
    # The new file's name is the lock: what is read under it is what will be replaced.
    busy = f"exists: the {noun} are being changed, or that was interrupted; if nobody is at it, run `rm {beside}`"
    _write_new(beside, path, content, busy)


def _write_new(path: Path, final: Path, content: Callable[[], bytes], taken: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise PrivateFileError(f"{path}: {taken}") from None
    except OSError as error:
        raise PrivateFileError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor is no path
            # The umask may take bits away, and it must not decide.
            os.fchmod(descriptor, 0o600)
            file.write(content())
            file.flush()
            os.fsync(descriptor)
        if path != final:
            path.replace(final)
        _sync_folder(final.parent)
    except BaseException as error:
        # Half a file would stand in the way of the next try.
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise PrivateFileError(f"{path}: cannot be written: {error.strerror}") from None
        raise


def _sync_folder(folder: Path) -> None:
    """Make a new name in it outlast a power failure: what it opens would."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
