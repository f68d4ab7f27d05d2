"""The trail's writer: fails closed, keeps order, survives."""

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
from typing import Any

import pytest

from multipartner.domain.events import Event
from multipartner.storage.audit import verify
from multipartner.storage.backend import Backend
from multipartner.storage.grouped_trail import GroupedTrail
from multipartner.storage.ports import TrailUnavailable
from multipartner.storage.trail import SqliteTrail, TrailLimits
from written_trail import InFiles, TrailPlace, exported, issued, issued_in, opened, until


def test_a_recorded_event_is_on_disk(place: TrailPlace) -> None:
    """When `record` returns, another process reads the event; all of them, once, in an unbroken chain."""

    async def use() -> None:
        async with opened(place) as trail:
            await trail.record(issued(0))
            assert await asyncio.to_thread(issued_in, place) == ["jti0"]
            assert trail.is_writable()
            await asyncio.gather(*(trail.record(issued(number)) for number in range(1, 600)))
            assert trail.waiting == 0

    asyncio.run(use())

    assert issued_in(place) == [f"jti{number}" for number in range(600)]
    report = verify(place.backend)
    assert report.whole
    assert report.chains == 2


def test_several_writers_share_the_file(place: TrailPlace) -> None:
    """Two writers at once keep a chain each, and the shared chain names both."""

    async def use() -> None:
        async with opened(place) as one, opened(place) as other:
            await asyncio.gather(*(trail.record(issued(number)) for number in range(50) for trail in (one, other)))

    asyncio.run(use())

    assert len(issued_in(place)) == 100
    report = verify(place.backend)
    assert report.whole
    assert report.chains == 3


def test_a_locked_trail_refuses_and_recovers(place: TrailPlace) -> None:
    """Attack 77: while the file cannot be written nothing is recorded, and what was refused is not in the chain afterwards."""

    async def use() -> None:
        async with opened(place, limits=TrailLimits(lock_s=0.05)) as trail:
            await trail.record(issued(1))
            async with place.locked():
                outcomes = await asyncio.gather(*(trail.record(issued(number)) for number in (2, 3)), return_exceptions=True)
                assert [type(outcome) for outcome in outcomes] == [TrailUnavailable] * 2
            await trail.record(issued(4))

    asyncio.run(use())

    assert issued_in(place) == ["jti1", "jti4"]
    assert verify(place.backend).whole


def test_a_full_disk_refuses_and_recovers(in_files: InFiles) -> None:
    """Attack 77: when the file may not grow nothing is recorded; with room again the chain goes on where it stood."""

    async def fill(trail: GroupedTrail) -> int:
        for number in range(1, 2000):
            try:
                await trail.record(issued(number, business_id="9" * 3000))
            except TrailUnavailable:
                return number
        raise AssertionError("the disk did not fill")

    async def use() -> tuple[int, list[str]]:
        async with opened(in_files) as trail:
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            # Python ignores SIGXFSZ, so the write itself fails as it would on a full disk.
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
            try:
                failed = await fill(trail)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            await trail.record(issued(5000))
            return failed, issued_in(in_files)

    failed, kept = asyncio.run(use())

    assert kept == [*(f"jti{number}" for number in range(1, failed)), "jti5000"]
    assert verify(in_files.backend).whole


def test_a_moved_trail_refuses(in_files: InFiles) -> None:
    """Attack 77: events are not written into a file that no longer has the trail's name."""

    async def use() -> None:
        async with opened(in_files) as trail:
            in_files.file.rename(in_files.file.with_suffix(".away"))
            with pytest.raises(TrailUnavailable):
                await trail.record(issued(1))
            in_files.file.with_suffix(".away").rename(in_files.file)
            await trail.record(issued(2))

    asyncio.run(use())

    assert issued_in(in_files) == ["jti2"]


def test_a_slow_trail_times_out_and_what_still_waits_is_not_written(place: TrailPlace) -> None:
    """A caller waits a bounded time; an event nobody waits for any more is not written later."""

    async def use() -> None:
        async with opened(place, limits=TrailLimits(lock_s=60, record_s=0.05)) as trail:
            async with place.locked():
                taken = asyncio.ensure_future(trail.record(issued(1)))
                await until(lambda: _is_in_a_statement(trail))
                with pytest.raises(TrailUnavailable, match="in time"):
                    await trail.record(issued(2))
                with pytest.raises(TrailUnavailable, match="in time"):
                    await taken
            await _recorded(trail, issued(3))

    asyncio.run(use())

    assert "jti2" not in issued_in(place)
    assert issued_in(place)[-1] == "jti3"
    assert verify(place.backend).whole


