"""Which drills there are, in which order, and what becomes of them."""

import argparse
import asyncio
import signal
import sys
import time
from math import inf, isinf
from pathlib import Path
from typing import Final

from drills.checking import count, first_change_s, first_new_token_s, lags_s, least_left_s, violations
from drills.faults import BOUND_S, Fault, Mended
from drills.history import Change, Ended, Record, Recorder, Said
from drills.load import Door, Load
from drills.report import Row
from drills.rig import Rig, running_rig

from drills import faults, lag, report

BUSINESSES: Final = 200
WARM_S: Final = 4.0
BACK_S: Final = 2.0
"""Issuing, and changes, must be back so soon after nothing stands in the way any more."""

FAULTS: Final[dict[str, Fault]] = {
    "primary": faults.primary,
    "pause": faults.pause,
    "cut": faults.cut,
    "silence": faults.silence,
    "redis": faults.redis,
    "listener": faults.listener,
    "disk": faults.disk,
}
LAGS: Final = {"revocations": False, "revocations-unheard": True}
"""Whether notifications are dropped."""

TITLES: Final = {
    "primary": "kill -9 the primary, promote the standby, bring the old one back",
    "pause": "pause a replica for 30 s",
    "cut": "cut service from database for 6 s: connections reset and refused",
    "silence": "cut service from database for 6 s: silence",
    "redis": "kill the Redis, start it after 6 s",
    "listener": "drop all notifications for 15 s",
    "revocations": "10,000 revocations, notifications arrive",
    "revocations-unheard": "10,000 revocations, notifications dropped",
    "disk": "fill the disk of the trail for 6 s",
}


def main() -> None:
    """Drill all, or what is named, and write the page if it was all. Exit code 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="make drill", description="Break a real cluster under load, and check what was seen.")
    parser.add_argument(
        "--only", action="append", choices=TITLES, help="a drill; can be given again; the page is then not written"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the recorded histories and the logs here")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    begun_s = time.monotonic()
    rows = asyncio.run(_drill(given.only or list(TITLES), given.keep))
    if not given.only:
        report.write(rows, time.monotonic() - begun_s)
        print(f"written: {report.PAGE}")
    sys.exit(any(row.findings for row in rows))


async def _drill(names: list[str], keep: Path | None) -> list[Row]:
    begun_s, rows = time.monotonic(), list[Row]()
    async with running_rig() as rig:
        for name in names:
            print(f"{time.monotonic() - begun_s:4.0f} s  {TITLES[name]} ...", flush=True)
            rows.append(await _one(rig, name))
            print(f"        {rows[-1].text()}", flush=True)
        if keep is not None:
            await asyncio.to_thread(_keep, rig.folder, keep)
    return rows


def _keep(folder: Path, keep: Path) -> None:
    keep.mkdir(parents=True, exist_ok=True)
    for path in [*folder.glob("*.jsonl"), *folder.glob("*.log")]:
        (keep / path.name).write_bytes(path.read_bytes())


async def _one(rig: Rig, name: str) -> Row:
    record, doors, since_s = Recorder(rig.folder / f"{name}.jsonl"), rig.doors(), int(time.time())
    many = name in LAGS
    load = Load(rig.world, doors, record, rig.world.take(BUSINESSES), pace=0.4 if many else 1)
    try:
        async with load.running():
            await asyncio.sleep(WARM_S)
            mended = await (_lag(rig, record, load, doors[1:], name) if many else FAULTS[name](rig, record))
            await asyncio.sleep(1)
    finally:
        record.close()
        for door in doors:
            door.close()
    found = violations(record.records, await rig.truth(since_s), BOUND_S) + await rig.audit()
    return _row(name, record.records, mended, found)


async def _lag(rig: Rig, record: Recorder, load: Load, doors: list[Door], name: str) -> Mended:
    faults.deafen(rig, deaf=LAGS[name])
    try:
        seen_s = await lag.revoke_many(rig, record, load, doors)
    finally:
        faults.deafen(rig, deaf=False)
    return Mended(time.monotonic(), note=lag.told(seen_s))


def _row(name: str, records: list[Record], mended: Mended, found: list[str]) -> Row:
    changes = [record.ended for record in records if isinstance(record, Change)]
    lost, transient = count(records, Said.LOST), count(records, Said.TRANSIENT)
    back_s = mended.until_s or max(first_new_token_s(records, door, mended.at_s) for door in mended.replicas)
    change_s = first_change_s(records, mended.at_s) - mended.at_s
    interrupted = name not in (*LAGS, "listener")
    if interrupted and back_s - mended.at_s > BACK_S:
        found.append(f"issuing came back {back_s - mended.at_s:.1f} s after nothing stood in the way any more")
    return Row(
        TITLES[name],
        sent=sum(count(records, said) for said in Said),
        lost=lost,
        transient=transient,
        back_s=back_s - mended.at_s if interrupted and not isinf(back_s) else None,
        change_s=change_s if interrupted and change_s < inf else None,
        latest_s=max(lags_s(records), default=0.0),
        least_left_s=least_left_s(records),
        changes=tuple(changes.count(ended) for ended in Ended),
        findings=tuple(found),
        note=mended.note,
    )
