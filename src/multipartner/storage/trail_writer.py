"""The thread that writes one process's chain to the file and, when no event waits, its refusals.

It takes what waits, links it and gives it to the database in one statement, then what came meanwhile, without a word of the
event loop in between. All its Python of a commit is done in one go: SQLite lets go of the interpreter's lock, Python does not,
and a thread that needs it back often waits for a busy event loop each time.
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
from multipartner.storage.grouped_trail import MOST_AT_ONCE, Waiting
from multipartner.storage.ports import TrailUnavailable
from multipartner.storage.refusals import RefusalFile
from multipartner.storage.tables import trail_event

if TYPE_CHECKING:
    import queue

_REFUSALS_AT_ONCE: Final = 100
_HEAD: Final = sqlite_text(chain.HEAD)
_ROW: Final = f"({', '.join('?' * len(COLUMNS))})"


class Handed(msgspec.Struct, frozen=True, gc=False):
    """Events in the order of the chain, and why they must not be written (empty: they may)."""

    events: Sequence[Waiting]
    refused: str = ""


Told = Callable[[int, str | None], None]
"""Takes how many events were settled, and why they are not durable (None: they are); see `grouped_trail.Settled`."""


class TrailWriter:
    """Owns the connections. `open` and then `run` are called in one thread after another; `stop` and `misplaced` from any."""

    def __init__(self, path: Path, events: "queue.SimpleQueue[Handed | None]", refusals: deque[RefusalRecord]) -> None:
        self._path = path
        self._events = events
        self._refusals = refusals
        self._chain = ""
        self._head: Head | None = None
        self._next: Handed | None = None
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
        self._chain, self._head = chain_id, head

    def stop(self, at_s: int) -> None:
        """Let `run` end once nothing waits; `at_s` (Unix seconds) is when the chain is said to be closed."""
        self._closed_at_s = at_s
        self._stopping.set()
        self._events.put(None)

    def misplaced(self) -> str:
        """Say why nothing must be written into the open file: it is not the one with the trail's name. Empty: it is."""
        try:
            return "" if self._identity() == self._file else "the trail file was moved or replaced: bring it back or start again"
        except OSError as error:
            return f"the trail cannot be read: {error}"

    def run(self, told: Told) -> None:
        """Write until stopped: all events that wait, then one slice of refusals, and again."""
        with suppress(RuntimeError):  # the event loop is gone: nobody is left to be told
            while not (self._stopping.is_set() and self._events.empty() and self._next is None and not self._refusals):
                taken = self._take()
                if taken is not None:
                    told(len(taken.events), taken.refused or self._write(taken.events))
                self._write_refusals()
        self._end()

    def _take(self) -> Handed | None:
        """Wait for events, and put together all that are there by now and have the same lot; None: something else woke us."""
        first, self._next = self._next or self._events.get(), None
        if first is None:
            return None
        events = list(first.events)
        while not self._events.empty():
            following = self._events.get()
            if following is None:
                continue  # refusals are looked after anyway
            if following.refused != first.refused or len(events) + len(following.events) > MOST_AT_ONCE:
                self._next = following
                break
            events += following.events
        return Handed(events, first.refused)

    def _write(self, events: Sequence[Waiting]) -> str | None:
        """Write what is still wanted of these in one statement, which is one transaction; return why not, or None.

        All of it is durable or nothing is.
        """
        entries = [one.entry for one in events if not one.future.done()]
        try:
            # What is on disk decides where the chain goes on after a failure, not what we believe is there.
            values, head = chain.linked(self._chain, self._head or self._head_on_disk(), entries)
            self._head = None
            if entries:
                self._connection.execute(_insert_text(len(entries)), values)
            self._head = head
        except (sqlite3.Error, OSError) as error:
            return f"the trail cannot be written: {error}"
        except Exception as error:  # noqa: BLE001 - the thread must outlive a bug, and the events must be refused
            return f"the trail's writer failed: {type(error).__name__}"
        return None

    def _head_on_disk(self) -> Head:
        row = self._connection.execute(_HEAD, {"chain": self._chain}).fetchone()
        return Head(*row) if row else Head()

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
