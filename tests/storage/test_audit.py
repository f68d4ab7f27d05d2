"""Attack 76: what was done to the trail behind our back is reported."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multipartner.storage.audit import Report, heads, read_anchor, verify
from multipartner.storage.chain import CHANGES, Head, link
from multipartner.storage.ports import StorageUnavailable, TrailUnavailable
from multipartner.storage.retention import last_pruning, prune
from written_trail import EVENTS, assert_found, tamper, write_chain

if TYPE_CHECKING:
    from storage.conftest import World


@pytest.fixture
def closed(world: "World") -> str:
    return asyncio.run(write_chain(world, 5000))


def test_an_untouched_trail_is_whole(world: "World", closed: str) -> None:
    """Nothing is reported where nothing was done, against an anchor either."""
    anchor = read_anchor(msgspec.json.encode(heads(world.trail)))
    report = verify(world.trail, anchor, world.facts)

    assert report == Report(chains=2, events=EVENTS + 4, findings=(), pruned={}, pending=0)
    assert set(anchor) == {CHANGES, closed}


_SWAP = (
    "UPDATE trail_event SET body = (SELECT b.body FROM trail_event AS b WHERE b.chain = trail_event.chain"
    " AND b.seq = CASE trail_event.seq WHEN 4 THEN 5 ELSE 4 END) WHERE seq IN (4, 5) AND chain <> 'changes'"
)
_EDIT = "UPDATE trail_event SET body = CAST(replace(body, 'jti3', 'jti9') AS BLOB) WHERE seq = 5 AND chain <> 'changes'"
_DELETE = "DELETE FROM trail_event WHERE seq = 5 AND chain <> 'changes'"


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        ([_EDIT], "not the one that was written"),
        (["UPDATE trail_event SET body = x'00' WHERE seq = 5"], "cannot be read"),
        (["UPDATE trail_event SET body = 'text' WHERE seq = 5"], "not of the trail's form"),
        (["UPDATE trail_event SET at_s = 1 WHERE seq = 5"], "beside the event"),
        (["UPDATE trail_event SET trace_id = 'x' WHERE seq = 5"], "beside the event"),
        (["UPDATE trail_event SET hash = zeroblob(32) WHERE seq = 5"], "not the one that was written"),
        ([_DELETE], "1 events are missing"),
        (["DELETE FROM trail_event WHERE seq < 4 AND chain <> 'changes'"], "3 events are missing"),
        ([_DELETE, "UPDATE trail_event SET seq = seq - 1 WHERE seq > 5"], "not the one that was written"),
        ([_SWAP], "not the one that was written"),
        (["DELETE FROM trail_event WHERE seq > 8 AND chain <> 'changes'"], "was closed at 13"),
        (["DELETE FROM trail_event WHERE chain <> 'changes'"], "its chain is gone"),
        (["UPDATE trail_event SET chain = 'other' WHERE chain <> 'changes'"], "no writer of this name"),
        (["DELETE FROM trail_event WHERE chain = 'changes' AND seq = 2"], "1 events are missing"),
        (["DELETE FROM trail_event WHERE chain = 'changes'"], "no writer of this name"),
    ],
    ids=[
        "edit",
        "garble",
        "another type",
        "time",
        "trace",
        "hash",
        "delete",
        "delete front",
        "delete and renumber",
        "swap two tenants",
        "cut tail of a closed chain",
        "delete chain",
        "rename chain",
        "delete change",
        "delete all changes",
    ],
)
def test_tampering_is_reported(world: "World", closed: str, statements: list[str], words: str) -> None:
    """Attack 76: edit, delete, reorder, swap and cut are each reported without an anchor."""
    del closed
    tamper(world.trail, *statements)

    assert_found(verify(world.trail), words)


def test_a_cut_tail_is_reported_against_the_anchor(world: "World") -> None:
    """Attack 76: the end of a chain whose writer was killed can be cut unseen, but not against an anchor."""
    chain = asyncio.run(write_chain(world, 5000, close=False))
    anchor = heads(world.trail)
    tamper(world.trail, "DELETE FROM trail_event WHERE seq > 8 AND chain <> 'changes'")

    assert verify(world.trail).whole
    report = verify(world.trail, anchor)
    assert_found(report, "the end was cut")
    assert report.findings[0].chain == chain


def test_an_older_copy_put_back_is_reported_against_the_anchor(world: "World", closed: str) -> None:
    """Attack 76: a copy of yesterday's trail is whole in itself, and found out by an anchor of today."""
    del closed
    copy = world.trail.with_suffix(".old")
    tamper(world.trail, "PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(world.trail, copy)
    asyncio.run(write_chain(world, 7000))
    anchor = heads(world.trail)

    assert verify(copy).whole
    assert_found(verify(copy, anchor), "an older copy put back")


def test_a_rewritten_chain_is_reported_against_the_anchor(world: "World", closed: str) -> None:
    """Attack 76: who can compute hashes can rewrite a whole file so that it is whole; the anchor still knows better."""
    anchor = heads(world.trail)
    with closing(sqlite3.connect(world.trail, isolation_level=None)) as connection:
        connection.execute("UPDATE trail_event SET body = replace(body, 'jti3', 'jti9')")
        rehash(connection, closed)
        body = f'"head":"{anchor[closed].hash}"', f'"head":"{heads(world.trail)[closed].hash}"'
        connection.execute("UPDATE trail_event SET body = replace(body, ?, ?) WHERE chain = 'changes'", body)
        rehash(connection, CHANGES)

    assert verify(world.trail).whole
    assert_found(verify(world.trail, anchor), "rewritten")


def rehash(connection: sqlite3.Connection, chain: str) -> None:
    """Compute a chain's hashes anew, as an attacker would."""
    last = last_pruning(connection).get(chain, Head()).hash
    connection.execute("UPDATE trail_event SET body = CAST(body AS BLOB)")
    for seq, body in connection.execute("SELECT seq, body FROM trail_event WHERE chain = ? ORDER BY seq", (chain,)).fetchall():
        last = link(last, chain, seq, body)
        connection.execute("UPDATE trail_event SET hash = ? WHERE chain = ? AND seq = ?", (last, chain, seq))


Damage = Callable[[sqlite3.Connection, int, int], None]


def _flip(connection: sqlite3.Connection, seq: int, place: int) -> None:
    (body,) = connection.execute("SELECT body FROM trail_event WHERE seq = ? AND chain <> 'changes'", (seq,)).fetchone()
    place %= len(body)
    other = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
    connection.execute("UPDATE trail_event SET body = ? WHERE seq = ? AND chain <> 'changes'", (other, seq))


def _drop(connection: sqlite3.Connection, seq: int, place: int) -> None:
    connection.execute("DELETE FROM trail_event WHERE seq BETWEEN ? AND ? AND chain <> 'changes'", (seq, seq + place % 3))


def _exchange(connection: sqlite3.Connection, seq: int, place: int) -> None:
    other = 1 + (seq + place % EVENTS) % (EVENTS + 1)
    for old, new in ((seq, -1), (other, seq), (-1, other)):
        connection.execute("UPDATE trail_event SET seq = ? WHERE seq = ? AND chain <> 'changes'", (new, old))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([_flip, _drop, _exchange]), st.integers(1, EVENTS + 1), st.integers(0, 500))
