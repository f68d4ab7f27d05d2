"""The thread that writes one process's chain to the file and, when no event waits, its refusals.

The event loop links and encodes a batch, the thread only gives it to the database: SQLite lets go of the interpreter's lock,
Python does not, and two threads that fight for it slow the loop more than the work does.
"""

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from multipartner.domain.events import RefusalRecord
from multipartner.storage import chain, trail_file
from multipartner.storage.chain import COLUMNS, Head
from multipartner.storage.compiled import sqlite_text
from multipartner.storage.grouped_trail import Waiting
from multipartner.storage.ports import TrailUnavailable
from multipartner.storage.refusals import RefusalFile
from multipartner.storage.tables import trail_event

if TYPE_CHECKING:
    import queue

_REFUSALS_AT_ONCE: Final = 100
_HEAD: Final = sqlite_text(chain.HEAD)
_ROW: Final = f"({', '.join('?' * len(COLUMNS))})"


class Batch(msgspec.Struct):
    """Events that become durable together: one statement, and the chain's head after it."""

    text: str
    values: list[object]
    head: Head


Told = Callable[[Batch, str | None], None]
"""Takes a batch and why it is not durable (None: it is)."""


class TrailWriter:
    """Owns the connections. `open` and then `run` are called in one thread after another; `stop` from any.

    `prepare` and `head` belong to the event loop, and only while no batch is under way.
    """

    def __init__(self, path: Path, events: "queue.SimpleQueue[Batch | None]", refusals: deque[RefusalRecord]) -> None:
        self._path = path
        self._events = events
        self._refusals = refusals
        self._chain = ""
        self.head: Head | None = None
        self._closed_at_s = 0
        self._stopping = threading.Event()
        self.lock_s = 2.0
        self.refusals_kept = 100_000
        self.dropped = 0

    def open(self, chain_id: str, at_s: int) -> None:
        """Start the chain: one transaction for its first link and for the shared chain's word of it. Raises TrailUnavailable."""
        try:
            self._file = self._identity()
            with trail_file.writing(self._path, self.lock_s) as connection:
                head = chain.open_writer(connection, chain_id, at_s)
            self._connection = trail_file.connect(self._path, self.lock_s)
            self._store = RefusalFile(self._path, self.refusals_kept)
        except (sqlite3.Error, OSError) as error:
            raise TrailUnavailable(f"the trail cannot be opened: {error}") from error
        self._chain, self.head = chain_id, head

    def stop(self, at_s: int) -> None:
        """Let `run` end once nothing waits; `at_s` (Unix seconds) is when the chain is said to be closed."""
        self._closed_at_s = at_s
        self._stopping.set()
        self._events.put(None)

    def prepare(self, waiting: Sequence[Waiting]) -> Batch:
        """Link what is still wanted of these to the chain. Raises TrailUnavailable; then nothing of it is written."""
        entries = [one.entry for one in waiting if not one.future.done()]
        try:
            if self._identity() != self._file:
                raise TrailUnavailable("the trail file was moved or replaced: bring it back or start again")
            if self.head is None:
                # What is on disk decides where the chain goes on, not what we believe is there.
                row = self._connection.execute(_HEAD, {"chain": self._chain}).fetchone()
                self.head = Head(*row) if row else Head()
        except (sqlite3.Error, OSError) as error:
            raise TrailUnavailable(f"the trail cannot be read: {error}") from error
        values, head = chain.linked(self._chain, self.head, entries)
        return Batch(_insert_text(len(entries)) if entries else "", values, head)

    def run(self, told: Told) -> None:
        """Write until stopped: a batch of events, then one slice of refusals, and again."""
        with suppress(RuntimeError):  # the event loop is gone: nobody is left to be told
            while not (self._stopping.is_set() and self._events.empty() and not self._refusals):
                batch = self._events.get()
                if batch is not None:
                    told(batch, self._write(batch))
                self._write_refusals()
        self._end()

    def _write(self, batch: Batch) -> str | None:
        """Write a batch in one statement, which is one transaction; return why not, or None.

        All of it is durable or nothing is. It also lets go of the interpreter's lock only once, where a statement for each row
        would wait for a busy event loop each time.
        """
        try:
            if batch.text:
                self._connection.execute(batch.text, batch.values)
        except (sqlite3.Error, OSError) as error:
            return f"the trail cannot be written: {error}"
        except Exception as error:  # noqa: BLE001 - the thread must outlive a bug, and the batch must be refused
            return f"the trail's writer failed: {type(error).__name__}"
        return None

    def _write_refusals(self) -> None:
        records: list[RefusalRecord] = []
        while self._refusals and len(records) < _REFUSALS_AT_ONCE:
            records.append(self._refusals.popleft())
        if records and not self._store.keep(records):
            self.dropped += len(records)
        if self._refusals:
            self._events.put(None)

    def _end(self) -> None:
        with suppress(TrailUnavailable, OSError):
            if self._identity() == self._file:
                with trail_file.writing(self._path, self.lock_s) as connection:
                    chain.close_writer(connection, self._chain, self._closed_at_s)
        self._store.close()
        self._connection.close()

    def _identity(self) -> tuple[int, int]:
        status = os.stat(self._path)  # noqa: PTH116 - as in the reader: once a batch
        return status.st_dev, status.st_ino


@lru_cache(maxsize=512)
def _insert_text(rows: int) -> str:
    return f"INSERT INTO {trail_event.name} ({', '.join(COLUMNS)}) VALUES {', '.join([_ROW] * rows)}"  # noqa: S608 - names of the schema
