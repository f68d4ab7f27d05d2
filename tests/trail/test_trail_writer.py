"""The thread of the trail on SQLite: what it writes together, and that it goes on by itself."""

import asyncio
import queue
from collections import deque
from collections.abc import Iterator

import pytest

from multipartner.domain.events import RefusalRecord
from multipartner.storage.audit import verify
from multipartner.storage.chain import entry_of_event
from multipartner.storage.grouped_trail import MOST_AT_ONCE, Waiting
from multipartner.storage.trail_writer import Handed, TrailWriter
from written_trail import InFiles, issued, issued_in, opened


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def _settled(in_files: InFiles, *handed: Handed) -> list[tuple[int, str | None]]:
    """What a writer tells of events that all wait when it begins."""
    events: queue.SimpleQueue[Handed | None] = queue.SimpleQueue()
    told: list[tuple[int, str | None]] = []
    writer = TrailWriter(in_files.file, events, deque[RefusalRecord]())
    writer.open("5000-chain", 5000)
    for one in handed:
        events.put(one)
    writer.stop(6000)
    writer.run(lambda count, error: told.append((count, error)))
    return told


def test_what_waits_is_written_together_in_order(in_files: InFiles, loop: asyncio.AbstractEventLoop) -> None:
    """Events handed over one after the other share a commit, up to what fits into one; all in the order of their coming."""
    waiting = [Waiting(entry_of_event(issued(number)), loop.create_future()) for number in range(MOST_AT_ONCE + 2)]

    told = _settled(in_files, *(Handed([one]) for one in waiting))

    assert told == [(MOST_AT_ONCE, None), (2, None)]
    assert issued_in(in_files) == [f"jti{number}" for number in range(MOST_AT_ONCE + 2)]
    assert verify(in_files.backend).whole


def test_what_must_not_be_written_is_refused_in_its_turn(in_files: InFiles, loop: asyncio.AbstractEventLoop) -> None:
    """Attack 77: events handed over while the file was away are refused, those before and after them are written."""
    one, two, three, gone = (Waiting(entry_of_event(issued(number)), loop.create_future()) for number in range(4))
    gone.future.cancel()

    told = _settled(in_files, Handed([one]), Handed([two], "moved"), Handed([gone]), Handed([three]))

    assert told == [(1, None), (1, "moved"), (2, None)]
    assert issued_in(in_files) == ["jti0", "jti2"]
    assert verify(in_files.backend).whole


def test_events_become_durable_while_the_loop_is_busy(in_files: InFiles) -> None:
    """What was handed over in several turns needs none more: between two commits the thread does not wait for the loop."""

    async def use() -> None:
        async with opened(in_files) as trail:
            tasks = []
            for number in range(5):
                tasks.append(asyncio.ensure_future(trail.record(issued(number))))
                for _ in range(3):  # one turn to gather, one to hand over
                    await asyncio.sleep(0)
            # The loop stands still here: it reads the file until all of them are there.
            while len(issued_in(in_files)) < 5:
                pass
            await asyncio.gather(*tasks)

    asyncio.run(use())

    assert verify(in_files.backend).whole
