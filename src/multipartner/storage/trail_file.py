"""The trail as an SQLite file: how it is opened for writing, and how the outbox's events come into it."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import sqlalchemy as sa

from multipartner.storage.chain import Entry, append_change, entry_of, locked
from multipartner.storage.ports import TrailUnavailable
from multipartner.storage.sqlite_connections import core_on
from multipartner.storage.tables import trail_event


class OutboxRow(msgspec.Struct, frozen=True, gc=False):
    """A waiting event: its JSON under its id in the outbox."""

    id: int
    body: bytes


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


@contextmanager
def writing(path: Path, busy_s: float) -> Iterator[sa.Connection]:
    """Open the file for something rare, which `chain` knows how to do. Raises TrailUnavailable."""
    try:
        # Core takes its own time, which the events of every second must not pay.
        with core_on(lambda: connect(path, busy_s)) as connection:
            yield connection
    except sa.exc.DBAPIError as error:
        raise TrailUnavailable(f"the trail cannot be written: {error.orig}") from None
    except (sqlite3.Error, OSError) as error:
        raise TrailUnavailable(f"the trail cannot be written: {error}") from None


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
            with writing(self._path, self._busy_s) as connection, locked(connection):
                known = _known(connection, rows)
                fresh: list[Entry] = []
                taken: list[OutboxRow] = []
                for row in rows:
                    if known.get(row.id, row.body) != row.body:
                        break
                    if row.id not in known:
                        fresh.append(entry_of(row.body, row.id))
                    taken.append(row)
                append_change(connection, fresh)
                return taken
        except (msgspec.MsgspecError, TypeError) as error:
            raise TrailUnavailable("the outbox holds something that is no event") from error


def _known(connection: sa.Connection, rows: Sequence[OutboxRow]) -> dict[int, bytes]:
    ids = [row.id for row in rows]
    found = connection.execute(sa.select(trail_event.c.outbox_id, trail_event.c.body).where(trail_event.c.outbox_id.in_(ids)))
    return dict(found.all())
