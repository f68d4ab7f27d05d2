"""Hash chains of the trail: how a link is computed, and the one way to append to the chain that all processes share."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec
import sqlalchemy as sa

from multipartner.domain.events import Event, EventKind
from multipartner.storage.tables import trail_event

CHANGES: Final = "changes"
"""The chain of changes, openings, closings and prunings; every other chain belongs to one writer."""

GENESIS: Final = bytes(32)
"""What the first link of a chain holds on to."""

_ROWS_AT_ONCE: Final = 500


class Head(msgspec.Struct, frozen=True):
    """The last link of a chain."""

    seq: int = 0
    hash: bytes = GENESIS


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What a link is made of: `body` is the event's JSON, the rest is there to be found by."""

    at_s: int
    trace_id: str
    body: bytes
    outbox_id: int | None = None


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event as it stands in the trail, kinds that this version does not know included; see `domain.events.Event`."""

    kind: str
    at_s: int
    actor: str
    trace_id: str = ""
    app_id: str = ""
    solution_id: str = ""
    business_id: str = ""
    detail: dict[str, str] = {}


_line_decoder = msgspec.json.Decoder(Line)

HEAD: Final = (
    sa.select(trail_event.c.seq, trail_event.c.hash)
    .where(trail_event.c.chain == sa.bindparam("chain", type_=sa.Text))
    .order_by(trail_event.c.seq.desc())
    .limit(sa.literal_column("1"))
)
"""The last link of a chain: no row, or seq and hash."""

COLUMNS: Final = tuple(column.name for column in trail_event.columns)
"""In this order `linked` gives the values of a row."""


def link(previous: bytes, chain: str, seq: int, body: bytes) -> bytes:
    """Hash one event onto the link before it; lengths go in front so that no two inputs read the same."""
    name = chain.encode()
    sizes = len(name).to_bytes(8, "big"), len(body).to_bytes(8, "big")
    return hashlib.sha256(b"".join((previous, sizes[0], name, seq.to_bytes(8, "big"), sizes[1], body))).digest()


def linked(chain: str, head: Head, entries: Sequence[Entry]) -> tuple[list[object], Head]:
    """Link entries to `head`: the values of their rows, one row after the other, and the head after them."""
    seq, last = head.seq, head.hash
    values: list[object] = []
    for entry in entries:
        seq += 1
        last = link(last, chain, seq, entry.body)
        values += (chain, seq, entry.at_s, entry.trace_id, entry.outbox_id, entry.body, last)
    return values, Head(seq, last)


def head_of(connection: sa.Connection, chain: str) -> Head:
    """Read the last link of a chain."""
    row = connection.execute(HEAD, {"chain": chain}).first()
    return Head(*row) if row else Head()


@contextmanager
def locked(connection: sa.Connection) -> Iterator[None]:
    """One transaction of whoever may append to the shared chain: of all processes one at a time. Commits on a clean exit.

    On SQLite it is the file's write lock, which the engine's transactions begin with.
    """
    with connection.begin():
        _lock(connection)
        yield


def append_change(connection: sa.Connection, entries: Sequence[Entry]) -> None:
    """Append to the shared chain, with `locked` held: the head is read under the lock, so writers never fork the chain."""
    _append(connection, CHANGES, head_of(connection, CHANGES), entries)


def append_events(connection: sa.Connection, events: Sequence[Event]) -> None:
    """Append events to the shared chain within the transaction that is open.

    From here until its end nobody else appends. On PostgreSQL the transaction has to be READ COMMITTED, so that it sees the head
    of whoever had the lock before.
    """
    if events:
        _lock(connection)
        append_change(connection, [entry_of_event(event) for event in events])


def open_writer(connection: sa.Connection, chain: str, at_s: int) -> Head:
    """Begin a writer's chain, and say so in the shared one, in one transaction; return its head. Of a chain there is: the head.

    `at_s` is Unix seconds.
    """
    entry = _entry_of_writer(EventKind.WRITER_OPENED, chain, at_s, {})
    with locked(connection):
        head = head_of(connection, chain)
        if head.seq:
            return head
        append_change(connection, [entry])
        return _append(connection, chain, head, [entry])


def close_writer(connection: sa.Connection, chain: str, at_s: int) -> None:
    """Say in the shared chain where a writer's ended; `at_s` is Unix seconds."""
    with locked(connection):
        head = head_of(connection, chain)
        told = {"seq": str(head.seq), "head": head.hash.hex()}
        append_change(connection, [_entry_of_writer(EventKind.WRITER_CLOSED, chain, at_s, told)])


def entry_of(body: bytes, outbox_id: int | None = None) -> Entry:
    """Make an entry of an event's JSON. Raises msgspec.MsgspecError or TypeError for anything else."""
    line = _line_decoder.decode(body)
    return Entry(line.at_s, line.trace_id, body, outbox_id)


def entry_of_event(event: Event) -> Entry:
    """Make an entry of an event."""
    return Entry(event.at_s, event.trace_id, msgspec.json.encode(event))


def read_line(body: bytes) -> Line | None:
    """Read an event's JSON; None when it is none, or no bytes at all (SQLite keeps whatever somebody puts into a column)."""
    try:
        return _line_decoder.decode(memoryview(body))
    except (msgspec.MsgspecError, TypeError, UnicodeDecodeError):
        return None


def _append(connection: sa.Connection, chain: str, head: Head, entries: Sequence[Entry]) -> Head:
    width = len(COLUMNS)
    for start in range(0, len(entries), _ROWS_AT_ONCE):
        values, head = linked(chain, head, entries[start : start + _ROWS_AT_ONCE])
        rows = (values[place : place + width] for place in range(0, len(values), width))
        connection.execute(sa.insert(trail_event), [dict(zip(COLUMNS, row, strict=True)) for row in rows])
    return head


def _lock(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        from multipartner.storage.postgres import TRAIL_LOCK  # noqa: PLC0415 - its driver is an extra

        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(TRAIL_LOCK)))


def _entry_of_writer(kind: EventKind, chain: str, at_s: int, told: dict[str, str]) -> Entry:
    return entry_of_event(Event(kind, at_s, f"writer:{chain}", detail={"writer": chain, **told}))
