"""Processor time of what is not warm, in process: first calls, and each way to fail authentication."""

import asyncio
import zlib
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Held, Line, Plan, spread, sure
from benchmarks.in_process import Message, cpu_of_all, scope, service_of, status_of
from benchmarks.world import World, fresh_trail

from multipartner.crypto.credentials import CredentialType, new_credential

BLOCK = 500
_AT_ONCE = 32
UNLIMITED = {"failures_per_hour": 1_000_000_000}


def bad_tokens(world: World) -> dict[str, Callable[[], str]]:
    """How a caller token can be wrong: no credential of ours, an unknown one, a known one with another secret."""

    def forged() -> str:
        _, text = new_credential(CredentialType.CALLER)
        return text

    def guessed() -> str:
        # The checksum is right for the guess: the text has to reach the comparison.
        body = "_".join([*world.token.split("_")[:2], forged().split("_")[2]])
        return f"{body}_{zlib.crc32(body.encode()):08x}"

    return {"malformed": lambda: "no-token-of-ours", "unknown": forged, "wrong secret": guessed}


def costs(world: World, plan: Plan) -> list[Line]:
    """Processor time of the whole process, the thread of the trail included."""
    blocks = max(4, plan.blocks // 5)

    async def run(trail: Path) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {"cold": []}
        async with service_of(world, trail, **UNLIMITED) as app:
            ids = iter(world.ids())
            ways = bad_tokens(world)
            assert await status_of(app, scope(*world.target(next(ids)), world.token)) == 200
            for _ in range(blocks):
                fresh = [scope(*world.target(next(ids)), world.token) for _ in range(BLOCK)]
                found["cold"].append(1e6 * await cpu_of_all(app, fresh, _AT_ONCE) / BLOCK)
                for name, make in ways.items():
                    bad = [_refused(world, make()) for _ in range(BLOCK)]
                    assert await status_of(app, bad[0]) == 401
                    found.setdefault(name, []).append(1e6 * await cpu_of_all(app, bad) / BLOCK)
        return found

    with fresh_trail(world) as trail:
        found = asyncio.run(run(trail))
    cold = found.pop("cold")
    worst = max(sorted(values)[len(values) // 2] for values in found.values())
    told = ", ".join(f"{name} {spread(values, 0)}" for name, values in found.items())
    return [
        Line(
            f"processor time of a cold call (read, sign, trail), {_AT_ONCE} at once",
            "stated",
            f"{spread(cold, 0)} µs",
            Held.STATED,
            f"{world.shares:,} shares",
        ),
        Line("processor time of a failed authentication (attack 16)", "≤ 1,000 µs", f"{told} µs", sure(held=worst <= 1000)),
    ]


def _refused(world: World, token: str) -> Message:
    return scope(*world.target("1000000000000000"), token, address="127.0.0.2")
