"""A flood of bad tokens beside a caller that asks properly: the caller alone, the flood alone, and both, in turn.

The caller is on 127.0.0.2, the flood on 127.0.0.1: two addresses, so the flood's failures do not count for the caller.
"""

import contextlib
import itertools
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from benchmarks.figures import Line, Plan, at_least, spread
from benchmarks.load import Load, begin, finish
from benchmarks.rows_costs import UNLIMITED, bad_tokens
from benchmarks.serving import Server, ask, running, serve_command
from benchmarks.world import World, fresh_trail

PAUSE_MS = 45
CONNECTIONS = 480
"""Each makes a call every 45 ms and a little more: 10,000 bad tokens a second, nearly whatever the answers take."""

CORES = len(os.sched_getaffinity(0))
_CALLER = "127.0.0.2"
_CUSTOMERS = 100
_TOKENS = 20_000
_SETTLE_S = 0.3


class Round(msgspec.Struct, frozen=True):
    """One round. `share`: of all processors of the machine, what the flood alone kept the worker busy with."""

    alone_per_s: float
    beside_per_s: float
    alone_p99_us: float
    beside_p99_us: float
    flood_per_s: float
    share: float


def flood(world: World, plan: Plan) -> list[Line]:
    """With the limit per address in force, and with it lifted, as if every bad token came from an address of its own."""
    return [
        _line("its address is limited, as by default", _measure(world, plan, {})),
        _line("each of its calls is authenticated (limit lifted)", _measure(world, plan, UNLIMITED)),
    ]


def _measure(world: World, plan: Plan, settings: dict[str, int]) -> list[Round]:
    ways = list(bad_tokens(world).values())
    with tempfile.TemporaryDirectory(prefix="multipartner-bench-") as folder, fresh_trail(world) as trail:
        tokens = Path(folder) / "tokens.txt"
        tokens.write_text("\n".join(ways[at % len(ways)]() for at in range(_TOKENS)) + "\n")
        told = {"BENCH_IDS": str(tokens), "BENCH_PATH": "?".join(world.target(world.ids()[0])), "BENCH_PAUSE_MS": str(PAUSE_MS)}
        with running(serve_command(world, trail, **settings)) as server:
            assert ask(server, world, world.ids()[0])[0] == 200
            good = good_caller(server, world)
            good(_SETTLE_S)
            return [_round(server, told, good, plan.seconds) for _ in range(max(3, plan.pairs * 2 // 3))]


def _round(server: Server, told: dict[str, str], good: Callable[[float], list[float]], seconds: float) -> Round:
    alone = good(seconds)
    before = server.cpu_s()
    flood_alone = _beside(server, told, seconds, lambda: None)
    busy_s = server.cpu_s() - before
    beside: list[float] = []
    both = _beside(server, told, seconds + 1, lambda: beside.extend(good(seconds)))
    return Round(
        alone_per_s=len(alone) / seconds,
        beside_per_s=len(beside) / seconds,
        alone_p99_us=1e6 * statistics.quantiles(alone, n=100)[98],
        beside_p99_us=1e6 * statistics.quantiles(beside, n=100)[98],
        flood_per_s=both.per_s,
        share=busy_s / CORES / (1e-6 * flood_alone.duration_us) * both.per_s / flood_alone.per_s,
    )


def _beside(server: Server, told: dict[str, str], seconds: float, act: Callable[[], None]) -> Load:
    process = begin(server.url, "flood.lua", told, seconds, CONNECTIONS)
    time.sleep(_SETTLE_S)
    act()
    load = finish(process, refusals=True)
    if load.failed != load.requests:
        raise RuntimeError(f"{load.requests - load.failed} bad tokens were not refused")
    return load


def good_caller(server: Server, world: World) -> Callable[[float], list[float]]:
    """A caller with one connection from another address, as fast as it is answered; returns the latencies in seconds."""
    lines = f"Host: bench\r\nUser-Agent: python-httpx/0.28.1\r\nAccept: */*\r\nAuthorization: Bearer {world.token}\r\n\r\n"
    asks = [f"GET {'?'.join(world.target(b))} HTTP/1.1\r\n{lines}".encode() for b in world.ids()[:_CUSTOMERS]]

    def call(seconds: float) -> list[float]:
        latencies: list[float] = []
        with contextlib.closing(socket.create_connection(server.address, source_address=(_CALLER, 0))) as door:
            door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end = time.perf_counter() + seconds
            for request in itertools.cycle(asks):
                begun = time.perf_counter()
                if begun >= end:
                    return latencies
                door.sendall(request)
                answer = door.recv(65536)
                while not answer.endswith(b"}"):
                    answer += door.recv(65536)
                if not answer.startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(f"the good caller was answered {answer[:200]!r}")
                latencies.append(time.perf_counter() - begun)
        return latencies

    return call


def _line(name: str, rounds: list[Round]) -> Line:
    slowed = [r.beside_per_s / r.alone_per_s for r in rounds]
    kept = [s / (1 - r.share) for s, r in zip(slowed, rounds, strict=True)]
    p99 = [r.beside_p99_us / r.alone_p99_us for r in rounds]
    rate = statistics.median(r.flood_per_s for r in rounds)
    without = statistics.median(r.alone_per_s for r in rounds)
    return Line(
        f"good caller beside {rate:,.0f} bad tokens/s; {name}",
        "slowed by no more than the flood's share of the processors",
        f"{spread(slowed)} of its requests/s ({without:,.0f} without)",
        at_least(kept, 1),
        f"the flood takes {spread([r.share for r in rounds])} of the machine's processors; p99 {spread(p99, 1)}x",
    )
