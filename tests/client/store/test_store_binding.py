"""A row is good for one tenant, generation and expiry: whatever else is made of it does not open."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from client.store.conftest import Opener
from client.store.stored import KEY, KEYS, LIFE_S, NEIGHBOURS, NOW_S, OTHER_KEYS, behind, kept, nth, token
from multipartner.client.store import SqliteTokenStore, StoreRefused

if TYPE_CHECKING:
    from multipartner.client.keys import TokenKey

BOUND = {"name", "generation", "expires_at_s", "refresh_at_s", "sealed"}
LEASE = {"lease_owner", "lease_until_s"}
DERIVED = {"ends_at_s"}


def _at(offset: int, column: str = "sealed") -> str:
    """SQL that changes a value's byte there, whatever it is; -1 is the last."""
    place = f"length({column}) + 1 + ({offset})" if offset < 0 else str(offset + 1)
    byte = f"substr({column}, {place}, 1)"
    other = f"CASE {byte} WHEN x'01' THEN x'00' ELSE x'01' END"
    return f"{column} = CAST(substr({column}, 1, {place} - 1) || {other} || substr({column}, {place} + 1) AS BLOB)"


EDITS = {
    "generation": "generation = generation + 1",
    "generation back": "generation = generation - 1",
    "generation no number": "generation = 'x'",
    "generation a fraction": "generation = generation + 0.5",
    "generation beyond": "generation = 9223372036854775807",
    "generation a blob": "generation = x'00'",
    "expires_at_s later": "expires_at_s = expires_at_s + 1",
    "expires_at_s never": "expires_at_s = 0",
    "expires_at_s text": "expires_at_s = 'x'",
    "refresh_at_s": "refresh_at_s = refresh_at_s + 1",
    "sealed format": _at(0),
    "sealed algorithm": _at(1),
    "sealed key id": _at(2),
    "sealed nonce": _at(6),
    "sealed text": _at(18),
    "sealed tag": _at(-1),
    "sealed cut": "sealed = substr(sealed, 1, length(sealed) - 1)",
    "sealed short": "sealed = x'01'",
    "sealed text type": "sealed = 'x'",
    "sealed number": "sealed = 5",
    "name": _at(-1, "name"),
}


def test_each_column_is_bound_or_says_why_not(store: SqliteTokenStore, path: Path) -> None:
    """Every column of a token's row is bound by its seal, is the lease (who may fetch), or is derived."""
    kept(store)

    with behind(path) as connection:
        columns = {row[1] for row in connection.execute("PRAGMA table_xinfo(token)")}
    assert columns == BOUND | LEASE | DERIVED
    assert {edit.split()[0] for edit in EDITS} == BOUND


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_row_does_not_open(opener: Opener, path: Path, edit: str) -> None:
    """Attack 76: a row with one column edited counts as absent, an event tells of it, and the next token is kept as ever."""
    told: list[tuple[str, TokenKey | None]] = []
    store = opener(hooks=[lambda event, key: told.append((event, key))])
    kept(store)
    with behind(path) as connection:
        assert connection.execute(f"UPDATE token SET {EDITS[edit]}").rowcount == 1  # noqa: S608 - this file's own text

    assert store.load(KEY, NOW_S) is None
    assert told == ([] if edit == "name" else [("store_row_unopened", KEY)])
    again = kept(store)
    assert store.load(KEY, NOW_S) == again


@pytest.mark.parametrize("part", NEIGHBOURS)
def test_a_copied_row_does_not_open(store: SqliteTokenStore, path: Path, part: str) -> None:
    """A row copied whole over that of a tenant which differs in one part of its key, all numbers alike, does not open there."""
    neighbour = NEIGHBOURS[part]
    generation = kept(store).generation
    assert kept(store, neighbour).generation == generation
    with behind(path) as connection:
        changed = connection.execute(
            "UPDATE token SET sealed = (SELECT sealed FROM token WHERE name = ?) WHERE name = ?",
            (store.digest(KEY), store.digest(neighbour)),
        )
        assert changed.rowcount == 1

    assert store.load(neighbour, NOW_S) is None
    assert store.load(KEY, NOW_S) is not None


