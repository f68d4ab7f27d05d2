"""What is broken, for how long, and from when on it could work again."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
from drills.history import Recorder, Silence
from drills.rig import Rig
from drills.service import Replica

BOUND_S: Final = 1.0
"""`stale_for_s` as by default: how long after its acknowledgement a change may be unknown to a replica."""

_OUTAGE_S: Final = 6.0
_PAUSE_S: Final = 30.0
_AFTER_S: Final = 6.0


class Mended(msgspec.Struct, frozen=True):
    """When nothing stood in the way any more (monotonic), and who was affected.

    `until_s`: when it worked again, if the fault tells; `note`: what else was seen.
    """

    at_s: float
    replicas: str = "abc"
    until_s: float | None = None
    note: str = ""


Fault: TypeAlias = Callable[[Rig, Recorder], Awaitable[Mended]]


async def primary(rig: Rig, record: Recorder) -> Mended:
    """Kill the primary with all its processes, promote the standby 3 s later, bring the old one back as a standby."""
    killed_s = record.mark("primary killed")
    await asyncio.to_thread(rig.pair.primary.kill)
    await asyncio.sleep(3)
    record(Silence(killed_s + BOUND_S, time.monotonic(), "no primary, only a standby"))
    record.mark("standby promoted")
    await asyncio.to_thread(rig.pair.fail_over)
    at_s = await rig.pair.primary.writable_s()
    record.mark("new primary reachable")
    await asyncio.sleep(_AFTER_S)
    await rig.pair.bring_back()
    record.mark("old primary follows")
    await asyncio.sleep(_AFTER_S)
    return Mended(at_s, note=f"promoted {at_s - killed_s:.1f} s after the kill")


async def pause(rig: Rig, record: Recorder) -> Mended:
    """Stop one replica with SIGSTOP, go on after 30 s: it wakes with a cache of half a minute ago."""
    replica = rig.service.replicas[1]
    record.mark("replica b paused")
    replica.child.signal(signal.SIGSTOP)
    await asyncio.sleep(_PAUSE_S)
    replica.child.signal(signal.SIGCONT)
    at_s = record.mark("replica b resumed")
    await asyncio.sleep(_AFTER_S)
    return Mended(at_s, replicas="b", note="most of the lost were sent to the paused replica itself, past the proxy")


async def cut(rig: Rig, record: Recorder) -> Mended:
    """Reset all connections between service and database, and refuse new ones for 6 s."""
    since_s = record.mark("wire cut")
    for relay in rig.relays:
        await relay.cut()
    return await _without_database(rig, record, since_s, "wire cut")


async def silence(rig: Rig, record: Recorder) -> Mended:
    """Swallow every byte between service and database for 6 s, and tell nobody."""
    since_s = record.mark("wire silent")
    for relay in rig.relays:
        relay.hold()
    return await _without_database(rig, record, since_s, "wire silent")


async def _without_database(rig: Rig, record: Recorder, since_s: float, what: str) -> Mended:
    await asyncio.sleep(_OUTAGE_S)
    record(Silence(since_s + BOUND_S, time.monotonic(), what))
    at_s = record.mark("wire mended")
    for relay in rig.relays:
        await relay.open()
    await asyncio.sleep(_AFTER_S)
    return Mended(at_s)


async def redis(rig: Rig, record: Recorder) -> Mended:
    """Kill the Redis, start it again (empty) after 6 s. Recovered: all replicas count together again."""
    record.mark("Redis killed")
    rig.service.redis.kill()
    await asyncio.sleep(_OUTAGE_S)
    rig.service.redis.start()
    at_s = await rig.service.redis.answers_s()
    record.mark("Redis answers")
    until_s = None
    while until_s is None and time.monotonic() < at_s + 10:
        await asyncio.sleep(0.1)
        if await _all_share(rig.service.replicas):
            until_s = time.monotonic()
    await asyncio.sleep(2)
    return Mended(at_s, until_s=until_s, note="recovered: all replicas count in Redis again (reported once a second)")


async def _all_share(replicas: list[Replica]) -> bool:
    return all([await replica.metric("multipartner_shared_limits_up") == 1 for replica in replicas])


async def listener(rig: Rig, record: Recorder) -> Mended:
    """Drop every notification on its way for 15 s; only asking finds changes."""
    record.mark("notifications dropped")
    before = sum(relay.dropped for relay in rig.relays)
    deafen(rig, deaf=True)
    await asyncio.sleep(15)
    deafen(rig, deaf=False)
    at_s = record.mark("notifications arrive")
    dropped = sum(relay.dropped for relay in rig.relays) - before
    if not dropped:
        raise RuntimeError("no notification came to be dropped")
    await asyncio.sleep(3)
    return Mended(at_s, note=f"{dropped} notifications dropped")


def deafen(rig: Rig, *, deaf: bool) -> None:
    """Have notifications lost on their way, or not."""
    for relay in rig.relays:
        relay.deaf = deaf


async def disk(rig: Rig, record: Recorder) -> Mended:
    """Fill the file system that holds the trail's table to its last byte, make room after 6 s."""
    node = rig.pair.primary
    if not node.has_own_disk:
        raise RuntimeError("mounting a small file system needs root; the disk of this machine is not filled")
    ballast = node.disk / "ballast"
    record.mark("disk full")
    await asyncio.to_thread(_fill, ballast)
    full_s = time.monotonic()
    await asyncio.sleep(_OUTAGE_S)
    refusals = (await asyncio.to_thread(node.log.read_text)).count("No space left on device")
    ballast.unlink()
    at_s = record.mark("room made")
    if not refusals:
        raise RuntimeError("the disk was full, and the server did not notice")
    await asyncio.sleep(_AFTER_S)
    return Mended(at_s, note=f"full for {at_s - full_s:.0f} s; the server refused {refusals} statements")


def _fill(ballast: Path) -> None:
    place = os.open(ballast, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while os.write(place, bytes(size)):
                    pass
    finally:
        os.close(place)
