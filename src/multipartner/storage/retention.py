"""Taking old events out of the trail so that what stays can still be verified.

A pruning first appends an event `trail.pruned` to the chain `changes`: the last link taken from each chain. What stays links to
that. Only the latest such event counts, and it repeats what is still needed of earlier ones. Of a chain that was not closed the
last event stays, because its writer may go on from there.
"""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa

from multipartner.domain.events import Event, EventKind
from multipartner.storage.chain import CHANGES, GENESIS, Head, append_change, connect, entry_of, locked, read_line
from multipartner.storage.compiled import sqlite_text
from multipartner.storage.ports import TrailUnavailable
from multipartner.storage.tables import trail_event

_LOCK_S: Final = 5.0
_AT_ONCE: Final = 500
_BREATH_S: Final = 0.01

_chain = sa.bindparam("chain", type_=sa.Text)
_seq = sa.bindparam("seq", type_=sa.BigInteger)
_kept_from = sa.case((trail_event.c.at_s >= sa.bindparam("before_s", type_=sa.BigInteger), trail_event.c.seq))

_CUTS: Final = sqlite_text(
    sa.select(
        trail_event.c.chain, sa.func.min(_kept_from), sa.func.min(trail_event.c.seq), sa.func.max(trail_event.c.seq)
    ).group_by(trail_event.c.chain)
)
_HASH: Final = sqlite_text(sa.select(trail_event.c.hash).where(trail_event.c.chain == _chain, trail_event.c.seq == _seq))
_NEWEST_FIRST: Final = sqlite_text(
    sa.select(trail_event.c.seq, trail_event.c.body).where(trail_event.c.chain == _chain).order_by(trail_event.c.seq.desc())
)
_some = (
    sa.select(trail_event.c.seq)
    .where(trail_event.c.chain == _chain, trail_event.c.seq <= _seq)
    .order_by(trail_event.c.seq)
    .limit(_AT_ONCE)
)
_DELETE_SOME: Final = sqlite_text(sa.delete(trail_event).where(trail_event.c.chain == _chain, trail_event.c.seq.in_(_some)))


def prune(trail_path: Path, *, before_s: int, at_s: int, actor: str) -> int:
    """Take out what is older than `before_s` from the front of every chain; return how many events went.

    `at_s` and `actor` (`operator:<name>`) are recorded. Times are Unix seconds. Writers wait no longer than for a few hundred
    rows. Raises TrailUnavailable; then what was not taken is taken by the next pruning.
    """
    try:
        with closing(connect(trail_path, _LOCK_S)) as connection:
            with locked(connection):
                pruned, cut = _plan(connection, before_s)
                if cut:
                    told = {chain: f"{head.seq}:{head.hash.hex()}" for chain, head in pruned.items()}
                    append_change(
                        connection, [entry_of(msgspec.json.encode(Event(EventKind.TRAIL_PRUNED, at_s, actor, detail=told)))]
                    )
            return sum(_take_out(connection, chain, seq) for chain, seq in cut.items())
    except sqlite3.Error as error:
        raise TrailUnavailable(f"the trail cannot be pruned: {error}") from error


def last_pruning(connection: sqlite3.Connection) -> dict[str, Head]:
    """Return the last link taken from each chain, as the latest pruning tells it."""
    for _, body in connection.execute(_NEWEST_FIRST, {"chain": CHANGES}):
        line = read_line(body)
        if line is not None and line.kind == EventKind.TRAIL_PRUNED.value:
            return {chain: _read_head(text) for chain, text in line.detail.items()}
    return {}


def _plan(connection: sqlite3.Connection, before_s: int) -> tuple[dict[str, Head], dict[str, int]]:
    """Work out the heads to tell of, and up to which seq to delete from each chain."""
    before = last_pruning(connection)
    rows = connection.execute(_CUTS, {"before_s": before_s}).fetchall()
    last_cut = {chain: (kept_from - 1 if kept_from is not None else last) for chain, kept_from, _, last in rows}
    opened, closed = _writers(connection, last_cut.get(CHANGES, 0))
    pruned: dict[str, Head] = {}
    cut: dict[str, int] = {}
    for chain, _, first, last in rows:
        known = before.get(chain, Head())
        seq = last_cut[chain] if chain in closed or chain == CHANGES else min(last_cut[chain], last - 1)
        if seq > known.seq:
            pruned[chain] = Head(seq, connection.execute(_HASH, {"chain": chain, "seq": seq}).fetchall()[0][0])
            cut[chain] = seq
        elif known.hash != GENESIS or chain not in opened:
            pruned[chain] = known
            if first <= known.seq:  # an earlier pruning was interrupted
                cut[chain] = known.seq
    return pruned | {chain: head for chain, head in before.items() if chain in opened and chain not in pruned}, cut


def _writers(connection: sqlite3.Connection, cut: int) -> tuple[set[str], set[str]]:
    """Name the chains whose opening stays, and those that are closed."""
    opened, closed = set(), set()
    for seq, body in connection.execute(_NEWEST_FIRST, {"chain": CHANGES}):
        line = read_line(body)
        if line is not None and line.kind == "writer.opened" and seq > cut:
            opened.add(line.detail.get("writer", ""))
        elif line is not None and line.kind == "writer.closed":
            closed.add(line.detail.get("writer", ""))
    return opened, closed


def _take_out(connection: sqlite3.Connection, chain: str, seq: int) -> int:
    taken = 0
    while True:
        with locked(connection):
            some = connection.execute(_DELETE_SOME, {"chain": chain, "seq": seq}).rowcount
        taken += some
        if some < _AT_ONCE:
            return taken
        time.sleep(_BREATH_S)  # lets the writers that issue have the lock


def _read_head(text: str) -> Head:
    seq, _, hash_ = text.partition(":")
    try:
        return Head(int(seq), bytes.fromhex(hash_))
    except ValueError:
        return Head()
