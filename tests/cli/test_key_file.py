"""The master key's file."""

import base64
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.command_line import as_process
from deployment import DemoDeployment
from multipartner import keyfile

LINE = base64.b64encode(bytes(range(32))) + b"\n"
OTHER = base64.b64encode(bytes(32)) + b"\n"


def written(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


def linked(path: Path) -> None:
    path.symlink_to(written(path.with_name("elsewhere"), LINE))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (Path.exists, "there is no master key file; run `multipartner init`"),
        (lambda path: written(path, LINE, 0o640), "open to others (mode 0640); run `chmod 600"),
        (lambda path: written(path, LINE, 0o604), "open to others (mode 0604); run `chmod 600"),
        (linked, "is a symbolic link"),
        (lambda path: path.mkdir(mode=0o700), "no plain file"),
        (lambda path: os.mkfifo(path, 0o600), "no plain file"),
        (lambda path: written(path, b""), "holds no master key"),
        (lambda path: written(path, LINE[:-6] + b"\n"), "line 1 is no master key"),
        (lambda path: written(path, LINE + b"secret!\n"), "line 2 is no master key"),
        (lambda path: written(path, LINE * 1000), "has more than 4096 bytes"),
    ],
)
def test_a_doubtful_key_file_is_refused(tmp_path: Path, spoil: Callable[[Path], object], told: str) -> None:
    """Attack 79: a key file that is missing, open, linked or broken is refused in one line that does not show what it holds."""
    path = tmp_path / "m.key"
    spoil(path)

    with pytest.raises(keyfile.KeyFileError) as refused:
        keyfile.read(path)

    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "secret!" not in str(refused.value)


def test_the_first_key_seals_and_all_open(tmp_path: Path) -> None:
    """With a second line in front, what the old key sealed still opens."""
    path = written(tmp_path / "m.key", LINE)
    sealed = keyfile.read(path).seal(b"x", "row")
    written(path, OTHER + LINE)
    both = keyfile.read(path)

    assert both.open(sealed, "row") == b"x"
    assert both.seal(b"x", "row")[1:5] != sealed[1:5]


def test_a_new_key_file_is_closed_whatever_the_umask(tmp_path: Path) -> None:
    """`init` writes the key file 0600, and never over another."""
    path = tmp_path / "m.key"
    before = os.umask(0o000)
    try:
        keyfile.create(path)
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_bytes()) == 45
    with pytest.raises(keyfile.KeyFileError, match="never overwritten"):
        keyfile.create(path)


def test_a_new_key_file_outlasts_a_power_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new key file is on disk with its name before any database is sealed under it."""
    synced: list[int] = []
    real = os.fsync

    def noting(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    keyfile.create(tmp_path / "m.key")

    assert synced == [(tmp_path / "m.key").stat().st_ino, tmp_path.stat().st_ino]


def test_a_key_file_that_cannot_be_kept_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk no half key file stays in the way of the next `init`."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(keyfile.KeyFileError, match="No space left"):
        keyfile.create(tmp_path / "m.key")

    assert list(tmp_path.iterdir()) == []


def test_a_world_readable_key_file_stops_the_process(demo: DemoDeployment) -> None:
    """As a process: one line on stderr, exit code 2, no byte of the deployment changed."""
    demo.master_key_file.chmod(0o644)
    before = {path: path.read_bytes() for path in demo.directory.iterdir()}

    said = as_process(demo, "resource-server", "create", "Gate")

    assert "chmod 600" in said.one_line
    assert {path: path.read_bytes() for path in demo.directory.iterdir()} == before
