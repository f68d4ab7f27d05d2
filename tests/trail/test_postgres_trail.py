"""The trail in PostgreSQL when sessions end, the server goes away, or another one takes its place."""

import asyncio
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from multipartner.domain.events import RefusalRecord
from multipartner.domain.reasons import Reason
from multipartner.storage.audit import heads, verify
from multipartner.storage.grouped_trail import GroupedTrail
from multipartner.storage.ports import TrailUnavailable
from multipartner.storage.postgres import Postgres
from multipartner.storage.postgres_trail import PostgresTrail
from multipartner.storage.trail import TrailLimits
from multipartner.storage.trail_reading import find_trace
from postgres_server import PostgresServer, database_of, started_in
from storage.relay import relayed
from written_trail import InDatabase, issued, issued_in, opened, until


def _writer(trail: GroupedTrail) -> Any:
    return trail._writer


def test_an_ended_session_is_replaced_at_once(in_database: InDatabase) -> None:
    """When the server ends the idle session, the next event waits for a new one and is recorded; none is lost or doubled."""

    async def use() -> None:
        async with opened(in_database) as trail:
            await trail.record(issued(1))
            await in_database.end_sessions()
            await trail.record(issued(2))
            await trail.record(issued(3))

    asyncio.run(use())

    assert issued_in(in_database) == ["jti1", "jti2", "jti3"]
    assert verify(in_database.backend).findings == ()


def test_a_session_that_ends_within_a_batch_refuses_its_events(in_database: InDatabase) -> None:
    """Attack 77: events whose session was killed under them are refused, the chain goes on, and it verifies."""

    async def use() -> None:
        async with opened(in_database) as trail:
            async with in_database.locked():
                under_way = [asyncio.ensure_future(trail.record(issued(number))) for number in (1, 2)]
                await until(lambda: trail._under_way > 0)
                await _until_blocked(in_database)
                await in_database.end_sessions()
                outcomes = await asyncio.gather(*under_way, return_exceptions=True)
                assert [type(outcome) for outcome in outcomes] == [TrailUnavailable] * 2
            await trail.record(issued(3))

    asyncio.run(use())

    assert issued_in(in_database) == ["jti3"]
    assert verify(in_database.backend).findings == ()


async def _until_blocked(place: InDatabase) -> None:
    import asyncpg  # noqa: PLC0415 - for this alone

    connection = await asyncpg.connect(place.url)
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        " AND application_name = 'multipartner trail'"
    )
    while not await connection.fetchval(waiting):
        pass
    await connection.close()


def test_an_event_in_doubt_breaks_no_chain(in_database: InDatabase) -> None:
    """An event that was told as unrecorded, and then was committed after all, is one more link and nothing else."""
    recorded: list[str] = []

    async def use() -> None:
        async with opened(in_database, limits=TrailLimits(lock_s=60, record_s=0.05)) as trail:
            async with in_database.locked():
                taken = asyncio.ensure_future(trail.record(issued(1)))
                await until(lambda: trail._under_way > 0)
                await _until_blocked(in_database)
                with pytest.raises(TrailUnavailable):
                    await taken
            # Each attempt is an event of its own: on a busy machine one of these may be in doubt as well.
            for number in range(2, 1000):
                try:
                    await trail.record(issued(number))
                except TrailUnavailable:
                    continue
                recorded.append(f"jti{number}")
                if len(recorded) == 2:
                    break

    asyncio.run(use())

    assert len(recorded) == 2
    assert [jti for jti in issued_in(in_database) if jti in recorded] == recorded
    assert verify(in_database.backend).findings == ()


def test_a_lost_end_is_not_told(in_database: InDatabase) -> None:
    """While it is not known whether a last event will be committed, closing does not say where the chain ends."""

    async def use() -> None:
        trail = in_database.trail(limits=TrailLimits(lock_s=60, record_s=0.05))
        await trail.open(5000)
        async with in_database.locked():
            with pytest.raises(TrailUnavailable):
                await trail.record(issued(1))
            await trail.close(6000)

    asyncio.run(use())

    assert verify(in_database.backend).findings == ()
    assert [row[0] for row in in_database.rows("SELECT count(*) FROM trail_event WHERE chain = 'changes'")] == [1]


def test_a_chain_goes_on_from_what_a_standby_has(in_database: InDatabase) -> None:
    """After a failover to a server that lacks the last events, or even the chain's opening, the chain verifies and goes on."""

    async def use(deleted: str) -> None:
        async with opened(in_database) as trail:
            for number in range(4):
                await trail.record(issued(number))
            await asyncio.to_thread(in_database.run, deleted)
            await in_database.end_sessions()
            await trail.record(issued(9))

    asyncio.run(use("DELETE FROM trail_event WHERE chain <> 'changes' AND seq > 3"))
    assert issued_in(in_database) == ["jti0", "jti1", "jti9"]
    assert verify(in_database.backend).findings == ()

    in_database.run("DELETE FROM trail_event")
    asyncio.run(use("DELETE FROM trail_event"))
    assert issued_in(in_database) == ["jti9"]
    assert verify(in_database.backend).findings == ()
    assert len(heads(in_database.backend)) == 2