def _is_in_a_statement(trail: Any) -> bool:
    """Whether what was handed over is being written, so that nothing more comes into its commit."""
    thread = getattr(trail._writer, "_writer", None)
    return trail._under_way > 0 and (thread is None or thread._head is None)


async def _recorded(trail: GroupedTrail, event: Event) -> None:
    """Record although the time-out of this test is short."""
    while True:
        try:
            return await trail.record(event)
        except TrailUnavailable:
            await asyncio.sleep(0)


def test_a_cancelled_waiter_does_not_break_the_others(place: TrailPlace) -> None:
    """A client that hangs up takes only its own event along."""

    async def use() -> None:
        async with opened(place) as trail:
            tasks = [asyncio.ensure_future(trail.record(issued(number))) for number in range(20)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert outcomes[1::2] == [None] * 10
            await trail.record(issued(100))

    asyncio.run(use())

    assert {f"jti{number}" for number in range(1, 20, 2)} | {"jti100"} <= set(issued_in(place))
    assert verify(place.backend).whole


def test_too_many_waiting_events_are_refused(place: TrailPlace) -> None:
    """The queue is bounded: what does not fit is refused at once."""

    async def use() -> None:
        async with opened(place, limits=TrailLimits(waiting_events=3)) as trail:
            outcomes = await asyncio.gather(*(trail.record(issued(number)) for number in range(10)), return_exceptions=True)
            assert [outcome is None for outcome in outcomes] == [True] * 3 + [False] * 7

    asyncio.run(use())

    assert issued_in(place) == ["jti0", "jti1", "jti2"]


def test_a_closed_trail_refuses(place: TrailPlace) -> None:
    """Before opening and after closing nothing is recorded, and closing twice is no mistake."""

    async def use() -> None:
        trail = place.trail()
        assert not trail.is_writable()
        with pytest.raises(TrailUnavailable, match="closed"):
            await trail.record(issued(1))
        await trail.open(5000)
        await trail.close(6000)
        await trail.close(6000)
        with pytest.raises(TrailUnavailable, match="closed"):
            await trail.record(issued(2))

    asyncio.run(use())


def test_a_missing_trail_cannot_be_opened(in_files: InFiles) -> None:
    """No trail file, no trail: it is not made in passing."""
    missing = in_files.folder / "missing.db"
    with pytest.raises(TrailUnavailable):
        asyncio.run(SqliteTrail(missing).open(1))

    assert not missing.exists()


_CHILD = """
import asyncio, pathlib, sys
from multipartner.domain.events import Event, EventKind
from multipartner.storage.postgres import Postgres
from multipartner.storage.postgres_backend import PostgresBackend
from multipartner.storage.sqlite_backend import SqliteBackend
async def issue(trail, name):
    for number in range(100000):
        await trail.record(Event(EventKind.TOKEN_ISSUED, 5000, "credential:601", jti=f"{name}-{number}"))
        print(f"{name}-{number}", flush=True)
async def change(database):
    for number in range(100000):
        async with database.transaction() as connection:
            await database.put_events(connection, [Event(EventKind.SHARE_REVOKED, 5000, "operator:x", jti=f"change-{number}")])
        print(f"change-{number}", flush=True)
async def main(*place):
    backend = PostgresBackend(Postgres(*place)) if len(place) == 1 else SqliteBackend(*map(pathlib.Path, place))
    trail = backend.trail(explain_kept=1000)
    await trail.open(5000)
    database = await backend.open()
    await asyncio.gather(change(database), *(issue(trail, name) for name in "abc"))
asyncio.run(main(*sys.argv[1:]))
"""


def test_kill_9_loses_no_acknowledged_event(place: TrailPlace) -> None:
    """Attack 77: killed at a random point, the chain verifies and every acknowledged event stands in it exactly once."""
    chance = random.Random(77)  # noqa: S311 - where to kill, not a secret
    acknowledged: list[str] = []
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", _CHILD, *place.arguments], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        acknowledged += [process.stdout.readline().strip() for _ in range(chance.randrange(20, 400))]
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += [line.strip() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        process.stdout.close()
        process.wait(30)

    asyncio.run(_open_and_close(place.backend))

    kept = [line["jti"] for line in exported(place.backend) if "jti" in line]
    assert len(acknowledged) > 60
    for jti in set(acknowledged):
        assert kept.count(jti) >= acknowledged.count(jti)
    assert all(kept.count(jti) <= 3 for jti in set(kept))
    report = verify(place.backend)
    assert report.findings == ()
    assert report.pending == 0


async def _open_and_close(backend: Backend) -> None:
    await (await backend.open()).close()
