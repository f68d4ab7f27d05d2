"""10,000 revocations under load: how long after the acknowledgement each replica refuses first."""

import asyncio
import statistics
import time
from collections import deque
from typing import Final

from benchmarks.world import SOLUTION
from drills.history import Change, Ended, Recorder, Said
from drills.load import Door, Held, Load
from drills.rig import Rig

from multipartner.domain.events import EventKind
from multipartner.domain.model import BusinessId, SolutionId
from multipartner.operating import open_store
from multipartner.partnering.acting import Act
from multipartner.storage.change_ports import ChangeStore, Effect

REVOCATIONS: Final = 10_000
_TOGETHER: Final = 10
_TRANSACTIONS_PER_S: Final = 25
_AHEAD: Final = 5
_ASK_AGAIN_S: Final = 0.002
_PATIENCE_S: Final = 5.0


async def revoke_many(rig: Rig, record: Recorder, load: Load, doors: list[Door]) -> list[float]:
    """Revoke shares, ten in a transaction; the first of the ten has a token that is warm on every replica.

    Returns, for each of those and each replica, the seconds from acknowledgement to the arrival of the first refusal.
    """
    businesses, lags_s, asking = deque(rig.world.take(REVOCATIONS)), list[float](), set[asyncio.Task[None]]()
    batches = [[businesses.popleft() for _ in range(_TOGETHER)] for _ in range(REVOCATIONS // _TOGETHER)]
    ready = deque[asyncio.Task[Held]]()
    next_s = time.monotonic()
    async with open_store(rig.world.settings) as store:
        for place, batch in enumerate(batches):
            for ahead in batches[place + len(ready) : place + _AHEAD]:
                ready.append(asyncio.create_task(_warm(load, doors, ahead[0])))
            held = await ready.popleft()
            next_s = max(time.monotonic() - 1, next_s + 1 / _TRANSACTIONS_PER_S)
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))
            acknowledged_s = await _revoke(store, record, batch)
            for door in doors:
                task = asyncio.create_task(_until_dead(load, door, (batch[0], held), acknowledged_s, lags_s))
                asking.add(task)
                task.add_done_callback(asking.discard)
    await asyncio.gather(*asking)
    return lags_s


def told(lags_s: list[float]) -> str:
    """Median, 99th percentile and maximum."""
    ordered = sorted(lags_s)
    middle, late, last = (1e3 * x for x in (statistics.median(ordered), ordered[int(0.99 * len(ordered))], ordered[-1]))
    return f"first refusals of {len(ordered):,} answers: median {middle:.0f} ms, 99 % {late:.0f} ms, maximum {last:.0f} ms"


async def _warm(load: Load, doors: list[Door], business: str) -> Held:
    deadline_s = time.monotonic() + _PATIENCE_S
    while (held := await load.client.issue(doors[0], business)) is None:
        if time.monotonic() > deadline_s:
            raise RuntimeError("no token before the revocation")
    await asyncio.gather(*(load.client.introspect(door, business, held) for door in doors))
    return held


async def _revoke(store: ChangeStore, record: Recorder, batch: list[str]) -> float:
    acts = {business: Act(f"operator:drill-lag-{business}", int(time.time())) for business in batch}
    sent_s = time.monotonic()
    async with store.transaction() as changes:
        for business, act in acts.items():
            if await changes.withdraw_share(BusinessId(business), SolutionId(SOLUTION), act.mark()) is not Effect.DONE:
                raise RuntimeError(f"{business} has no share to withdraw")
            await changes.record(act.event(EventKind.SHARE_REVOKED, business_id=business, solution_id=SOLUTION))
    acknowledged_s = time.monotonic()
    for business, act in acts.items():
        record(Change(business, sent_s, acknowledged_s, Ended.ACKNOWLEDGED, act.actor, takes=True))
    return acknowledged_s


async def _until_dead(load: Load, door: Door, what: tuple[str, Held], acknowledged_s: float, lags_s: list[float]) -> None:
    business, held = what
    while time.monotonic() < acknowledged_s + _PATIENCE_S:
        seen = await load.client.introspect(door, business, held)
        if seen.said is Said.DEAD:
            lags_s.append(seen.received_s - acknowledged_s)
            return
        await asyncio.sleep(_ASK_AGAIN_S)
    lags_s.append(_PATIENCE_S)
