"""Warm issuance in process: against a hello-world endpoint, and what it asks of the tables."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figures import Line, Plan, at_most, ratios, spread, sure
from benchmarks.in_process import App, Message, scope, service_of, status_of, time_all
from benchmarks.world import World, fresh_trail
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

BLOCK = 2000
CUSTOMERS = 100


async def _hello(_request: Request) -> JSONResponse:
    return JSONResponse({"hello": "world"})


def _requests(world: World, customers: int) -> list[Message]:
    return [scope(*world.target(business), world.token) for business in world.ids()[:customers]]


async def _warm(app: App, requests: list[Message]) -> None:
    for request in requests:
        assert await status_of(app, request) == 200
        assert await status_of(app, request) == 200


def in_process(world: World, plan: Plan) -> list[Line]:
    """Blocks of calls in turn: ours for a hundred customers, and hello-world with the same headers."""

    async def run(trail: Path) -> tuple[list[float], list[float]]:
        hello: App = Starlette(routes=[Route("/hello", _hello)])
        async with service_of(world, trail) as app:
            requests = _requests(world, CUSTOMERS)
            await _warm(app, requests)
            greeting = scope("/hello", "", world.token)
            assert await status_of(hello, greeting) == 200
            ours, theirs = [], []
            for _ in range(plan.blocks):
                ours.append(await time_all(app, requests * (BLOCK // CUSTOMERS)))
                theirs.append(await time_all(hello, [greeting] * BLOCK))
            return ours, theirs

    with fresh_trail(world) as trail:
        ours, theirs = asyncio.run(run(trail))
    found = ratios(ours, theirs)
    micro = [1e6 * seconds / BLOCK for seconds in ours], [1e6 * seconds / BLOCK for seconds in theirs]
    measured = f"{spread(found)}x; {spread(micro[0], 1)} µs against {spread(micro[1], 1)} µs"
    return [Line("warm issuance in process against a Starlette hello-world", "≤ 0.70x its time", measured, at_most(found, 0.7))]


@contextmanager
def _counted() -> Iterator[Counter[str]]:
    """Count the statements of every SQLite connection that is opened from here on, by their first word."""
    counts: Counter[str] = Counter()
    connect: Callable[..., Any] = sqlite3.connect

    def counting(*args: Any, **options: Any) -> sqlite3.Connection:  # noqa: ANN401 - whatever the library takes
        connection: sqlite3.Connection = connect(*args, **options)
        connection.set_trace_callback(lambda text: counts.update([text.split()[0].upper()]))
        return connection

    sqlite3.connect = counting  # type: ignore[assignment] # every door to a database is this one function
    try:
        yield counts
    finally:
        sqlite3.connect = connect


def statements(world: World, plan: Plan) -> list[Line]:
    """Warm calls with every statement of the process traced; the feed's own PRAGMA (each 50 ms) reads no table."""
    calls = plan.blocks * BLOCK

    async def run(trail: Path) -> tuple[Counter[str], Counter[str]]:
        with _counted() as counts:
            async with service_of(world, trail) as app:
                requests = _requests(world, CUSTOMERS)
                await _warm(app, requests)
                cold = counts.copy()
                for _ in range(plan.blocks):
                    # The once-a-second report of the service runs between blocks, as it does between requests.
                    await asyncio.sleep(0)
                    await time_all(app, requests * (BLOCK // CUSTOMERS))
                return cold, counts - cold

    with fresh_trail(world) as trail:
        cold, warm = asyncio.run(run(trail))
    assert cold["SELECT"] >= CUSTOMERS
    assert cold["INSERT"] > 0
    pragmas = warm.pop("PRAGMA", 0)
    reads, writes = warm.pop("SELECT", 0), warm.total()
    return [
        Line(
            "table reads / writes per warm issuance",
            "0 / 0",
            f"{reads} / {writes} statements in {calls:,} calls",
            sure(held=reads + writes == 0),
            f"the first {CUSTOMERS} calls took {cold['SELECT']} / {cold['INSERT']}; `PRAGMA data_version`: {pragmas}",
        )
    ]
