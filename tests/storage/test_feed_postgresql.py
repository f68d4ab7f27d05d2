"""The feed and the reads on PostgreSQL when notifications, connections, servers or time fail. Boot time is passed by hand."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from multipartner.storage import postgres_reader
from multipartner.storage.ports import Change, ChangeKind, StorageUnavailable
from multipartner.storage.postgres import Postgres, rotated
from multipartner.storage.triggers import FED
from storage.engines import PATIENCE_S, START, OnPostgres, on_reader
from storage.relay import Relay, relayed

if TYPE_CHECKING:
    from multipartner.storage.postgres_reader import PostgresReader

EVERYTHING = (Change(ChangeKind.EVERYTHING),)
SECOND_NS = 10**9
_OURS = "pg_stat_activity WHERE datname = current_database() AND application_name"
_KILLED = f"SELECT pg_terminate_backend(pid) FROM {_OURS} = 'multipartner {{}}'"  # noqa: S608 - a test's own words
_RENAMED = "UPDATE solution SET name = 'New'"
_RENAME = (Change(ChangeKind.SOLUTION, "401"),)


async def told(reader: "PostgresReader", engine: OnPostgres) -> Any:
    """What is told next, however long it takes."""
    while not (changes := reader.poll(engine.now_ns)):
        await reader.confirmation()
    return changes


def through_relay(engine: OnPostgres, use: Callable[[Any, Relay], Awaitable[None]], **options: Any) -> None:
    async def scenario() -> None:
        async with relayed(engine.url) as (relay, url):
            behind = OnPostgres(url)
            reader = behind.reader(**options)
            await reader.open()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    assert reader.poll(behind.now_ns) == ()
                    await use(reader, relay)
            finally:
                relay.open_gate.set()
                await reader.close()

    asyncio.run(scenario())


def test_a_notification_suffices(on_postgres: OnPostgres) -> None:
    """A change is obeyed as soon as it is notified, not at the next look."""

    async def use(reader: Any) -> None:
        heard = asyncio.create_task(reader.confirmation())
        await on_postgres.write(_RENAMED)
        await heard
        assert await told(reader, on_postgres) == _RENAME
        assert len(reader.take_lags_s()) == 1
        assert reader.take_lags_s() == ()

    on_reader(on_postgres, use, ask_every_s=3600)


def test_a_blocked_notification_is_made_up_for(on_postgres: OnPostgres) -> None:
    """When no notification comes, the look four times within `stale_for_s` finds the change."""

    async def use(reader: Any) -> None:
        ((source,),) = await on_postgres.fetch("SELECT pg_get_functiondef('feed_solution'::regproc)")
        await on_postgres.write(source.replace("PERFORM pg_notify('multipartner_change', '');", ""))
        await on_postgres.write(_RENAMED)
        assert await told(reader, on_postgres) == _RENAME

    on_reader(on_postgres, use)


@pytest.mark.parametrize("who", ["feed", "reader"])
def test_a_killed_connection_comes_back(on_postgres: OnPostgres, who: str) -> None:
    """When the server ends the listener, everything is dropped once and the feed goes on; an ended reader is replaced."""

    async def use(reader: Any) -> None:
        await on_postgres.fetch(_KILLED.format(who))
        if who == "feed":
            assert await told(reader, on_postgres) == EVERYTHING
        else:
            await reader.confirmation()
        await on_postgres.write(_RENAMED)
        assert await told(reader, on_postgres) == _RENAME
        assert (await reader.facts(on_postgres.world.tenant)).connected

    on_reader(on_postgres, use)


def test_an_unconfirmed_feed_stops_answering(on_postgres: OnPostgres) -> None:
    """A cache may answer for `stale_for_s` after the question that was answered last, not a nanosecond longer."""

    async def use(reader: Any, relay: Relay) -> None:
        relay.open_gate.clear()
        assert reader.poll(START + 200_000_000) == ()
        with pytest.raises(StorageUnavailable, match="feed cannot be confirmed"):
            reader.poll(START + 200_000_001)
        assert reader.lag_s(START + 200_000_001) == pytest.approx(0.2)

    through_relay(on_postgres, use, stale_for_s=0.2)


def test_a_silent_server_is_left_and_found_again(on_postgres: OnPostgres) -> None:
    """A peer that died without a word is noticed by its silence; when it speaks again, everything is dropped and reads go on."""

    async def use(reader: Any, relay: Relay) -> None:
        relay.open_gate.clear()
        moves = reader._feed.moves
        while reader._feed.moves == moves:
            await on_postgres.fetch("SELECT 1")
        assert reader.poll(START) == ()
        with pytest.raises(StorageUnavailable):
            reader.poll(START + SECOND_NS)
        relay.open_gate.set()
        await reader.confirmation()
        assert reader.poll(START) == EVERYTHING
        assert (await reader.facts(on_postgres.world.tenant)).connected

    through_relay(on_postgres, use, stale_for_s=0.2)


def test_a_process_that_slept_answers_after_asking(on_postgres: OnPostgres) -> None:
    """A process that was stopped for 30 s refuses until the feed is confirmed by a question asked after it woke."""

    async def use(reader: Any) -> None:
        await on_postgres.write(_RENAMED)
        await reader.confirmation()
        on_postgres.now_ns += 30 * SECOND_NS
        with pytest.raises(StorageUnavailable):
            reader.poll(on_postgres.now_ns)
        await reader.confirmation()
        assert reader.poll(on_postgres.now_ns) == _RENAME

    on_reader(on_postgres, use)


def test_a_read_that_slept_is_not_used(on_postgres: OnPostgres) -> None:
    """Facts that were read before a long stop and arrive after it decide nothing."""

    async def use(reader: Any) -> None:
        reading = asyncio.create_task(reader.facts(on_postgres.world.tenant))
        await asyncio.sleep(0)
        on_postgres.now_ns += 30 * SECOND_NS
        with pytest.raises(StorageUnavailable, match="too late"):
            await reading

    on_reader(on_postgres, use)


def test_a_restored_older_copy_is_noticed(on_postgres: OnPostgres) -> None:
    """A backup put in the database's place is what the next answers come from."""
    older = asyncio.run(on_postgres.fetch("SELECT * FROM change ORDER BY revision"))

    async def replaced(reader: Any) -> None:
        await on_postgres.write("UPDATE share SET status = 'WITHDRAWN'")
        assert await told(reader, on_postgres) == (Change(ChangeKind.SHARE, "401", "201"),)
        last = older[-1][0]
        await on_postgres.write(
            "UPDATE share SET status = 'ACTIVE'",
            f"DELETE FROM change WHERE revision > {last}",  # noqa: S608 - our number
            f"SELECT setval('change_revision_seq', {last})",
            unchecked=True,
        )
        assert await told(reader, on_postgres) == EVERYTHING
        assert (await reader.facts(on_postgres.world.tenant)).share.active

    on_reader(on_postgres, replaced)


