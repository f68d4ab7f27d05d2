"""A trail with a known content, ways to damage it, and what must be said of it then."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from multipartner.domain.events import Event, EventKind
from multipartner.storage.audit import Report
from multipartner.storage.engine import Database, put_events
from multipartner.storage.trail import SqliteTrail

if TYPE_CHECKING:
    from storage.conftest import World

EVENTS = 12


def token(number: int, at_s: int = 5000) -> Event:
    return Event(EventKind.TOKEN_ISSUED, at_s + number, "credential:601", business_id=str(201 + number % 2), jti=f"jti{number}")


async def write_chain(world: "World", at_s: int, *, close: bool = True) -> str:
    trail = SqliteTrail(world.trail)
    await trail.open(at_s)
    for number in range(EVENTS):
        await trail.record(token(number, at_s))
    database = await Database.open(world.facts, world.trail)
    async with database.transaction() as connection:
        await put_events(connection, [Event(EventKind.SHARE_REVOKED, at_s + EVENTS, "operator:x")])
    await database.close()
    if close:
        await trail.close(at_s + 100)
    else:
        trail._is_open = False  # as if killed: the thread ends with the process
    return trail.chain_id


def tamper(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def assert_found(report: Report, words: str) -> None:
    assert not report.whole
    assert any(words in finding.text for finding in report.findings), report.findings
