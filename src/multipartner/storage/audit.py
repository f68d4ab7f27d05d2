"""Does the trail still say what was written: `verify`, and the anchor that shows what `verify` alone cannot.

Whoever can write the file can compute hashes too. So heads are exported (`heads`) to where that writer cannot reach; against
such an anchor a rewritten chain, a cut end and an older copy put back are found as well.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from multipartner.storage.backend import Backend
from multipartner.storage.chain import CHANGES, GENESIS, Head, Line, link, read_line
from multipartner.storage.retention import last_pruning
from multipartner.storage.tables import outbox, trail_event
from multipartner.storage.trail_reading import ROWS_AT_ONCE

_ROWS: Final = sa.select(
    trail_event.c.chain, trail_event.c.seq, trail_event.c.at_s, trail_event.c.trace_id, trail_event.c.body, trail_event.c.hash
).order_by(trail_event.c.chain, trail_event.c.seq)
_last = sa.select(trail_event.c.chain, sa.func.max(trail_event.c.seq).label("seq")).group_by(trail_event.c.chain).subquery()
_HEADS: Final = (
    sa.select(trail_event.c.chain, trail_event.c.seq, trail_event.c.hash)
    .join(_last, sa.and_(_last.c.chain == trail_event.c.chain, _last.c.seq == trail_event.c.seq))
    .order_by(trail_event.c.chain)
)
_PENDING: Final = sa.select(sa.func.count(outbox.c.id))


class AnchorHead(msgspec.Struct, frozen=True):
    """The last link of a chain when the anchor was exported; `hash` in hex."""

    seq: int
    hash: str


Anchor = Mapping[str, AnchorHead]
"""Heads by chain."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong: where, and what in one sentence. `seq` 0: the chain as a whole."""

    chain: str
    seq: int
    text: str


class Report(msgspec.Struct, frozen=True):
    """What `verify` saw. `pruned`: up to where retention took each chain; `pending`: events that wait in the outbox."""

    chains: int
    events: int
    findings: tuple[Finding, ...]
    pruned: dict[str, int]
    pending: int

    @property
    def whole(self) -> bool:
        """Nothing was found."""
        return not self.findings


class _Row(msgspec.Struct, frozen=True, gc=False):
    chain: str
    seq: int
    at_s: int
    trace_id: str
    body: bytes
    hash: bytes


_FORM: Final = (str, int, int, str, bytes, bytes)