def test_what_nobody_asks_for_is_bounded(on_postgres: OnPostgres) -> None:
    """A process without requests does not pile up changes: more than 1,000 become everything."""

    async def use(reader: Any) -> None:
        for _ in range(3):
            await on_postgres.write(
                "INSERT INTO change (kind, key1, key2) SELECT 'app', i::text, '' FROM generate_series(1, 400) i"
            )
            await reader.confirmation()
        assert reader.poll(on_postgres.now_ns) == EVERYTHING

    on_reader(on_postgres, use)


def test_a_read_is_one_question_and_one_answer(on_postgres: OnPostgres) -> None:
    """A cold grant costs one round trip: no transaction, no check before it and no reset after it."""

    async def use(reader: Any, relay: Relay) -> None:
        await reader.facts(on_postgres.world.tenant)
        relay.sent.clear()
        for _ in range(10):
            await reader.facts(on_postgres.world.tenant)
        assert dict(relay.sent) == {"B": 10, "E": 10, "S": 10}

    through_relay(on_postgres, use, stale_for_s=100, ask_every_s=3600)


def test_a_slow_server_is_waited_for_a_bounded_time(on_postgres: OnPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """More reads than connections on a table that is locked: all end in time as unavailable, and later ones succeed."""
    monkeypatch.setattr(postgres_reader, "READ_S", 0.3)

    async def use(reader: Any) -> None:
        blocker = await asyncpg.connect(on_postgres.url)
        await blocker.execute("BEGIN; LOCK TABLE share")
        reads = [reader.facts(on_postgres.world.tenant) for _ in range(5)]
        ends = await asyncio.gather(*reads, return_exceptions=True)
        assert [str(end).rpartition(": ")[2] for end in ends] == ["no answer in time"] * 5
        await blocker.close()
        assert (await reader.facts(on_postgres.world.tenant)).connected

    on_reader(on_postgres, use, connections=2)


def test_another_server_is_not_read_from(on_postgres: OnPostgres) -> None:
    """When reads would reach another server than the feed stands on, nothing is answered."""

    async def use(reader: Any) -> None:
        reader._feed.started = "another's"
        reader._let_go()
        with pytest.raises(StorageUnavailable, match="two servers"):
            await reader.facts(on_postgres.world.tenant)

    on_reader(on_postgres, use)


def test_a_server_left_behind_by_a_promotion_is_refused(on_postgres: OnPostgres) -> None:
    """An old primary that comes back after its standby was promoted does not confirm the feed."""

    async def use(reader: Any) -> None:
        reader._feed._timeline = "FFFFFFFF"
        await on_postgres.fetch(_KILLED.format("feed"))
        while "left behind" not in reader._feed._trouble:
            await on_postgres.fetch("SELECT 1")
        on_postgres.now_ns += 2 * SECOND_NS
        with pytest.raises(StorageUnavailable, match="left behind"):
            reader.poll(on_postgres.now_ns)

    on_reader(on_postgres, use)


def test_the_postgres_reader_writes_nothing(on_postgres: OnPostgres) -> None:
    """The corridor's connections cannot change a fact, whatever statement they were made to run."""

    async def use(reader: Any) -> None:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await reader._fetch("DELETE FROM share", ())

    on_reader(on_postgres, use)


def test_a_closed_reader_says_so(on_postgres: OnPostgres) -> None:
    """Before it is opened and after it is closed nothing is answered, and nothing is left connected."""
    reader = on_postgres.reader()

    async def scenario() -> None:
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                await reader.facts(on_postgres.world.tenant)
            await reader.open()
            await reader.close()
        with pytest.raises(StorageUnavailable):
            reader.poll(on_postgres.now_ns + 2 * SECOND_NS)
        while await on_postgres.fetch(f"SELECT 1 FROM {_OURS} <> ''"):  # noqa: S608 - as above
            pass

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@a:1,b:2,c:3/d?x=y", "postgresql://u:p@b:2,c:3,a:1/d?x=y"),
        ("postgresql://a,b/d", "postgresql://b,a/d"),
        ("postgresql://u@/d?host=x,y&a=1,2&port=1,2", "postgresql://u@/d?host=y,x&a=1,2&port=2,1"),
        ("postgresql://u@a/d", "postgresql://u@a/d"),
    ],
)
def test_the_next_host_is_tried_first(url: str, expected: str) -> None:
    """A host that keeps silent does not use up every attempt's time."""
    assert rotated(Postgres(url)) == Postgres(expected)


def test_every_fed_table_is_there(on_postgres: OnPostgres) -> None:
    """Each table of the feed has its three triggers."""
    found = asyncio.run(on_postgres.fetch("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE 'feed%'"))

    assert sorted(found) == sorted([(fed.table,) for fed in FED] * 3)
