"""The store's file: whose it is, what stands in it, and what happens when it is damaged, full, locked or gone."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from client.store.conftest import Opener
from client.store.stored import KEY, NEIGHBOURS, NOW_S, all_bytes, behind, kept, nth, token
from multipartner.client.keys import Account, Secret
from multipartner.client.ports import StoreUnavailable
from multipartner.client.store import SqliteTokenStore, StoreRefused


def test_files_are_closed_whatever_the_umask(opener: Opener, path: Path) -> None:
    """A new store is a 0600 file in a 0700 folder, its side files too."""
    before = os.umask(0)
    try:
        kept(opener())
    finally:
        os.umask(before)

    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {
        "tokens.db": 0o600,
        "tokens.db-wal": 0o600,
        "tokens.db-shm": 0o600,
    }


def _link_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.with_name("real").touch(0o600)
    path.symlink_to(path.with_name("real"))


def _link_to_nothing(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.symlink_to(path.with_name("nothing"))


def _link_folder(path: Path) -> None:
    real = path.parent.with_name("real")
    real.mkdir(mode=0o700)
    path.parent.symlink_to(real)


def _with_mode(folder: int, file: int) -> Callable[[Path], None]:
    def made(path: Path) -> None:
        path.parent.mkdir()
        path.touch()
        path.chmod(file)
        path.parent.chmod(folder)

    return made


def _side_link(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.with_name("tokens.db-wal").symlink_to("/dev/null")


def _a_folder_there(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.mkdir(mode=0o700)


def _a_file_for_a_folder(path: Path) -> None:
    path.parent.touch(0o600)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_with_mode(0o750, 0o600), "open to others (mode 0750); run `chmod 700 "),
        (_with_mode(0o707, 0o600), "open to others (mode 0707); run `chmod 700 "),
        (_with_mode(0o700, 0o640), "open to others (mode 0640); run `chmod 600 "),
        (_with_mode(0o700, 0o604), "open to others (mode 0604); run `chmod 600 "),
        (_link_file, "is a symbolic link; name the file itself"),
        (_link_to_nothing, "is a symbolic link; name the file itself"),
        (_link_folder, "is a symbolic link; name the folder itself"),
        (_side_link, "tokens.db-wal: is a symbolic link"),
        (_a_folder_there, "is no plain file"),
        (_a_file_for_a_folder, "is no folder"),
    ],
)
def test_a_doubtful_place_is_refused(opener: Opener, path: Path, spoil: Callable[[Path], None], told: str) -> None:
    """Attack 79: a folder or file that others could read or choose is refused in one line with the fix, and not written to."""
    spoil(path)

    with pytest.raises(StoreRefused) as refused:
        opener()

    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not path.is_file() or path.stat().st_size == 0


def test_another_users_place_is_refused(opener: Opener, path: Path) -> None:
    """A folder or file of another user is refused. (Where tests run as root it is given away; else the root folder serves.)"""
    if os.geteuid() == 0:
        path.parent.mkdir(mode=0o700)
        os.chown(path.parent, 12345, -1)
        with pytest.raises(StoreRefused, match="belongs to another user"):
            opener()
        os.chown(path.parent, 0, -1)
        path.touch(0o600)
        os.chown(path, 12345, -1)
        with pytest.raises(StoreRefused, match="belongs to another user; remove it"):
            opener()
    else:
        with pytest.raises(StoreRefused, match="belongs to another user"):
            opener(path=Path("/tokens.db"))


def test_a_place_that_is_not_there_is_told(opener: Opener, tmp_path: Path) -> None:
    """One folder is made, not a whole path: who mistypes it is told."""
    with pytest.raises(StoreUnavailable, match="No such file or directory"):
        opener(path=tmp_path / "a" / "b" / "tokens.db")


@pytest.mark.parametrize(
    "damage", [b"no database at all, but long enough to be looked at" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_damaged_file_is_refused_and_kept(opener: Opener, path: Path, damage: bytes) -> None:
    """What is no database is refused with one clear line, and not a byte of it is changed."""
    path.parent.mkdir(mode=0o700)
    path.touch(0o600)
    path.write_bytes(damage)

    with pytest.raises(StoreRefused, match="is damaged, or is no token store; move it away, the tokens will be fetched anew"):
        opener()
    assert path.read_bytes() == damage


def test_damage_that_comes_later_is_told(opener: Opener, path: Path) -> None:
    """Pages that were overwritten are told in the same line as soon as one is read; no other token comes of them."""
    store = opener()
    for number in range(50):
        kept(store, nth(number), text="x" * 900)
    store.close()
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))

    with pytest.raises(StoreRefused, match="is damaged"):
        store.load(nth(1), NOW_S)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("PRAGMA user_version = 2", r"written by a newer release \(schema 2, this one knows 1\); update this program"),
        ("PRAGMA application_id = 7", "is another program's database"),
        ("PRAGMA user_version = 0", "is another program's database"),
        ("DELETE FROM store", "is damaged; move it away"),
    ],
)
def test_what_this_release_does_not_know_is_refused(opener: Opener, path: Path, change: str, told: str) -> None:
    """Attack 80: a newer schema, another program's database and a store without its own row are refused and not written to."""
    opener().close()
    with behind(path) as connection:
        connection.execute(change)
    before = path.read_bytes()

    with pytest.raises(StoreRefused, match=told):
        opener()
    assert path.read_bytes() == before


