"""Pruning leaves a trail that verifies, and hides nothing."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from multipartner.storage.audit import AnchorHead, heads, verify
from multipartner.storage.chain import CHANGES
from multipartner.storage.retention import prune
from multipartner.storage.tables import trail_event
from written_trail import TrailPlace, assert_found, rehash, token, write_chain


@pytest.fixture
def closed(place: TrailPlace) -> str:
    return asyncio.run(write_chain(place, 5000))


def test_pruning_leaves_a_trail_that_verifies(place: TrailPlace) -> None:
    """Retention takes the old from the front of every chain; what stays verifies, and the pruning itself stands in the trail."""
    for at_s in (5000, 6000, 7000):
        asyncio.run(write_chain(place, at_s))
    before = verify(place.backend).events

    first = prune(place.backend, before_s=6005, at_s=9000, actor="operator:x")
    report = verify(place.backend)
    assert report.findings == ()
    assert report.events == before - first + 1
    assert len(report.pruned) == 3

    second = prune(place.backend, before_s=7005, at_s=9001, actor="operator:x")
    assert second > 0
    assert verify(place.backend).findings == ()
    assert prune(place.backend, before_s=7005, at_s=9002, actor="operator:x") == 0
    asyncio.run(write_chain(place, 9500))
    assert verify(place.backend).findings == ()


def test_pruning_spares_the_end_of_an_open_chain(place: TrailPlace) -> None:
    """A writer that was quiet for longer than the retention goes on in its chain."""

    async def use() -> None:
        trail: Any = place.trail()
        await trail.open(5000)
        await trail.record(token(1))
        await asyncio.to_thread(prune, place.backend, before_s=8000, at_s=9000, actor="operator:x")
        assert (await asyncio.to_thread(verify, place.backend)).findings == ()
        # As after a failed commit: it is read from the database.
        trail._writer._head = None
        if hasattr(trail._writer, "_writer"):
            trail._writer._writer._head = None
        await trail.record(token(2))
        await trail.close(9500)

    asyncio.run(use())

    report = verify(place.backend)
    assert report.findings == ()
    assert sum(report.pruned.values()) > 0


def test_an_interrupted_pruning_is_finished_by_the_next(place: TrailPlace) -> None:
    """A pruning killed before it deleted everything leaves a trail that verifies; the next takes the rest."""
    asyncio.run(write_chain(place, 5000))
    writers = sa.select(trail_event).where(trail_event.c.chain != CHANGES)
    rows = place.backend.in_trail(lambda connection: [dict(row) for row in connection.execute(writers).mappings()])

    def put_back(connection: sa.Connection) -> None:
        with connection.begin():
            connection.execute(sa.insert(trail_event), rows)

    taken = prune(place.backend, before_s=8000, at_s=9000, actor="operator:x")
    place.backend.in_trail(put_back, write=True)

    assert taken >= len(rows)
    assert verify(place.backend).findings == ()
    assert prune(place.backend, before_s=8000, at_s=9001, actor="operator:x") == len(rows)
    assert verify(place.backend).findings == ()


def test_pruned_events_cannot_be_more_than_was_told(place: TrailPlace) -> None:
    """Attack 76: deleting beyond what a pruning told of is reported."""
    for at_s in (5000, 6000):
        asyncio.run(write_chain(place, at_s))
    prune(place.backend, before_s=6005, at_s=9000, actor="operator:x")
    place.run("DELETE FROM trail_event WHERE chain <> 'changes' AND at_s < 6007")

    assert_found(verify(place.backend), "events are missing")


def test_replaying_an_old_pruning_is_reported(place: TrailPlace) -> None:
    """Attack 76: the record of an earlier pruning, written again over the latest, does not make up for what was taken since."""
    for at_s in (5000, 6000):
        asyncio.run(write_chain(place, at_s))
    prune(place.backend, before_s=5005, at_s=9000, actor="operator:x")
    old = place.rows("SELECT body FROM trail_event WHERE chain = 'changes' ORDER BY seq DESC LIMIT 1")[0][0]
    prune(place.backend, before_s=6005, at_s=9001, actor="operator:x")
    place.run(f"UPDATE trail_event SET body = {place.binary(old)} WHERE chain = 'changes' AND at_s = 9001")  # noqa: S608 - the test's own words
    rehash(place, CHANGES)

    assert_found(verify(place.backend), "events are missing")


def test_an_anchor_older_than_the_pruning_still_fits(place: TrailPlace, closed: str) -> None:
    """Retention does not make honest anchors fail; one that ends where the pruning did is still compared."""
    anchor = heads(place.backend)
    prune(place.backend, before_s=8000, at_s=9000, actor="operator:x")

    assert verify(place.backend, anchor).findings == ()
    forged = anchor | {closed: AnchorHead(anchor[closed].seq, "00" * 32)}
    assert_found(verify(place.backend, forged), "rewritten before it was pruned")
