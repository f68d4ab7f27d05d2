"""The thread that writes one process's chain and, when no event waits, its refusals.

The event loop links and encodes a batch, the thread only gives it to the database: SQLite lets go of the interpreter's lock,
Python does not, and two threads that fight for it slow the loop more than the work does.
"""

import asyncio
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from multipartner.domain.events import Event, EventKind, RefusalRecord
from multipartner.storage import chain
from multipartner.storage.chain import Entry, Head
from multipartner.storage.ports import TrailUnavailable
from multipartner.storage.refusals import RefusalStore

if TYPE_CHECKING:
    import queue

MOST_AT_ONCE: Final = 256
_REFUSALS_AT_ONCE: Final = 100


class Waiting(msgspec.Struct, gc=False):
    """An event on its way. Whoever asked has gone when the future is done; then it is not written any more."""

    entry: Entry
    future: asyncio.Future[None]


class Batch(msgspec.Struct):
    """Events that become durable together: one statement, and the chain's head after it."""

    waiting: Sequence[Waiting]
    text: str
    values: list[object]
    head: Head


Told = Callable[[Batch, str | None], None]
"""Takes a batch and why it is not durable (None: it is)."""


class TrailWriter:
    """Owns the connections. `open` and then `run` are called in one thread after another; `stop` from any.

    `prepare` and `head` belong to the event loop, and only while no batch is under way.
    """

    def __init__(
        self, path: Path, chain_id: str, events: "queue.SimpleQueue[Batch | None]", refusals: deque[RefusalRecord]
    ) -> None:
        self._path = path
        self._chain_id = chain_id
        self._events = events
        self._refusals = refusals
        self.head: Head | None = None
        self._closed_at_s = 0
        self._stopping = threading.Event()
        self.lock_s = 2.0
        self.refusals_kept = 100_000
        self.dropped = 0

    def open(self, at_s: int) -> None:
        """Start the chain: one transaction for its first link and for the shared chain's word of it. Raises TrailUnavailable."""
        try:
            self._file = self._identity()
            self._connection = chain.connect(self._path, self.lock_s)
            self._store = RefusalStore(self._path, self.refusals_kept)
            entry = self._entry(EventKind.WRITER_OPENED, at_s, {})
            with chain.locked(self._connection):
                chain.append_change(self._connection, [entry])
                head = chain.insert(self._connection, self._chain_id, Head(), [entry])
            self.head = head
        except (sqlite3.Error, OSError) as error:
            raise TrailUnavailable(f"the trail cannot be opened: {error}") from error

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
                self.head = chain.head_of(self._connection, self._chain_id)
        except (sqlite3.Error, OSError) as error:
            raise TrailUnavailable(f"the trail cannot be read: {error}") from error
        values, head = chain.linked(self._chain_id, self.head, entries)
        return Batch(waiting, chain.insert_text(len(entries)) if entries else "", values, head)

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
        """Write a batch in one statement, which is one transaction; return why not, or None."""
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
        with suppress(sqlite3.Error, OSError):
            if self._identity() == self._file:
                head = chain.head_of(self._connection, self._chain_id)
                told = {"seq": str(head.seq), "head": head.hash.hex()}
                entry = self._entry(EventKind.WRITER_CLOSED, self._closed_at_s, told)
                with chain.locked(self._connection):
                    chain.append_change(self._connection, [entry])
        self._store.close()
        self._connection.close()

    def _entry(self, kind: EventKind, at_s: int, told: dict[str, str]) -> Entry:
        event = Event(kind, at_s, f"writer:{self._chain_id}", detail={"writer": self._chain_id, **told})
        return Entry(at_s, "", msgspec.json.encode(event))

    def _identity(self) -> tuple[int, int]:
        status = os.stat(self._path)  # noqa: PTH116 - as in the reader: once a batch
        return status.st_dev, status.st_ino