def test_a_server_that_takes_no_writes_is_left(in_database: InDatabase) -> None:
    """A server that became a standby refuses events; once it takes writes the trail comes back by itself."""

    async def use() -> None:
        async with opened(in_database) as trail:
            await trail.record(issued(1))
            await asyncio.to_thread(in_database.server.run, _READ_ONLY.format(name, "on"))
            await in_database.end_sessions()
            with pytest.raises(TrailUnavailable, match="no writes"):
                await trail.record(issued(2))
            assert not trail.is_writable()
            await asyncio.to_thread(in_database.server.run, _READ_ONLY.format(name, "off"))
            await until(trail.is_writable)
            await trail.record(issued(3))

    name = database_of(in_database.url)
    asyncio.run(use())

    assert issued_in(in_database) == ["jti1", "jti3"]
    assert verify(in_database.backend).findings == ()


_READ_ONLY = 'ALTER DATABASE "{}" SET default_transaction_read_only = {}'


def test_refusals_outlive_their_session(in_database: InDatabase) -> None:
    """Refusals are kept through a connection of their own, which comes back too."""

    async def use() -> None:
        async with opened(in_database) as trail:
            trail.refused(RefusalRecord("first", 5000, Reason.NOTHING_SHARED, credential_id="601"))
            keeper = _writer(trail)._refusals
            await until(keeper._keeping.done)
            before = keeper._connection._connection
            await in_database.end_sessions("multipartner refusals")
            await until(lambda: keeper._connection._connection is not before)
            trail.refused(RefusalRecord("second", 5000, Reason.NOTHING_SHARED, credential_id="601"))

    asyncio.run(use())

    assert isinstance(find_trace(in_database.backend, "first"), RefusalRecord)
    assert isinstance(find_trace(in_database.backend, "second"), RefusalRecord)


def test_a_silent_server_ends_in_time(in_database: InDatabase) -> None:
    """When the network swallows everything, events are refused within the patience; once it is back, so is the trail."""

    async def use() -> None:
        async with relayed(in_database.url) as (relay, url):
            trail = PostgresTrail(Postgres(url), limits=TrailLimits(record_s=0.2))
            await trail.open(5000)
            await trail.record(issued(1))
            relay.open_gate.clear()
            with pytest.raises(TrailUnavailable):
                await trail.record(issued(2))
            assert not trail.is_writable()
            relay.open_gate.set()
            await until(trail.is_writable)
            await trail.record(issued(3))
            await trail.close(6000)

    asyncio.run(use())

    assert set(issued_in(in_database)) >= {"jti1", "jti3"}
    assert verify(in_database.backend).findings == ()


@pytest.mark.filterwarnings("ignore")  # the wheel's own, at import
def test_a_server_that_was_stopped_or_crashed_is_found_again() -> None:
    """Server stopped, and server crashed: events are refused at once, acknowledged ones stay, the chain goes on by itself."""
    # A short path of its own folder: it holds the socket.
    with tempfile.TemporaryDirectory(prefix="mp-pg-") as folder:
        server = started_in(Path(folder) / "data")
        try:
            place = InDatabase(PostgresServer(server.get_uri()), server.get_uri())
            asyncio.run(_outlive(place, server))
            assert issued_in(place) == ["jti0", "jti1", "jti10", "jti11"]
            assert verify(place.backend).findings == ()
        finally:
            server.cleanup()


async def _outlive(place: InDatabase, server: Any) -> None:
    await (await place.backend.create()).close()
    async with opened(place) as trail:
        for number, stop in enumerate((server.stop, lambda: os.kill(server.get_pid(), signal.SIGQUIT))):
            await trail.record(issued(number))
            await asyncio.to_thread(stop)
            await until(lambda: not trail.is_writable())
            with pytest.raises(TrailUnavailable):
                await trail.record(issued(99))
            await until(lambda: not server.get_postmaster_info().process.is_running())
            await asyncio.to_thread(server.start)
            await until(trail.is_writable)
            await trail.record(issued(number + 10))


def test_no_server_is_told_in_one_line() -> None:
    """Opening where no server is raises TrailUnavailable: one line, and no password in it."""
    with pytest.raises(TrailUnavailable) as told:
        asyncio.run(PostgresTrail(Postgres("postgresql://somebody:hidden@127.0.0.1:1/nothing")).open(5000))

    assert "127.0.0.1:1" in str(told.value)
    assert "\n" not in str(told.value)
    assert "hidden" not in str(told.value)
