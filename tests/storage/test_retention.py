"""Pruning leaves a trail that verifies, and hides nothing."""

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from multipartner.storage.audit import AnchorHead, heads, verify
from multipartner.storage.chain import CHANGES, Head, link
from multipartner.storage.retention import last_pruning, prune
from multipartner.storage.trail import SqliteTrail
from written_trail import assert_found, tamper, token, write_chain

if TYPE_CHECKING:
    from storage.conftest import World


@pytest.fixture
def closed(world: "World") -> str:
    return asyncio.run(write_chain(world, 5000))


def rehash(connection: sqlite3.Connection, chain: str) -> None:
    """Compute a chain's hashes anew, as an attacker would."""
    last = last_pruning(connection).get(chain, Head()).hash
    connection.execute("UPDATE trail_event SET body = CAST(body AS BLOB)")
    for seq, body in connection.execute("SELECT seq, body FROM trail_event WHERE chain = ? ORDER BY seq", (chain,)).fetchall():
        last = link(last, chain, seq, body)
        connection.execute("UPDATE trail_event SET hash = ? WHERE chain = ? AND seq = ?", (last, chain, seq))


def test_pruning_leaves_a_trail_that_verifies(world: "World") -> None:
    """Retention takes the old from the front of every chain; what stays verifies, and the pruning itself stands in the trail."""
    for at_s in (5000, 6000, 7000):
        asyncio.run(write_chain(world, at_s))
    before = verify(world.trail).events

    first = prune(world.trail, before_s=6005, at_s=9000, actor="operator:x")
    report = verify(world.trail)
    assert report.findings == ()
    assert report.events == before - first + 1
    assert len(report.pruned) == 3

    second = prune(world.trail, before_s=7005, at_s=9001, actor="operator:x")
    assert second > 0
    assert verify(world.trail).findings == ()
    assert prune(world.trail, before_s=7005, at_s=9002, actor="operator:x") == 0
    asyncio.run(write_chain(world, 9500))
    assert verify(world.trail).findings == ()


def test_pruning_spares_the_end_of_an_open_chain(world: "World") -> None:
    """A writer that was quiet for longer than the retention goes on in its chain."""

    async def use() -> None:
        trail = SqliteTrail(world.trail)
        await trail.open(5000)
        await trail.record(token(1))
        await asyncio.to_thread(prune, world.trail, before_s=8000, at_s=9000, actor="operator:x")
        assert verify(world.trail).findings == ()
        assert trail._writer is not None
        trail._writer.head = None  # as after a failed commit: it is read from the file
        await trail.record(token(2))
        await trail.close(9500)

    asyncio.run(use())

    report = verify(world.trail)
    assert report.findings == ()
    assert sum(report.pruned.values()) > 0


def test_an_interrupted_pruning_is_finished_by_the_next(world: "World") -> None:
    """A pruning killed before it deleted everything leaves a trail that verifies; the next takes the rest."""
    asyncio.run(write_chain(world, 5000))
    with closing(sqlite3.connect(world.trail)) as connection:
        rows = connection.execute("SELECT * FROM trail_event WHERE chain <> 'changes'").fetchall()
    taken = prune(world.trail, before_s=8000, at_s=9000, actor="operator:x")
    with closing(sqlite3.connect(world.trail)) as connection:
        connection.executemany("INSERT INTO trail_event VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        connection.commit()

    assert taken >= len(rows)
    assert verify(world.trail).findings == ()
    assert prune(world.trail, before_s=8000, at_s=9001, actor="operator:x") == len(rows)
    assert verify(world.trail).findings == ()


def test_pruned_events_cannot_be_more_than_was_told(world: "World") -> None:
    """Attack 76: deleting beyond what a pruning told of is reported."""
    for at_s in (5000, 6000):
        asyncio.run(write_chain(world, at_s))
    prune(world.trail, before_s=6005, at_s=9000, actor="operator:x")
    tamper(world.trail, "DELETE FROM trail_event WHERE chain <> 'changes' AND at_s < 6007")

    assert_found(verify(world.trail), "events are missing")


def test_replaying_an_old_pruning_is_reported(world: "World") -> None:
    """Attack 76: the record of an earlier pruning, written again over the latest, does not make up for what was taken since."""
    for at_s in (5000, 6000):
        asyncio.run(write_chain(world, at_s))
    prune(world.trail, before_s=5005, at_s=9000, actor="operator:x")
    with closing(sqlite3.connect(world.trail)) as connection:
        (old,) = connection.execute("SELECT body FROM trail_event WHERE chain = 'changes' ORDER BY seq DESC").fetchone()
    prune(world.trail, before_s=6005, at_s=9001, actor="operator:x")
    with closing(sqlite3.connect(world.trail, isolation_level=None)) as connection:
        connection.execute("UPDATE trail_event SET body = ? WHERE chain = 'changes' AND at_s = 9001", (old,))

        rehash(connection, CHANGES)

    assert_found(verify(world.trail), "events are missing")


def test_an_anchor_older_than_the_pruning_still_fits(world: "World", closed: str) -> None:
    """Retention does not make honest anchors fail; one that ends where the pruning did is still compared."""
    anchor = heads(world.trail)
    prune(world.trail, before_s=8000, at_s=9000, actor="operator:x")

    assert verify(world.trail, anchor).findings == ()
    forged = anchor | {closed: AnchorHead(anchor[closed].seq, "00" * 32)}
    assert_found(verify(world.trail, forged), "rewritten before it was pruned")
