"""What people ask of the trail: everything, the end, or what happened under one trace id."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa

from multipartner.domain.events import Event, RefusalRecord
from multipartner.storage.chain import read_line
from multipartner.storage.compiled import sqlite_text
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.tables import refusal, trail_event

_event = sa.select(trail_event.c.chain, trail_event.c.seq, trail_event.c.body)
_in_order = (trail_event.c.at_s, trail_event.c.chain, trail_event.c.seq)
_SINCE: Final = sqlite_text(_event.where(trail_event.c.at_s >= sa.bindparam("since_s", type_=sa.BigInteger)).order_by(*_in_order))
_TAIL: Final = sqlite_text(
    _event.order_by(*(column.desc() for column in _in_order)).limit(sa.bindparam("most", type_=sa.Integer))
)
_trace_id = sa.bindparam("trace_id", type_=sa.Text)
_EVENTS_OF_TRACE: Final = sqlite_text(
    sa.select(trail_event.c.body).where(trail_event.c.trace_id == _trace_id).order_by(*_in_order)
)
_REFUSAL_OF_TRACE: Final = sqlite_text(
    sa.select(refusal.c.body).where(refusal.c.trace_id == _trace_id).order_by(refusal.c.id.desc()).limit(1)
)


class Filter(msgspec.Struct, frozen=True):
    """Which events to export; empty: all. `since_s` is Unix seconds, inclusive."""

    app_id: str = ""
    solution_id: str = ""
    business_id: str = ""
    since_s: int = 0


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file for reading only; raises StorageUnavailable, also for what goes wrong while it is read."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise StorageUnavailable(f"{path.name}: {error}") from error


def export(trail_path: Path, only: Filter | None = None) -> Iterator[str]:
    """Yield events as JSON lines, oldest first: `chain`, `seq`, and the event's own members. Raises StorageUnavailable."""
    wanted = only or Filter()
    with reading(trail_path) as connection:
        for chain, seq, body in connection.execute(_SINCE, {"since_s": wanted.since_s}):
            if _is_wanted(body, wanted):
                yield _line(chain, seq, body)


def tail(trail_path: Path, count: int) -> list[str]:
    """Return the last events, oldest first, as `export` writes them. Raises StorageUnavailable."""
    with reading(trail_path) as connection:
        return [_line(*row) for row in reversed(connection.execute(_TAIL, {"most": count}).fetchall())]


def find_trace(trail_path: Path, trace_id: str) -> RefusalRecord | list[Event]:
    """Return the refusal under a trace id or, if there is none, the events: none at all when the id is unknown or too old.

    Raises StorageUnavailable.
    """
    with reading(trail_path) as connection:
        refused = connection.execute(_REFUSAL_OF_TRACE, {"trace_id": trace_id}).fetchall()
        if refused:
            return msgspec.json.decode(refused[0][0], type=RefusalRecord)
        found = connection.execute(_EVENTS_OF_TRACE, {"trace_id": trace_id}).fetchall()
        return [msgspec.json.decode(row[0], type=Event) for row in found]


def _is_wanted(body: bytes, wanted: Filter) -> bool:
    if not (wanted.app_id or wanted.solution_id or wanted.business_id):
        return True
    line = read_line(body)
    return line is None or all(
        want in ("", has)
        for want, has in (
            (wanted.app_id, line.app_id),
            (wanted.solution_id, line.solution_id),
            (wanted.business_id, line.business_id),
        )
    )


def _line(chain: str, seq: int, body: bytes) -> str:
    place = msgspec.json.encode({"chain": chain, "seq": seq})
    if read_line(body) is None:
        return msgspec.json.encode({"chain": chain, "seq": seq, "unreadable": True}).decode()
    return (place[:-1] + b"," + body[1:]).decode()
