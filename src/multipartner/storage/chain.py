"""Hash chains of the trail: how a link is computed, and the one way to append to the chain that all processes share."""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa

from multipartner.storage.compiled import sqlite_text
from multipartner.storage.ports import TrailUnavailable
from multipartner.storage.tables import trail_event

CHANGES: Final = "changes"
"""The chain of changes, openings, closings and prunings; every other chain belongs to one writer."""

GENESIS: Final = bytes(32)
"""What the first link of a chain holds on to."""


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


class OutboxRow(msgspec.Struct, frozen=True, gc=False):
    """A waiting event: its JSON under its id in the outbox."""

    id: int
    body: bytes


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

_HEAD: Final = sqlite_text(
    sa.select(trail_event.c.seq, trail_event.c.hash)
    .where(trail_event.c.chain == sa.bindparam("chain", type_=sa.Text))
    .order_by(trail_event.c.seq.desc())
    .limit(1)
)
_BY_OUTBOX_ID: Final = sqlite_text(
    sa.select(trail_event.c.body).where(trail_event.c.outbox_id == sa.bindparam("outbox_id", type_=sa.BigInteger))
)
_COLUMNS: Final = ", ".join(column.name for column in trail_event.columns)
_ROW: Final = f"({', '.join('?' * len(trail_event.columns))})"


def link(previous: bytes, chain: str, seq: int, body: bytes) -> bytes:
    """Hash one event onto the link before it; lengths go in front so that no two inputs read the same."""
    name = chain.encode()
    sizes = len(name).to_bytes(8, "big"), len(body).to_bytes(8, "big")
    return hashlib.sha256(b"".join((previous, sizes[0], name, seq.to_bytes(8, "big"), sizes[1], body))).digest()


def head_of(connection: sqlite3.Connection, chain: str) -> Head:
    """Read the last link of a chain."""
    rows = connection.execute(_HEAD, {"chain": chain}).fetchall()
    return Head(*rows[0]) if rows else Head()


def insert(connection: sqlite3.Connection, chain: str, head: Head, entries: Sequence[Entry]) -> Head:
    """Append to `head` in ONE statement and return the new head.

    Outside a transaction the statement is one: all of it is durable or nothing is. It also lets go of the interpreter lock only
    once, where a statement for each row would wait for a busy event loop each time.
    """
    values, after = linked(chain, head, entries)
    connection.execute(insert_text(len(entries)), values)
    return after


def linked(chain: str, head: Head, entries: Sequence[Entry]) -> tuple[list[object], Head]:
    """Link entries to `head`: the parameters for `insert_text`, and the head after them."""
    seq, last = head.seq, head.hash
    values: list[object] = []
    for entry in entries:
        seq += 1
        last = link(last, chain, seq, entry.body)
        values += (chain, seq, entry.at_s, entry.trace_id, entry.outbox_id, entry.body, last)
    return values, Head(seq, last)


@lru_cache(maxsize=512)
def insert_text(rows: int) -> str:
    """Return the statement that appends so many events."""
    return f"INSERT INTO {trail_event.name} ({_COLUMNS}) VALUES {', '.join([_ROW] * rows)}"  # noqa: S608 - names of the schema


@contextmanager
def locked(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the trail file's write lock; commit on a clean exit, roll back on an exception."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def append_change(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Append to the shared chain, with `locked` held: the head is read under the lock, so writers never fork the chain."""
    head = head_of(connection, CHANGES)
    for start in range(0, len(entries), 256):
        head = insert(connection, CHANGES, head, entries[start : start + 256])


def connect(path: Path, busy_s: float, *, durable: bool = True) -> sqlite3.Connection:
    """Open an existing trail file for writing, by one thread at a time; raises sqlite3.Error."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=busy_s,
        isolation_level=None,
        cached_statements=300,
        check_same_thread=False,
    )
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    return connection


class TrailFile:
    """The trail as the outbox sees it. Each call opens the file anew: changes are rare, and any thread may come."""

    def __init__(self, path: Path, busy_s: float = 2.0) -> None:
        self._path = path
        self._busy_s = busy_s

    def take(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        """Append the events that are not there yet; return the rows that now are, in order.

        Stops before a row whose id another event has. Raises TrailUnavailable; then nothing was appended.
        """
        try:
            with closing(connect(self._path, self._busy_s)) as connection, locked(connection):
                fresh: list[Entry] = []
                taken: list[OutboxRow] = []
                for row in rows:
                    known = connection.execute(_BY_OUTBOX_ID, {"outbox_id": row.id}).fetchall()
                    if known and known[0][0] != row.body:
                        break
                    if not known:
                        fresh.append(entry_of(row.body, row.id))
                    taken.append(row)
                append_change(connection, fresh)
                return taken
        except sqlite3.Error as error:
            raise TrailUnavailable(f"the trail cannot be written: {error}") from error
        except (msgspec.MsgspecError, TypeError) as error:
            raise TrailUnavailable("the outbox holds something that is no event") from error


def entry_of(body: bytes, outbox_id: int | None = None) -> Entry:
    """Make an entry of an event's JSON."""
    line = _line_decoder.decode(body)
    return Entry(line.at_s, line.trace_id, body, outbox_id)


def read_line(body: bytes) -> Line | None:
    """Read an event's JSON; None when it is none, or no bytes at all (SQLite keeps whatever somebody puts into a column)."""
    try:
        return _line_decoder.decode(memoryview(body))
    except (msgspec.MsgspecError, TypeError, UnicodeDecodeError):
        return None
