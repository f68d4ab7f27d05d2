"""The store's keys: their file, a new first key, and when an old one may go."""

from pathlib import Path

import pytest

from client.store.conftest import Opener
from client.store.stored import KEY, LIFE_S, NOW_S, kept, nth
from multipartner.client.store import StoreRefused
from multipartner.client.store_keys import KeyFileError, KeyUse, create_keyring, drop_key, read_keyring, rotate_keyring


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    path = tmp_path / "store.keys"
    create_keyring(path)
    return path


def test_a_keyring_is_its_users_alone(keyring: Path) -> None:
    """Attack 79: a key file is made 0600 and never over another; one that others may read is refused with the fix."""
    assert keyring.stat().st_mode & 0o777 == 0o600
    with pytest.raises(KeyFileError, match="a token store key is never overwritten"):
        create_keyring(keyring)
    keyring.chmod(0o644)
    for act in (lambda: read_keyring(keyring), lambda: rotate_keyring(keyring), lambda: drop_key(keyring, "00")):
        with pytest.raises(KeyFileError, match=r"open to others \(mode 0644\); run `chmod 600"):
            act()
    keyring.unlink()
    with pytest.raises(KeyFileError, match="there is no token store key file; make one with `create_keyring`"):
        read_keyring(keyring)


def test_rotation_costs_no_token(opener: Opener, keyring: Path) -> None:
    """After a rotation every token still opens, and is sealed under the new key when it is next written."""
    old = read_keyring(keyring)
    store = opener(keys=old)
    made = [kept(store, nth(number)) for number in range(2)]
    new_id = rotate_keyring(keyring)
    after = opener(keys=read_keyring(keyring))

    assert [after.load(nth(number), NOW_S) for number in range(2)] == made
    kept(after, nth(0), life_s=2 * LIFE_S)
    assert after.key_use() == [
        KeyUse(new_id, 1, NOW_S + 2 * LIFE_S, seals=True, opens=True),
        KeyUse(old.ids[0].hex(), 1, NOW_S + LIFE_S, seals=False, opens=True),
    ]


def test_an_old_key_can_go_when_nothing_needs_it(opener: Opener, keyring: Path) -> None:
    """`KeyUse` says when the last row under a key ends; without the key the store opens, and a row under it is absent."""
    old = read_keyring(keyring)
    opener(keys=old).close()
    new_id = rotate_keyring(keyring)
    kept(opener(keys=old), nth(0))
    after = opener(keys=read_keyring(keyring))
    kept(after, nth(1))
    drop_key(keyring, old.ids[0].hex())
    last = opener(keys=read_keyring(keyring))

    assert [key.hex() for key in read_keyring(keyring).ids] == [new_id]
    assert last.load(nth(1), NOW_S) is not None
    assert last.load(nth(0), NOW_S) is None
    assert last.key_use() == [
        KeyUse(new_id, 1, NOW_S + LIFE_S, seals=True, opens=True),
        KeyUse(old.ids[0].hex(), 1, NOW_S + LIFE_S, seals=False, opens=False),
    ]


def test_processes_may_rotate_one_after_another(opener: Opener, keyring: Path) -> None:
    """A process with the old keys works on beside one with the new: they keep each other from asking twice, and nothing fails."""
    behind_ = opener(keys=read_keyring(keyring))
    rotate_keyring(keyring)
    ahead = opener(keys=read_keyring(keyring))

    made = kept(behind_)
    assert ahead.load(KEY, NOW_S) == made
    assert ahead.lease(KEY, NOW_S + 30, NOW_S) == made.generation
    assert behind_.lease(KEY, NOW_S + 30, NOW_S) is None
    ahead.release(KEY)
    again = kept(ahead)
    assert behind_.load(KEY, NOW_S) is None
    assert behind_.lease(KEY, NOW_S + 30, NOW_S) == again.generation


def test_the_first_key_stays(keyring: Path) -> None:
    """The key that seals cannot be dropped, nor one that is not there; the file is as it was then."""
    before = keyring.read_bytes()

    with pytest.raises(KeyFileError, match="is the key that seals; rotate first"):
        drop_key(keyring, read_keyring(keyring).ids[0].hex())
    with pytest.raises(KeyFileError, match="holds no key 00000000"):
        drop_key(keyring, "00000000")
    assert keyring.read_bytes() == before
    assert [path.name for path in keyring.parent.iterdir()] == [keyring.name]


def test_two_rotations_at_once_do_not_lose_a_key(keyring: Path) -> None:
    """While somebody changes the keys, or when that was interrupted, another change is refused with the fix."""
    beside = keyring.with_name(keyring.name + ".new")
    beside.touch(0o600)
    before = keyring.read_bytes()

    with pytest.raises(KeyFileError, match="if nobody is at it, run `rm "):
        rotate_keyring(keyring)
    assert keyring.read_bytes() == before
    beside.unlink()
    rotate_keyring(keyring)
    assert keyring.read_bytes().endswith(before)
    assert len(read_keyring(keyring).ids) == 2


def test_keys_from_elsewhere_are_no_key_of_this_store(opener: Opener, keyring: Path, tmp_path: Path) -> None:
    """Another deployment's key file opens nothing here, and says so."""
    opener(keys=read_keyring(keyring)).close()
    create_keyring(tmp_path / "other.keys")

    with pytest.raises(StoreRefused, match="none of the given keys opens it"):
        opener(keys=read_keyring(tmp_path / "other.keys"))
