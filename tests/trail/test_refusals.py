"""The trail's best effort, and what people ask of the trail."""

import asyncio
import json

import pytest

from multipartner.domain.events import RefusalRecord
from multipartner.domain.reasons import Reason
from multipartner.storage.grouped_trail import TrailLimits
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.trail_reading import Filter, find_trace, tail
from written_trail import TrailPlace, exported, issued, opened, until


def refusal(number: int, *, known: bool, at_s: int = 5000) -> RefusalRecord:
    return RefusalRecord(f"refused{number}", at_s, Reason.NOTHING_SHARED, credential_id="601" if known else "")


def test_strangers_cannot_push_out_known_callers(place: TrailPlace) -> None:
    """Of what strangers cause 100 a second are kept, in a fifth of the room; the rest is counted."""

    async def use() -> int:
        async with opened(place, explain_kept=1000, limits=TrailLimits(waiting_refusals=50_000)) as trail:
            for number in range(500):
                trail.refused(refusal(number, known=True))
            for second in range(50):
                for number in range(200):
                    trail.refused(refusal(10_000 + number, known=False, at_s=5000 + second))
        return trail.dropped

    assert asyncio.run(use()) == 50 * 100
    kept = dict(place.rows("SELECT known, count(*) FROM refusal GROUP BY known"))
    assert kept[1] == 500
    assert 200 <= kept[0] <= 200 + 1000  # pruned every 1,000 rows
    assert isinstance(find_trace(place.backend, "refused0"), RefusalRecord)


def test_the_last_refusals_are_kept(place: TrailPlace) -> None:
    """The room for known callers is bounded, and the newest stay."""

    async def use() -> None:
        async with opened(place, explain_kept=1000) as trail:
            for number in range(6000):
                trail.refused(refusal(number, known=True))

    asyncio.run(use())

    kept = place.rows("SELECT count(*) FROM refusal")[0][0]
    assert 800 <= kept <= 800 + 1000
    assert find_trace(place.backend, "refused5999") != []
    assert find_trace(place.backend, "refused0") == []


def test_refusals_that_do_not_fit_are_counted(place: TrailPlace) -> None:
    """A full queue or an unwritable file drops refusals without blocking or raising, and says how many."""

    async def use() -> None:
        async with opened(place, limits=TrailLimits(waiting_refusals=10, lock_s=0.1)) as trail:
            async with place.locked():
                for number in range(30):
                    trail.refused(refusal(number, known=True))
                assert trail.dropped == 20
                await until(lambda: trail.dropped == 30)
            trail.refused(refusal(31, known=True))
        assert trail.dropped == 30

    asyncio.run(use())

    assert find_trace(place.backend, "refused31") != []


def test_a_flood_of_refusals_does_not_hold_up_events(place: TrailPlace) -> None:
    """An event goes before thousands of refusals that came earlier."""

    async def use() -> int:
        async with opened(place) as trail:
            for number in range(9000):
                trail.refused(refusal(number, known=True))
            await trail.record(issued(1))
            return len(trail._refusals)

    assert asyncio.run(use()) > 5000


def test_export_and_tail_read_what_is_asked_for(place: TrailPlace) -> None:
    """Events come oldest first as JSON lines, filtered by ids and time; the tail is the last of them."""

    async def use() -> None:
        async with opened(place) as trail:
            for number in range(6):
                await trail.record(issued(number, business_id=str(200 + number % 2)))

    asyncio.run(use())

    def jtis(only: Filter) -> list[str]:
        return [line["jti"] for line in exported(place.backend, only)]

    assert jtis(Filter(business_id="201")) == ["jti1", "jti3", "jti5"]
    assert jtis(Filter(business_id="201", app_id="301", solution_id="401", since_s=5003)) == ["jti3", "jti5"]
    assert jtis(Filter(business_id="201", app_id="302")) == []
    assert [json.loads(line)["kind"] for line in tail(place.backend, 2)] == ["token.issued", "writer.closed"]
    events = find_trace(place.backend, "trace4")
    assert isinstance(events, list)
    assert [event.jti for event in events] == ["jti4"]


@pytest.mark.parametrize(
    "body", [b"\x00\xff", b'{"reason":"of_a_later_version","trace_id":"refused0","at_s":1}'], ids=["damaged", "newer"]
)
def test_a_refusal_that_cannot_be_read_is_told_in_one_line(place: TrailPlace, body: bytes) -> None:
    """A refusal that a newer release kept, or that was damaged, is told as that, and not by a traceback."""

    async def use() -> None:
        async with opened(place) as trail:
            trail.refused(refusal(0, known=True))

    asyncio.run(use())
    place.run(f"UPDATE refusal SET body = {place.binary(body)}")  # noqa: S608 - the test's own words

    with pytest.raises(StorageUnavailable, match="refused0 cannot be read") as told:
        find_trace(place.backend, "refused0")
    assert "\n" not in str(told.value)