def test_any_single_damage_is_reported(world: "World", closed: str, damage: Damage, seq: int, place: int) -> None:
    """Attack 76: whichever event of a closed chain is altered by a bit, dropped or moved, `verify` says so."""
    del closed
    with closing(sqlite3.connect(world.trail)) as connection:
        before = connection.execute("SELECT * FROM trail_event ORDER BY chain, seq").fetchall()
        damage(connection, seq, place)
        changed = connection.execute("SELECT * FROM trail_event ORDER BY chain, seq").fetchall() != before
        connection.commit()
    try:
        assert verify(world.trail).whole is not changed
    finally:
        with closing(sqlite3.connect(world.trail)) as connection:
            connection.execute("DELETE FROM trail_event")
            connection.executemany("INSERT INTO trail_event VALUES (?, ?, ?, ?, ?, ?, ?)", before)
            connection.commit()


def test_what_is_no_anchor_or_trail_is_said_so(empty: "World") -> None:
    """A wrong file is an error in words, not a clean bill of health."""
    with pytest.raises(ValueError, match="not an anchor"):
        read_anchor(b'{"changes": 5}')
    with pytest.raises(StorageUnavailable):
        verify(empty.trail)
    with pytest.raises(TrailUnavailable):
        prune(empty.trail, before_s=1, at_s=1, actor="operator:x")
    assert not empty.trail.exists()
