"""The store's file as the system sees it: this user's alone, a plain file in a folder of this user's alone, or not used at all.

No descriptor of the database is opened and closed here: closing one would let go of every lock that this process holds on the
file through SQLite (POSIX advisory locks belong to process and file, not to a descriptor).
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from multipartner.client.ports import StoreUnavailable


class StoreRefused(StoreUnavailable):
    """The store is not used until somebody does what the text says; the text is one line, without secrets."""


Identity = tuple[int, int]


def prepare(path: Path) -> Identity:
    """Make folder and file where there are none, check them and the side files, and return what tells the file from another.

    Raises StoreRefused for what others could read or choose, StoreUnavailable for what the system says no to.
    """
    try:
        with suppress(FileExistsError):
            path.parent.mkdir(mode=0o700)
        _check_folder(path.parent)
        with suppress(FileExistsError):
            os.mknod(path, 0o600 | stat.S_IFREG)
        status = path.lstat()
        _check_file(path, status)
        for suffix in ("-wal", "-shm", "-journal"):
            side = path.with_name(path.name + suffix)
            with suppress(FileNotFoundError):
                _check_file(side, side.lstat())
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}") from None
    return status.st_dev, status.st_ino


def identity(path: Path) -> Identity | None:
    """Return which file has the name now; None when none has."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _check_folder(folder: Path) -> None:
    status = folder.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise StoreRefused(f"{folder}: is a symbolic link; name the folder itself")
    if not stat.S_ISDIR(status.st_mode):
        raise StoreRefused(f"{folder}: is no folder")
    if status.st_uid != os.geteuid():
        raise StoreRefused(f"{folder}: belongs to another user; name a folder of your own, it will be made if there is none")
    if status.st_mode & 0o077:
        raise StoreRefused(f"{folder}: is open to others (mode {stat.S_IMODE(status.st_mode):04o}); run `chmod 700 {folder}`")


def _check_file(path: Path, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise StoreRefused(f"{path}: is a symbolic link; name the file itself")
    if not stat.S_ISREG(status.st_mode):
        raise StoreRefused(f"{path}: is no plain file")
    if status.st_uid != os.geteuid():
        raise StoreRefused(f"{path}: belongs to another user; remove it, the tokens will be fetched anew")
    if status.st_mode & 0o077:
        raise StoreRefused(f"{path}: is open to others (mode {stat.S_IMODE(status.st_mode):04o}); run `chmod 600 {path}`")
