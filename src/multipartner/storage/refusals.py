"""The last refusals, for `explain`: unchained, best effort, strangers in a fifth of the room."""

import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa

from multipartner.domain.events import RefusalRecord
from multipartner.storage import trail_file
from multipartner.storage.compiled import sqlite_text
from multipartner.storage.tables import refusal

PRUNED_EVERY: Final = 1000
"""Refusals between two prunings."""

_LOCK_S: Final = 0.05  # events wait behind this thread
_PRUNED_AT_ONCE: Final = 2000

_known = sa.bindparam("known", type_=sa.Boolean)
_oldest_kept = (
    sa.select(refusal.c.id)
    .where(refusal.c.known == _known)
    .order_by(refusal.c.id.desc())
    .limit(sa.literal_column("1"))
    .offset(sa.bindparam("kept", type_=sa.BigInteger))
    .scalar_subquery()
)
_too_old = (
    sa.select(refusal.c.id)
    .where(refusal.c.known == _known, refusal.c.id <= _oldest_kept)
    .order_by(refusal.c.id)
    .limit(sa.literal_column(str(_PRUNED_AT_ONCE)))
)
PRUNE: Final = sa.delete(refusal).where(refusal.c.id.in_(_too_old))
"""Drop the oldest of the `known` (true or false) beyond the newest `kept`."""


class RefusalFile:
    """Writes through a connection of its own, whose commits do not wait for the disk. Raises sqlite3.Error when opened."""

    def __init__(self, path: Path, kept: int) -> None:
        self._connection = trail_file.connect(path, _LOCK_S, durable=False)
        self._kept = shares_of(kept)
        self._until_pruning = 0

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def keep(self, records: Sequence[RefusalRecord]) -> bool:
        """Write the records in one statement, and now and then drop the oldest; False when the file cannot be written now."""
        values = [value for record in records for value in row_of(record)]
        try:
            self._connection.execute(_insert_text(len(records)), values)
            self._until_pruning -= len(records)
            if self._until_pruning <= 0:
                self._until_pruning = PRUNED_EVERY
                for known, kept in self._kept.items():
                    self._connection.execute(_PRUNE, {"known": known, "kept": kept})
        except sqlite3.Error:
            return False
        return True


def row_of(record: RefusalRecord) -> tuple[str, bool, bytes]:
    """The columns `trace_id`, `known`, `body`."""
    return record.trace_id, bool(record.credential_id), msgspec.json.encode(record)


def shares_of(kept: int) -> Mapping[bool, int]:
    """How many refusals are kept of known callers (True), and of strangers (False): a fifth."""
    return {False: kept // 5, True: kept - kept // 5}


_PRUNE: Final = sqlite_text(PRUNE)


@lru_cache(maxsize=128)
def _insert_text(rows: int) -> str:
    return f"INSERT INTO {refusal.name} (trace_id, known, body) VALUES {', '.join(['(?, ?, ?)'] * rows)}"  # noqa: S608 - names of the schema
