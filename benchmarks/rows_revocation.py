"""All tokens of a solution die by one changed row, however many are out, and those of other solutions are issued as before."""

import asyncio
import base64
import http.client
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

import msgspec
from benchmarks import bulk
from benchmarks.figures import Line, Plan, at_least, interval, ratios, spread, sure, thousands
from benchmarks.load import CONNECTIONS, Load, begin, drive, finish, walk
from benchmarks.serving import Server, ask, running, serve_command, wait_for
from benchmarks.world import OWNER_AND_PARTNER, SOLUTION, VERSION, World

from multipartner.domain.model import SolutionId, SolutionStatus
from multipartner.domain.world import Solution
from multipartner.operating import Operator, open_operator
from multipartner.partnering import worldfile
from multipartner.partnering.acting import Act
from multipartner.partnering.applying import apply_world
from multipartner.partnering.credentials import create_resource_server
from multipartner.partnering.lives import deactivate_solution

OTHER = "6400219875531022"
_OTHERS, _SAMPLE = 100, 200


class Ended(msgspec.Struct):
    """What was seen of the ends, one of each list for each end; times in ms."""

    statement_ms: list[float] = []
    acknowledged_ms: list[float] = []
    alive: int = 0
    asked: int = 0


def at_once(world: World, plan: Plan) -> list[Line]:
    """End the solution in the middle of another one's load, ask for a sample of its tokens, and begin it anew."""
    with tempfile.TemporaryDirectory(prefix="multipartner-bench-") as folder:
        own = World(Path(folder) / "world", world.shares, world.token)
        shutil.copytree(world.directory, own.directory)
        return asyncio.run(_measured(own, plan))