def test_another_programs_tables_are_left_alone(opener: Opener, path: Path) -> None:
    """A database without a version but with tables is somebody else's."""
    path.parent.mkdir(mode=0o700)
    path.touch(0o600)
    with behind(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")

    with pytest.raises(StoreRefused, match="is another program's database; name another file"):
        opener()


def test_who_steals_the_files_finds_no_token_and_no_customer(opener: Opener, path: Path) -> None:
    """Attack 59: no token, business, solution, app, host or caller token stands in file, log or shared memory, live or after."""
    account = Account("https://canary-host.example", "301777000000001", Secret("canary-caller-token"))
    store = opener()
    keys = [account.key("401777000000001", f"20177700000000{number}") for number in range(10)]
    for key in keys:
        kept(store, key, text=f"canary-token-{key.business_id}")
    store.forget(keys[:3])
    store.lease(keys[4], NOW_S + 30, NOW_S)

    secrets = ["canary", "301777", "401777", "201777", account.id.caller, keys[0].canonical().decode("latin-1")]
    for _ in range(2):
        for name, data in all_bytes(path).items():
            found = [secret for secret in secrets if secret.encode() in data or secret.encode("utf-16-le") in data]
            assert (name, found) == (name, [])
        store.close()
    assert store.load(keys[5], NOW_S) is not None


def test_what_was_forgotten_is_gone_from_the_disk(opener: Opener, path: Path) -> None:
    """After `forget` not even the sealed bytes are left, nor those of tokens before it, in the file or its log."""
    store = opener()
    sealed: list[bytes] = []
    for text in ("a" * 900, "b" * 500):
        kept(store, text=text)
        with behind(path) as connection:
            sealed.extend(row[0] for row in connection.execute("SELECT sealed FROM token"))

    assert any(sealed[1] in data for data in all_bytes(path).values())
    store.forget([KEY])
    assert [name for name, data in all_bytes(path).items() for value in sealed if value[40:80] in data] == []


def test_a_log_that_somebody_reads_is_emptied_later(opener: Opener, path: Path) -> None:
    """When another process reads during `forget`, the log is emptied with the next lease."""
    store = opener()
    kept(store)
    with behind(path) as connection:
        (sealed,) = connection.execute("SELECT sealed FROM token").fetchone()
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM token").fetchall()
        store.forget([KEY])
        connection.execute("COMMIT")
    assert any(sealed in data for data in all_bytes(path).values())

    store.lease(nth(1), NOW_S + 30, NOW_S)
    assert not any(sealed in data for data in all_bytes(path).values())


def _calls(store: SqliteTokenStore) -> dict[str, Callable[[], Any]]:
    return {
        "lease": lambda: store.lease(KEY, NOW_S + 30, NOW_S),
        "publish": lambda: store.publish(KEY, token(1)),
        "release": lambda: store.release(KEY),
        "forget": lambda: store.forget([KEY]),
    }


@pytest.mark.parametrize("call", ["lease", "publish", "release", "forget"])
def test_a_lock_that_is_held_too_long_is_unavailable(opener: Opener, path: Path, call: str) -> None:
    """While another program holds the write lock, a write gives up in bounded time, reads go on, and afterwards all is well."""
    store = opener(wait_s=0.02)
    made = kept(store)
    with behind(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another process held it locked for too long"):
            _calls(store)[call]()
        assert store.load(KEY, NOW_S) == made
        connection.execute("ROLLBACK")

    _calls(store)[call]()


def test_a_thread_waits_in_bounded_time(opener: Opener) -> None:
    """While another thread is at it for longer than `wait_s`, a call gives up."""
    store = opener(wait_s=0.02)

    with store._lock, pytest.raises(StoreUnavailable, match="another thread"):
        store.load(KEY, NOW_S)
    assert store.load(KEY, NOW_S) is None


def _fill(store: SqliteTokenStore) -> None:
    for number in range(200):
        kept(store, nth(number), text="x" * 900)


def test_a_full_disk_is_unavailable_and_passes(opener: Opener) -> None:
    """When nothing more can be written, what is there is still given back, nothing is half written, and room helps."""
    store = opener()
    made = kept(store, text="x" * 900)
    assert store._opened is not None
    connection = store._opened.connection
    ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
    connection.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(StoreUnavailable, match="the disk is full"):
        _fill(store)
    assert store.load(KEY, NOW_S) == made
    connection.execute("PRAGMA max_page_count = 1000000")
    assert kept(store, nth(500), text="x" * 900) == store.load(nth(500), NOW_S)


def test_a_removed_file_is_made_anew(store: SqliteTokenStore, other: SqliteTokenStore, path: Path) -> None:
    """When somebody removes the store, all processes meet again in a new one, and learn that anything may have been forgotten."""
    kept(store)
    for file in list(path.parent.iterdir()):
        file.unlink()

    assert store.load(KEY, NOW_S) is None
    assert store.forgotten() is None
    made = kept(store)
    assert other.load(KEY, NOW_S) == made
    assert other.forgotten() is None
    assert list(other.forgotten() or ()) == []


@pytest.mark.parametrize("since", [0, 1, 3], ids=["nothing", "as much", "more"])
def test_an_older_copy_put_back_is_told(store: SqliteTokenStore, other: SqliteTokenStore, path: Path, since: int) -> None:
    """A store restored from a copy has lost deletions: processes learn that anything may have been forgotten."""
    store.forget([nth(1)])
    for handle in (store, other):
        handle.close()
    copy = path.read_bytes()
    store.forget([nth(2)])
    assert other.forgotten() == {store.digest(nth(1)), store.digest(nth(2))}
    for handle in (store, other):
        handle.close()
    path.write_bytes(copy)
    for number in range(since):
        store.forget([nth(3 + number)])

    assert other.forgotten() is None
    assert list(other.forgotten() or ()) == []


def test_errors_carry_no_secret(opener: Opener, path: Path) -> None:
    """Attack 57: no text of an error, nor of what caused it, holds a key's parts or a token."""
    store = opener(wait_s=0.02)
    with behind(path) as connection:
        connection.execute("DROP TABLE token")

    key = NEIGHBOURS["business_id"]
    with pytest.raises(StoreUnavailable) as failed:
        store.publish(key, token(1, "canary-token"))
    told = f"{failed.value} {failed.value.__cause__!r}"
    assert isinstance(failed.value.__cause__, sqlite3.Error)
    assert not [part for part in (*msgspec.structs.astuple(key.account), key.business_id, "canary") if part in told]
