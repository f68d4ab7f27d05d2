"""What people ask of the trail: everything, the end, or what happened under one trace id."""

from collections.abc import Callable
from typing import Final

import msgspec
import sqlalchemy as sa

from multipartner.domain.events import Event, RefusalRecord
from multipartner.storage.backend import Backend
from multipartner.storage.chain import read_line
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.tables import refusal, trail_event

ROWS_AT_ONCE: Final = {"yield_per": 1000}
"""Execution option of a query whose answer may be the whole trail: so many rows in memory at a time."""

_event = sa.select(trail_event.c.chain, trail_event.c.seq, trail_event.c.body)
_in_order = (trail_event.c.at_s, trail_event.c.chain, trail_event.c.seq)


class Filter(msgspec.Struct, frozen=True):
    """Which events to export; empty: all. `since_s` is Unix seconds, inclusive."""

    app_id: str = ""
    solution_id: str = ""
    business_id: str = ""
    since_s: int = 0


def export(backend: Backend, only: Filter, write: Callable[[str], object]) -> int:
    """Give events to `write` as JSON lines, oldest first: `chain`, `seq`, and the event's own members. Returns how many.

    Raises StorageUnavailable, and the OSError that `write` raises. Not for a running event loop.
    """
    failed: list[OSError] = []

    def ask(connection: sa.Connection) -> int:
        found = connection.execution_options(**ROWS_AT_ONCE).execute(
            _event.where(trail_event.c.at_s >= only.since_s).order_by(*_in_order)
        )
        count = 0
        try:
            for chain, seq, body in found:
                if _is_wanted(body, only):
                    write(line_of(chain, seq, body))
                    count += 1
        except OSError as error:  # the reader's own: not for the backend to tell as its inability
            failed.append(error)
            found.close()
        return count

    count = backend.in_trail(ask)
    if failed:
        raise failed[0]
    return count


def tail(backend: Backend, count: int) -> list[str]:
    """Return the last events, oldest first, as `export` writes them. Raises StorageUnavailable. Not for a running event loop."""
    last = _event.order_by(*(column.desc() for column in _in_order)).limit(count)
    rows = backend.in_trail(lambda connection: connection.execute(last).all())
    return [line_of(*row) for row in reversed(rows)]


def find_trace(backend: Backend, trace_id: str) -> RefusalRecord | list[Event]:
    """Return the refusal under a trace id or, if there is none, the events: none at all when the id is unknown or too old.

    Raises StorageUnavailable, also for what cannot be read: another host may run a newer version. Not for a running event loop.
    """
    refusals = sa.select(refusal.c.body).where(refusal.c.trace_id == trace_id).order_by(refusal.c.id.desc()).limit(1)
    events = sa.select(trail_event.c.body).where(trail_event.c.trace_id == trace_id).order_by(*_in_order)

    def ask(connection: sa.Connection) -> RefusalRecord | list[Event]:
        refused = connection.scalar(refusals)
        if refused is not None:
            return msgspec.json.decode(refused, type=RefusalRecord)
        return [msgspec.json.decode(body, type=Event) for body in connection.scalars(events)]

    try:
        return backend.in_trail(ask)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise StorageUnavailable(
            f"{backend.trail_name}: what is kept under {trace_id} cannot be read; a newer multipartner wrote it, or it is damaged"
        ) from None


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


def line_of(chain: str, seq: int, body: bytes) -> str:
    """One event as `export` writes it."""
    place = msgspec.json.encode({"chain": chain, "seq": seq})
    if read_line(body) is None:
        return msgspec.json.encode({"chain": chain, "seq": seq, "unreadable": True}).decode()
    return (place[:-1] + b"," + body[1:]).decode()
