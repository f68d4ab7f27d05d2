"""Taking old events out of the trail so that what stays can still be verified.

A pruning first appends an event `trail.pruned` to the chain `changes`: the last link taken from each chain. What stays links to
that. Only the latest such event counts, and it repeats what is still needed of earlier ones. Of a chain that was not closed the
last event stays, because its writer may go on from there.
"""

import time
from collections.abc import Generator
from contextlib import closing
from typing import Final

import sqlalchemy as sa

from multipartner.domain.events import Event, EventKind
from multipartner.storage.backend import Backend
from multipartner.storage.chain import CHANGES, GENESIS, Head, Line, append_change, entry_of_event, locked, read_line
from multipartner.storage.ports import StorageUnavailable, TrailUnavailable
from multipartner.storage.tables import trail_event
from multipartner.storage.trail_reading import ROWS_AT_ONCE

_AT_ONCE: Final = 500
_BREATH_S: Final = 0.01

_first, _last = sa.func.min(trail_event.c.seq), sa.func.max(trail_event.c.seq)


def prune(backend: Backend, *, before_s: int, at_s: int, actor: str) -> int:
    """Take out what is older than `before_s` from the front of every chain; return how many events went.

    `at_s` and `actor` (`operator:<name>`) are recorded. Times are Unix seconds. Writers wait no longer than for a few hundred
    rows. Raises TrailUnavailable; then what was not taken is taken by the next pruning. Not for a running event loop.
    """

    def ask(connection: sa.Connection) -> int:
        with locked(connection):
            pruned, cut = _plan(connection, before_s)
            if cut:
                told = {chain: f"{head.seq}:{head.hash.hex()}" for chain, head in pruned.items()}
                append_change(connection, [entry_of_event(Event(EventKind.TRAIL_PRUNED, at_s, actor, detail=told))])
        return sum(_take_out(connection, chain, seq) for chain, seq in cut.items())

    try:
        return backend.in_trail(ask, write=True)
    except StorageUnavailable as error:
        raise TrailUnavailable(f"the trail cannot be pruned: {error}") from error


def last_pruning(connection: sa.Connection) -> dict[str, Head]:
    """Return the last link taken from each chain, as the latest pruning tells it."""
    with closing(_changes_newest_first(connection)) as changes:
        for _, line in changes:
            if line.kind == EventKind.TRAIL_PRUNED.value:
                return {chain: _read_head(text) for chain, text in line.detail.items()}
    return {}


def _changes_newest_first(connection: sa.Connection) -> Generator[tuple[int, Line], None, None]:
    """What can be read of the shared chain: seq and event."""
    newest_first = (
        sa.select(trail_event.c.seq, trail_event.c.body).where(trail_event.c.chain == CHANGES).order_by(trail_event.c.seq.desc())
    )
    with connection.execute(newest_first, execution_options=ROWS_AT_ONCE) as rows:
        for seq, body in rows:
            line = read_line(body)
            if line is not None:
                yield seq, line


def _plan(connection: sa.Connection, before_s: int) -> tuple[dict[str, Head], dict[str, int]]:
    """Work out the heads to tell of, and up to which seq to delete from each chain."""
    before = last_pruning(connection)
    kept_from = sa.func.min(sa.case((trail_event.c.at_s >= before_s, trail_event.c.seq)))
    cuts = sa.select(trail_event.c.chain, kept_from, _first, _last).group_by(trail_event.c.chain)
    rows = connection.execute(cuts).all()
    last_cut = {chain: (kept_from - 1 if kept_from is not None else last) for chain, kept_from, _, last in rows}
    opened, closed = _writers(connection, last_cut.get(CHANGES, 0))
    pruned: dict[str, Head] = {}
    cut: dict[str, int] = {}
    for chain, _, first, last in rows:
        known = before.get(chain, Head())
        seq = last_cut[chain] if chain in closed or chain == CHANGES else min(last_cut[chain], last - 1)
        if seq > known.seq:
            pruned[chain] = Head(seq, _hash_of(connection, chain, seq))
            cut[chain] = seq
        elif known.hash != GENESIS or chain not in opened:
            pruned[chain] = known
            if first <= known.seq:  # an earlier pruning was interrupted
                cut[chain] = known.seq
    return pruned | {chain: head for chain, head in before.items() if chain in opened and chain not in pruned}, cut


def _writers(connection: sa.Connection, cut: int) -> tuple[set[str], set[str]]:
    """Name the chains whose opening stays, and those that are closed."""
    opened, closed = set(), set()
    for seq, line in _changes_newest_first(connection):
        if line.kind == EventKind.WRITER_OPENED.value and seq > cut:
            opened.add(line.detail.get("writer", ""))
        elif line.kind == EventKind.WRITER_CLOSED.value:
            closed.add(line.detail.get("writer", ""))
    return opened, closed


def _hash_of(connection: sa.Connection, chain: str, seq: int) -> bytes:
    found: bytes = connection.execute(
        sa.select(trail_event.c.hash).where(trail_event.c.chain == chain, trail_event.c.seq == seq)
    ).scalar_one()
    return found


def _take_out(connection: sa.Connection, chain: str, seq: int) -> int:
    some = (
        sa.select(trail_event.c.seq)
        .where(trail_event.c.chain == chain, trail_event.c.seq <= seq)
        .order_by(trail_event.c.seq)
        .limit(_AT_ONCE)
    )
    delete_some = sa.delete(trail_event).where(trail_event.c.chain == chain, trail_event.c.seq.in_(some))
    taken = 0
    while True:
        with locked(connection):
            count = connection.execute(delete_some).rowcount
        taken += count
        if count < _AT_ONCE:
            return taken
        time.sleep(_BREATH_S)  # lets the writers that issue have the lock


def _read_head(text: str) -> Head:
    seq, _, hash_ = text.partition(":")
    try:
        return Head(int(seq), bytes.fromhex(hash_))
    except ValueError:
        return Head()
