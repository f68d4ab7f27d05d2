"""Which figures there are, in which order, and what becomes of them."""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks import (
    report,
    rows_changes,
    rows_costs,
    rows_flood,
    rows_limits,
    rows_oidc,
    rows_postgres,
    rows_reads,
    rows_revocation,
    rows_scale,
    rows_simulation,
    rows_sockets,
    rows_start,
    rows_tokens,
    rows_torture,
    rows_warm,
)
from benchmarks.figures import FULL, QUICK, Line, Plan
from benchmarks.load import ensure_wrk
from benchmarks.world import World, world_of

SMALL = 1000

Row = Callable[[World, Plan], list[Line]]

ON_SMALL: dict[str, Row] = {
    "in-process": rows_warm.in_process,
    "statements": rows_warm.statements,
    "warm": rows_sockets.warm,
    "changes": rows_changes.obeyed,
    "flood": rows_flood.flood,
    "limits": rows_limits.limits,
}
ON_LARGE: dict[str, Row] = {
    "minting": rows_sockets.minting,
    "postgres": rows_postgres.against_sqlite,
    "oidc": rows_oidc.against_oidc,
    "revocation": rows_revocation.at_once,
    "scale": rows_scale.scale,
    "memory": rows_scale.memory,
    "start": rows_start.start,
    "costs": rows_costs.costs,
    "reads": rows_reads.reads,
}
OF_THE_CLIENT: dict[str, Callable[[Plan], list[Line]]] = {
    "hits": rows_tokens.hits,
    "tenants": rows_tokens.tenants,
    "torture": rows_torture.torture,
    "simulation": rows_simulation.simulation,
}
OF_THE_SERVICE = (
    *("in-process", "warm", "minting", "oidc", "scale", "memory", "statements", "changes", "revocation", "start", "flood"),
    *("limits", "costs", "reads", "postgres"),
)
PARTS = {"service": OF_THE_SERVICE, "client": tuple(OF_THE_CLIENT)}
"""Each has a table of its own in the page, with the date of its run."""

ORDER = tuple(name for rows in PARTS.values() for name in rows)


def main() -> None:
    """Measure all, one part, or the rows that are named, and write each part's table if it was all of them."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure the figures of the service and of the client.")
    parser.add_argument("plan", nargs="?", choices=("full", "quick"), default="full", help="quick: fewer pairs, 100,000 shares")
    parser.add_argument("--part", choices=PARTS, help="the service or the client alone, with its table")
    parser.add_argument("--only", action="append", choices=ORDER, help="a row; can be given again; the page is then not written")
    given = parser.parse_args()
    plan = QUICK if given.plan == "quick" else FULL
    # A stop must stop the servers as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if given.only:
        _all_of(given.only, plan)
        return
    for part in [given.part] if given.part else PARTS:
        begun, sources = time.monotonic(), report.sources()
        found = _all_of(PARTS[part], plan)
        if report.sources() != sources:
            sys.exit("the sources changed while they were measured: the page is left as it was")
        report.write(part, found, plan, time.monotonic() - begun)
        print(f"written: {report.PAGE}, {part}")


def _all_of(names: Sequence[str], plan: Plan) -> list[Line]:
    if set(names) - set(OF_THE_CLIENT):
        ensure_wrk()
    begun, found = time.monotonic(), list[Line]()
    for name in names:
        print(f"{time.monotonic() - begun:4.0f} s  {name} ...", flush=True)
        lines = _measured(name, plan)
        found += lines
        for line in lines:
            print(f"        {line.figure}: {line.measured} [{line.to_hold}] {line.held.value}; {line.note}", flush=True)
    return found


def _measured(name: str, plan: Plan) -> list[Line]:
    if name in OF_THE_CLIENT:
        return OF_THE_CLIENT[name](plan)
    return (ON_SMALL | ON_LARGE)[name](world_of(SMALL if name in ON_SMALL else plan.scale), plan)
