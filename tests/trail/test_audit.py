"""Attack 76: what was done to the trail behind our back is reported."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multipartner.storage.audit import Report, heads, read_anchor, verify
from multipartner.storage.chain import CHANGES
from multipartner.storage.ports import StorageUnavailable, TrailUnavailable
from multipartner.storage.postgres import Postgres
from multipartner.storage.postgres_backend import PostgresBackend
from multipartner.storage.retention import prune
from multipartner.storage.sqlite_backend import SqliteBackend
from multipartner.storage.tables import trail_event
from multipartner.storage.trail_reading import Filter, export
from written_trail import EVENTS, InDatabase, InFiles, TrailPlace, assert_found, rehash, write_chain


@pytest.fixture
def closed(place: TrailPlace) -> str:
    return asyncio.run(write_chain(place, 5000))


def test_an_untouched_trail_is_whole(place: TrailPlace, closed: str) -> None:
    """Nothing is reported where nothing was done, against an anchor either."""
    anchor = read_anchor(msgspec.json.encode(heads(place.backend)))
    report = verify(place.backend, anchor)

    assert report == Report(chains=2, events=EVENTS + 4, findings=(), pruned={}, pending=0)
    assert set(anchor) == {CHANGES, closed}


_SWAP = (
    "UPDATE trail_event SET body = (SELECT b.body FROM trail_event AS b WHERE b.chain = trail_event.chain"
    " AND b.seq = CASE trail_event.seq WHEN 4 THEN 5 ELSE 4 END) WHERE seq IN (4, 5) AND chain <> 'changes'"
)
_EDIT = "UPDATE trail_event SET body = {edited} WHERE seq = 5 AND chain <> 'changes'"
_DELETE = "DELETE FROM trail_event WHERE seq = 5 AND chain <> 'changes'"


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        ([_EDIT], "not the one that was written"),
        (["UPDATE trail_event SET body = {zero} WHERE seq = 5"], "cannot be read"),
        (["UPDATE trail_event SET at_s = 1 WHERE seq = 5"], "beside the event"),
        (["UPDATE trail_event SET trace_id = 'x' WHERE seq = 5"], "beside the event"),
        (["UPDATE trail_event SET hash = {zeros} WHERE seq = 5"], "not the one that was written"),
        ([_DELETE], "1 events are missing"),
        (["DELETE FROM trail_event WHERE seq < 4 AND chain <> 'changes'"], "3 events are missing"),
        ([_DELETE, "UPDATE trail_event SET seq = seq - 1 WHERE seq > 5"], "not the one that was written"),
        ([_SWAP], "not the one that was written"),
        (["DELETE FROM trail_event WHERE seq > 8 AND chain <> 'changes'"], "was closed at 13"),
        (["DELETE FROM trail_event WHERE chain <> 'changes'"], "its chain is gone"),
        (["UPDATE trail_event SET chain = 'other' WHERE chain <> 'changes'"], "no writer of this name"),
        (["DELETE FROM trail_event WHERE chain = 'changes' AND seq = 2"], "1 events are missing"),
        (["DELETE FROM trail_event WHERE chain = 'changes'"], "no writer of this name"),
    ],
    ids=[
        "edit",
        "garble",
        "time",
        "trace",
        "hash",
        "delete",
        "delete front",
        "delete and renumber",
        "swap two tenants",
        "cut tail of a closed chain",
        "delete chain",
        "rename chain",
        "delete change",
        "delete all changes",
    ],
)
def test_tampering_is_reported(place: TrailPlace, closed: str, statements: list[str], words: str) -> None:
    """Attack 76: edit, delete, reorder, swap and cut are each reported without an anchor."""
    del closed
    sql = {"edited": place.replaced("jti3", "jti9"), "zero": place.binary(bytes(1)), "zeros": place.binary(bytes(32))}
    place.run(*(statement.format_map(sql) for statement in statements))

    assert_found(verify(place.backend), words)


def test_a_value_of_another_type_is_reported(in_files: InFiles) -> None:
    """Attack 76: SQLite keeps whatever somebody puts into a column; text where bytes were is reported."""
    asyncio.run(write_chain(in_files, 5000))
    in_files.run("UPDATE trail_event SET body = 'text' WHERE seq = 5")

    assert_found(verify(in_files.backend), "not of the trail's form")


def test_a_cut_tail_is_reported_against_the_anchor(place: TrailPlace) -> None:
    """Attack 76: the end of a chain whose writer was killed can be cut unseen, but not against an anchor."""
    chain = asyncio.run(write_chain(place, 5000, close=False))
    anchor = heads(place.backend)
    place.run("DELETE FROM trail_event WHERE seq > 8 AND chain <> 'changes'")

    assert verify(place.backend).whole
    report = verify(place.backend, anchor)
    assert_found(report, "the end was cut")
    assert report.findings[0].chain == chain


def test_an_older_copy_put_back_is_reported_against_the_anchor(place: TrailPlace, closed: str) -> None:
    """Attack 76: a copy of yesterday's trail is whole in itself, and found out by an anchor of today."""
    del closed
    copy = place.copy()
    asyncio.run(write_chain(place, 7000))
    anchor = heads(place.backend)

    assert verify(copy).whole
    assert_found(verify(copy, anchor), "an older copy put back")