async def _measured(world: World, plan: Plan) -> list[Line]:
    trail = world.directory / "trail.db"
    async with open_operator(world.settings(trail)) as operator:
        others = await _another_solution(operator, world)
        made = await create_resource_server(operator.store, operator.master, _act(), "bench")
        checker = base64.b64encode(f"{made.id}:{made.text.reveal()}".encode()).decode()
        with running(serve_command(world, trail, cache_size=plan.cache_size)) as server:
            wait_for(server)
            side = Sides(world, server, others, checker)
            ended, without, during = Ended(), [], []
            for at in range(plan.pairs):
                side.fill(plan.cache_size // 4)
                tokens = side.sample()
                if at % 2:
                    without.append(side.warm(plan.seconds))
                during.append(await _end(operator, side, tokens, ended, plan.seconds))
                if not at % 2:
                    without.append(side.warm(plan.seconds))
    return _lines(world, plan, ended, without, during)


class Sides:
    """The server; the solution that ends and the one that goes on."""

    def __init__(self, world: World, server: Server, others: Path, checker: str) -> None:
        self._world = world
        self._server = server
        self._checker = checker
        self._told = walk(world, 0, _OTHERS, others) | {"BENCH_PATH": f"/{VERSION}/{OTHER}/access_token"}

    def fill(self, grants: int) -> None:
        """Have so many grants of the solution in the server's memory, where its end must be obeyed."""
        done = 0
        while done < grants:
            done += drive(self._server.url, "walk.lua", walk(self._world, done, grants), 1).requests

    def sample(self) -> list[str]:
        """Tokens of customers from all over the cache and outside it."""
        ids = self._world.ids()
        return [self._token(business) for business in ids[:: max(1, len(ids) // _SAMPLE)]]

    def _token(self, business: str) -> str:
        status, body = ask(self._server, self._world, business)
        assert status == 200, body
        return str(json.loads(body)["access_token"])

    def warm(self, seconds: float) -> Load:
        """Ask for the other solution's tokens."""
        return finish(self.begin(seconds), refusals=False)

    def begin(self, seconds: float) -> subprocess.Popen[str]:
        """Start to."""
        return begin(self._server.url, "walk.lua", self._told, seconds, CONNECTIONS)

    def alive(self, tokens: Sequence[str]) -> int:
        """How many are good, by introspection."""
        door = http.client.HTTPConnection(*self._server.address, timeout=10)
        headers = {"Authorization": f"Basic {self._checker}", "Content-Type": "application/x-www-form-urlencoded"}
        found = 0
        for token in tokens:
            door.request("POST", "/oauth/introspect", urlencode({"token": token}), headers)
            answer = door.getresponse()
            body = json.loads(answer.read())
            assert answer.status == 200, body
            found += body["active"]
        door.close()
        return found


async def _end(operator: Operator, side: Sides, tokens: Sequence[str], ended: Ended, seconds: float) -> Load:
    """End the solution in the middle of the other one's load; then begin it anew, which revives nothing."""
    assert side.alive(tokens) == len(tokens)
    load = side.begin(seconds)
    await asyncio.sleep(seconds / 2)
    begun = time.perf_counter()
    outcome = await deactivate_solution(operator.store, _act(), SolutionId(SOLUTION))
    ended.acknowledged_ms.append(1e3 * (time.perf_counter() - begun))
    assert outcome.changed
    measured = finish(load, refusals=False)
    ended.alive += side.alive(tokens)
    await _begin_anew(operator, ended)
    ended.alive += side.alive(tokens)
    ended.asked += 2 * len(tokens)
    return measured


async def _begin_anew(operator: Operator, ended: Ended) -> None:
    solution = _solution()
    async with operator.store.transaction() as changes:
        begun = time.perf_counter()
        await changes.change_solution(solution, _act().mark())
        ended.statement_ms.append(1e3 * (time.perf_counter() - begun))


def _solution() -> Solution:
    (solution,) = worldfile.parse(OWNER_AND_PARTNER.encode(), "bench.yaml").solutions
    assert solution.status is SolutionStatus.ACTIVE
    return solution


async def _another_solution(operator: Operator, world: World) -> Path:
    """Have some customers share with a second solution of the same apps; returns a file of their ids."""
    businesses, wabas = (bulk.random_ids(_OTHERS, seed=seed) for seed in (7, 8))
    pairs = list(zip(businesses, wabas, strict=True))
    customers = "".join(f'  - {{id: "{b}", name: C, wabas: [{{id: "{w}", name: W}}]}}\n' for b, w in pairs)
    known, solution = OWNER_AND_PARTNER.split("solutions:\n")
    text = known.replace("apps:\n", customers + "apps:\n", 1) + "solutions:\n" + solution.replace(SOLUTION, OTHER)
    text += "shares:\n" + "".join(_share(b, w) for b, w in pairs)
    await apply_world(operator.store, operator.master, _act(), worldfile.parse(text.encode(), "bench.yaml"))
    file = world.directory / "others.txt"
    file.write_text("\n".join(businesses) + "\n")
    return file


def _share(business: str, waba: str) -> str:
    both = "[whatsapp_business_management, whatsapp_business_messaging]"
    return f'  - {{business: "{business}", solution: "{OTHER}", wabas: ["{waba}"], permissions: {both}}}\n'


def _act() -> Act:
    return Act("operator:bench", int(time.time()))


def _lines(world: World, plan: Plan, ended: Ended, without: Sequence[Load], during: Sequence[Load]) -> list[Line]:
    found = ratios([load.per_s for load in during], [load.per_s for load in without])
    low, high = interval(found)
    slowest = [statistics.median(load.max_us for load in loads) / 1000 for loads in (during, without)]
    return [
        Line(
            f"{world.shares:,} customers' tokens of one solution end by one changed row",
            "all of a sample dead at the next question, and for good",
            f"{ended.alive} alive of {ended.asked:,} asked for after {plan.pairs} ends and {plan.pairs} new beginnings",
            sure(held=ended.alive == 0),
            f"the statement {spread(ended.statement_ms)} ms; acknowledged after {spread(ended.acknowledged_ms, 1)} ms; "
            f"{plan.cache_size // 4:,} of their grants in the worker's memory",
        ),
        Line(
            "warm issuance for another solution while they end, against without: requests/s",
            "≥ 0.90",
            f"{spread(found)}; {thousands([load.per_s for load in during])} against "
            f"{thousands([load.per_s for load in without])} requests/s",
            at_least(found, 0.90),
            f"interval {low:.2f} to {high:.2f}; slowest answer {slowest[0]:.0f} against {slowest[1]:.0f} ms (medians)",
        ),
    ]
