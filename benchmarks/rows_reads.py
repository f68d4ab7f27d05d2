"""What a read costs in process: nothing of it is cached, so each asks the tables."""

import asyncio
import json
from pathlib import Path

from benchmarks.figures import Held, Line, Plan, spread
from benchmarks.in_process import App, Message, receive, scope, service_of, status_of, time_all
from benchmarks.world import OWNER, SOLUTION, VERSION, World, fresh_trail

CALLS = 200
BUSINESS = "6000219875531001"


def reads(world: World, plan: Plan) -> list[Line]:
    """Blocks of calls in turn: a solution, a WABA, and first pages of the lists that grow with the customers."""

    async def run(trail: Path) -> dict[str, list[float]]:
        async with service_of(world, trail) as app:
            wanted = {name: scope(f"/{VERSION}/{path}", query, world.token) for name, (path, query) in _paths().items()}
            wanted["a WABA"] = scope(f"/{VERSION}/{await _some_waba(app, wanted['25 shared accounts'])}", "", world.token)
            micro: dict[str, list[float]] = {name: [] for name in wanted}
            for request in wanted.values():
                assert await status_of(app, request) == 200
            for _ in range(plan.blocks):
                for name, request in wanted.items():
                    micro[name].append(1e6 * await time_all(app, [request] * CALLS) / CALLS)
            return micro

    with fresh_trail(world) as trail:
        micro = asyncio.run(run(trail))
    measured = "; ".join(f"{name} {spread(values, 0)} µs" for name, values in micro.items())
    return [Line(f"a read in process, {world.shares:,} shares", "-", measured, Held.STATED, "two to four statements each")]


def _paths() -> dict[str, tuple[str, str]]:
    return {
        "a solution": (SOLUTION, ""),
        "25 customers": (f"{OWNER}/connected_client_businesses", ""),
        "25 shared accounts": (f"{BUSINESS}/client_whatsapp_business_accounts", ""),
    }


async def _some_waba(app: App, request: Message) -> str:
    sent: list[Message] = []

    async def keep(message: Message) -> None:
        sent.append(message)

    await app(dict(request), receive, keep)
    return str(json.loads(sent[-1]["body"])["data"][0]["id"])