class _Walk:
    """One pass over all rows, in order of chain and seq."""

    def __init__(self, pruned: Mapping[str, Head], anchor: Anchor) -> None:
        self.findings: list[Finding] = []
        self.heads: dict[str, Head] = {}
        self.opened: dict[str, int] = {}
        self.closed: dict[str, Head] = {}
        self.events = 0
        self._pruned = pruned
        self._anchor = anchor

    def find(self, chain: str, seq: int, text: str) -> None:
        self.findings.append(Finding(chain, seq, text))

    def see(self, values: Sequence[object]) -> None:
        """Check one row against the one before it."""
        self.events += 1
        if tuple(map(type, values)) != _FORM:  # SQLite keeps whatever somebody puts into a column
            self.find(str(values[0]), 0, f"the row of seq {values[1]} is not of the trail's form")
            return
        row = _Row(*values)  # type: ignore[arg-type] # looked at just now
        start = self._pruned.get(row.chain, Head())
        if row.seq <= start.seq:  # pruning was interrupted; the next one takes it
            self._check_body(row)
            return
        before = self.heads.get(row.chain, start)
        if row.seq != before.seq + 1:
            self.find(row.chain, row.seq, f"{row.seq - before.seq - 1} events are missing before this one")
        elif link(before.hash, row.chain, row.seq, row.body) != row.hash:
            self.find(row.chain, row.seq, "the event is not the one that was written here, or not in this place")
        self.heads[row.chain] = Head(row.seq, row.hash)
        anchored = self._anchor.get(row.chain)
        if anchored is not None and anchored.seq == row.seq and anchored.hash != row.hash.hex():
            self.find(row.chain, row.seq, "the anchor has another hash: the chain was rewritten")
        self._check_body(row)

    def _check_body(self, row: _Row) -> None:
        line = read_line(row.body)
        if line is None:
            self.find(row.chain, row.seq, "the event cannot be read")
            return
        if (line.at_s, line.trace_id) != (row.at_s, row.trace_id):
            self.find(row.chain, row.seq, "time or trace id beside the event are not the event's own")
        if row.chain == CHANGES:
            self._note_writer(row, line)

    def _note_writer(self, row: _Row, line: Line) -> None:
        writer = line.detail.get("writer", "")
        if line.kind == "writer.opened":
            self.opened[writer] = row.seq
        elif line.kind == "writer.closed":
            try:
                self.closed[writer] = Head(int(line.detail["seq"]), bytes.fromhex(line.detail["head"]))
            except (KeyError, ValueError):
                self.find(row.chain, row.seq, "says that a chain was closed, but not where")

    def check_chains(self) -> None:
        """Check what only shows once all rows were seen."""
        for chain, head in self.heads.items():
            if chain != CHANGES and chain not in self.opened and chain not in self._pruned:
                self.find(chain, 0, "no writer of this name was opened")
            ended = self.closed.get(chain)
            if ended is not None and ended != head:
                self.find(chain, head.seq, f"the chain was closed at {ended.seq}, but ends here or otherwise")
        for chain in self.opened:
            if chain not in self.heads and chain not in self._pruned:
                self.find(chain, 0, "a writer of this name was opened, but its chain is gone")
            elif chain not in self.heads and self.closed.get(chain, self._pruned[chain]) != self._pruned[chain]:
                self.find(chain, self._pruned[chain].seq, "events after the pruned ones are gone")
        for chain, anchored in self._anchor.items():
            self._check_anchored(chain, anchored)

    def _check_anchored(self, chain: str, anchored: AnchorHead) -> None:
        pruned = self._pruned.get(chain, Head())
        last = self.heads.get(chain, pruned)
        if last.seq < anchored.seq:
            self.find(chain, last.seq, f"the anchor knows {anchored.seq} events: the end was cut, or an older copy put back")
        elif pruned.seq == anchored.seq and pruned.hash.hex() != anchored.hash:
            self.find(chain, pruned.seq, "the anchor has another hash: the chain was rewritten before it was pruned")


def verify(backend: Backend, anchor: Anchor | None = None) -> Report:
    """Check every link of every chain; with an anchor also the ends. Counts what waits in the outbox of the facts.

    Raises StorageUnavailable when trail or facts cannot be read. Not for a running event loop.
    """

    def ask(connection: sa.Connection) -> tuple[_Walk, dict[str, Head]]:
        pruned = last_pruning(connection)
        walk = _Walk(pruned, anchor or {})
        for values in connection.execute(_ROWS, execution_options=ROWS_AT_ONCE):
            walk.see(values)
        walk.check_chains()
        return walk, pruned

    walk, pruned = backend.in_trail(ask)
    return Report(
        chains=len(walk.heads),
        events=walk.events,
        findings=tuple(walk.findings),
        pruned={chain: head.seq for chain, head in pruned.items() if head.hash != GENESIS},
        pending=backend.in_facts(lambda connection: connection.execute(_PENDING).scalar_one()),
    )


def heads(backend: Backend) -> dict[str, AnchorHead]:
    """Return the head of every chain, to be kept where the trail's writer cannot reach.

    Raises StorageUnavailable. Not for a running event loop.
    """
    return backend.in_trail(heads_in)


def heads_in(connection: sa.Connection) -> dict[str, AnchorHead]:
    """As `heads`, of a trail that is open."""
    return {chain: AnchorHead(seq, bytes(hash_).hex()) for chain, seq, hash_ in connection.execute(_HEADS)}


def read_anchor(text: bytes) -> dict[str, AnchorHead]:
    """Read an anchor as `msgspec.json.encode(heads(...))` writes it; raises ValueError for anything else."""
    try:
        return msgspec.json.decode(text, type=dict[str, AnchorHead])
    except msgspec.MsgspecError as error:
        raise ValueError(f"not an anchor: {error}") from error