def test_a_rewritten_chain_is_reported_against_the_anchor(place: TrailPlace, closed: str) -> None:
    """Attack 76: who can compute hashes can rewrite a whole file so that it is whole; the anchor still knows better."""
    anchor = heads(place.backend)
    place.run(f"UPDATE trail_event SET body = {place.replaced('jti3', 'jti9')}")  # noqa: S608 - the test's own words
    rehash(place, closed)
    told = place.replaced(f'"head":"{anchor[closed].hash}"', f'"head":"{heads(place.backend)[closed].hash}"')
    place.run(f"UPDATE trail_event SET body = {told} WHERE chain = 'changes'")  # noqa: S608 - the test's own words
    rehash(place, CHANGES)

    assert verify(place.backend).whole
    assert_found(verify(place.backend, anchor), "rewritten")


Damage = Callable[[sa.Connection, int, int], None]
_ours = trail_event.c.chain != CHANGES


def _flip(connection: sa.Connection, seq: int, position: int) -> None:
    body = connection.execute(sa.select(trail_event.c.body).where(_ours, trail_event.c.seq == seq)).scalar_one()
    position %= len(body)
    other = body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]
    connection.execute(sa.update(trail_event).where(_ours, trail_event.c.seq == seq).values(body=other))


def _drop(connection: sa.Connection, seq: int, position: int) -> None:
    connection.execute(sa.delete(trail_event).where(_ours, trail_event.c.seq.between(seq, seq + position % 3)))


def _exchange(connection: sa.Connection, seq: int, position: int) -> None:
    other = 1 + (seq + position % EVENTS) % (EVENTS + 1)
    for old, new in ((seq, -1), (other, seq), (-1, other)):
        connection.execute(sa.update(trail_event).where(_ours, trail_event.c.seq == old).values(seq=new))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([_flip, _drop, _exchange]), st.integers(1, EVENTS + 1), st.integers(0, 500))
def test_any_single_damage_is_reported(place: TrailPlace, closed: str, damage: Damage, seq: int, position: int) -> None:
    """Attack 76: whichever event of a closed chain is altered by a bit, dropped or moved, `verify` says so."""
    del closed
    everything = sa.select(trail_event).order_by(trail_event.c.chain, trail_event.c.seq)

    def harm(connection: sa.Connection) -> tuple[list[dict[str, object]], bool]:
        with connection.begin():
            before = [dict(row) for row in connection.execute(everything).mappings()]
            damage(connection, seq, position)
            return before, [dict(row) for row in connection.execute(everything).mappings()] != before

    def restore(connection: sa.Connection) -> None:
        with connection.begin():
            connection.execute(sa.delete(trail_event))
            connection.execute(sa.insert(trail_event), before)

    before, changed = place.backend.in_trail(harm, write=True)
    try:
        assert verify(place.backend).whole is not changed
    finally:
        place.backend.in_trail(restore, write=True)


def test_an_export_that_cannot_be_written_says_why(place: TrailPlace, closed: str) -> None:
    """What fails while writing the export is told as that, and not as an inability of the database."""
    del closed

    def full(line: str) -> None:
        raise OSError(28, f"no space left after {len(line)} bytes")

    with pytest.raises(OSError, match="no space left"):
        export(place.backend, Filter(), full)


def test_what_is_no_anchor_is_said_so() -> None:
    """A wrong file is an error in words, not a clean bill of health."""
    with pytest.raises(ValueError, match="not an anchor"):
        read_anchor(b'{"changes": 5}')


def test_a_trail_that_is_not_there_cannot_be_read(in_database: InDatabase, in_files: InFiles) -> None:
    """No trail is no whole trail: verifying and pruning say in one line that there is none, and make none."""
    missing = in_files.folder / "missing.db"
    nowhere = in_database.server.url_of("multipartner_test_missing")
    for backend in (SqliteBackend(missing, missing), PostgresBackend(Postgres(nowhere))):
        with pytest.raises(StorageUnavailable) as unread:
            verify(backend)
        with pytest.raises(TrailUnavailable) as unpruned:
            prune(backend, before_s=1, at_s=1, actor="operator:x")
        assert "\n" not in f"{unread.value}{unpruned.value}"
    assert not missing.exists()