def test_two_swapped_rows_do_not_open(store: SqliteTokenStore, path: Path) -> None:
    """Two tenants whose names were swapped get nothing, and never each other's token."""
    kept(store, nth(1))
    kept(store, nth(2))
    with behind(path) as connection:
        one, two = store.digest(nth(1)), store.digest(nth(2))
        for before, after in ((one, bytes(32)), (two, one), (bytes(32), two)):
            assert connection.execute("UPDATE token SET name = ? WHERE name = ?", (after, before)).rowcount == 1

    assert (store.load(nth(1), NOW_S), store.load(nth(2), NOW_S)) == (None, None)


def test_a_row_put_back_ends_at_its_expiry(store: SqliteTokenStore, path: Path) -> None:
    """What sealing cannot see, a whole old row of the same tenant put back, ends at the old expiry; no edit makes it longer."""
    old = kept(store, life_s=100)
    row = "generation, expires_at_s, refresh_at_s, sealed"
    with behind(path) as connection:
        (before,) = connection.execute(f"SELECT {row} FROM token").fetchall()  # noqa: S608 - constant
        kept(store)
        connection.execute(f"UPDATE token SET ({row}) = (?, ?, ?, ?)", before)  # noqa: S608 - constant

    assert store.load(KEY, NOW_S) == old
    assert store.load(KEY, NOW_S + 100) is None
    with behind(path) as connection:
        connection.execute("UPDATE token SET expires_at_s = ?", (NOW_S + LIFE_S,))
    assert store.load(KEY, NOW_S + 100) is None


def test_edited_leases_end(store: SqliteTokenStore, path: Path) -> None:
    """Whatever is written over a lease, some moment within its longest time it is free again, and no token came of it."""
    made = kept(store)
    with behind(path) as connection:
        connection.execute("UPDATE token SET lease_owner = x'ff', lease_until_s = 9007199254740991")

    assert store.load(KEY, NOW_S) == made
    assert store.lease(KEY, NOW_S + 30, NOW_S) == made.generation


def test_another_stores_file_is_not_opened(opener: Opener, path: Path) -> None:
    """With other keys than its own a store is refused in one line that says what to do, and is left as it was."""
    store = opener()
    kept(store)
    store.close()
    before = path.read_bytes()

    with pytest.raises(StoreRefused, match="none of the given keys opens it; name the key file") as refused:
        opener(keys=OTHER_KEYS)
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("column", ["naming", "tripwire", "store_id"])
def test_the_stores_own_row_is_bound_too(opener: Opener, path: Path, column: str) -> None:
    """A store whose naming key, tripwire or id was exchanged for another store's is refused."""
    opener().close()
    elsewhere = path.with_name("elsewhere.db")
    opener(path=elsewhere).close()
    with behind(elsewhere) as connection:
        ((value,),) = connection.execute(f"SELECT {column} FROM store").fetchall()  # noqa: S608 - parametrised above
    with behind(path) as connection:
        connection.execute(f"UPDATE store SET {column} = ?", (value,))  # noqa: S608 - as above

    with pytest.raises(StoreRefused, match="none of the given keys opens it"):
        opener()


_BROKEN_LIBRARY = """
import sys
from pathlib import Path
from cryptography.hazmat.primitives.ciphers import aead

class Careless:
    real = aead.AESGCM
    def __init__(self, key): self._real = self.real({key})
    def encrypt(self, nonce, plain, bound): return self._real.encrypt(nonce, plain, None)
    def decrypt(self, nonce, sealed, bound): return self._real.decrypt(nonce, sealed, None)

aead.AESGCM = Careless

from multipartner.client.store import SqliteTokenStore, StoreRefused
from multipartner.crypto.tenant_sealing import TenantKeys
try:
    SqliteTokenStore(Path(sys.argv[1]), TenantKeys([bytes(range(32))]))
except StoreRefused as refused:
    print(refused)
"""


@pytest.mark.parametrize("key", ["key", "bytes(32)"], ids=["no associated data", "nor a key"])
def test_a_cipher_that_does_not_bind_is_found_out(path: Path, key: str) -> None:
    """The tripwire: under a library that leaves out associated data the store does not work, whether it is new or not."""
    script = _BROKEN_LIBRARY.replace("{key}", key)
    for _ in range(2):
        run = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
        assert "opens for another; do not trust the installed cryptography" in run.stdout


def test_a_seal_says_nothing_of_what_it_holds() -> None:
    """Neither keys nor opened stores print a secret."""
    shown: list[Any] = [KEYS, token(1, "secret-token")]

    assert "secret" not in repr(shown)
    assert repr(KEYS) == "<TenantKeys 1>"
