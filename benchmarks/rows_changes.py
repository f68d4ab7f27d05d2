"""An acknowledged change is obeyed by the next request, in every worker."""

import asyncio
import http.client
import shutil
import socket
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Line, Plan, spread, sure
from benchmarks.serving import Server, running, serve_command, wait_for
from benchmarks.world import SOLUTION, World

from multipartner.domain.model import BusinessId, SolutionId
from multipartner.operating import open_operator
from multipartner.partnering.acting import Act
from multipartner.partnering.lives import revoke_share

WORKERS = 2
_MOST_CONNECTIONS = 200


def obeyed(world: World, plan: Plan) -> list[Line]:
    """Warm a customer on every worker, withdraw its share, and ask every worker at once when the change is acknowledged."""
    with tempfile.TemporaryDirectory(prefix="multipartner-bench-") as folder:
        own = World(Path(folder) / "world", world.shares, world.token)
        shutil.copytree(world.directory, own.directory)
        trail = own.directory / "trail.db"
        with running(serve_command(own, trail, workers=WORKERS)) as server:
            wait_for(server)
            doors = _one_for_each_worker(server)
            violations, acknowledged_ms = asyncio.run(_revoke_and_ask(own, trail, doors, plan.tries))
    return [
        Line(
            f"acknowledged change obeyed by the next request, {WORKERS} workers",
            "always",
            f"{violations} violations in {plan.tries * WORKERS} requests after {plan.tries} withdrawn shares",
            sure(held=violations == 0),
            f"acknowledged after {spread(acknowledged_ms, 1)} ms",
        )
    ]


async def _revoke_and_ask(
    world: World, trail: Path, doors: list[http.client.HTTPConnection], tries: int
) -> tuple[int, list[float]]:
    violations, acknowledged_ms = 0, []
    async with open_operator(world.settings(trail)) as operator:
        for business in world.ids()[:tries]:
            for door in doors * 2:
                assert _status(door, world, business) == 200
            begun = time.perf_counter()
            act = Act("operator:bench", int(time.time()))
            ended = await revoke_share(operator.store, act, BusinessId(business), SolutionId(SOLUTION))
            acknowledged_ms.append(1e3 * (time.perf_counter() - begun))
            assert ended.changed
            violations += sum(_status(door, world, business) != 422 for door in doors)
    return violations, acknowledged_ms


def _status(door: http.client.HTTPConnection, world: World, business: str) -> int:
    path, query = world.target(business)
    door.request("GET", f"{path}?{query}", headers={"Authorization": f"Bearer {world.token}"})
    answer = door.getresponse()
    answer.read()
    return answer.status


def _one_for_each_worker(server: Server) -> list[http.client.HTTPConnection]:
    """Connections that are kept, one at each worker: the kernel deals them out, and /proc tells to whom."""
    workers = _when_all_are_up(server)
    found: dict[int, http.client.HTTPConnection] = {}
    for _ in range(_MOST_CONNECTIONS):
        door = http.client.HTTPConnection(*server.address, timeout=10)
        door.request("GET", "/.well-known/jwks.json")
        door.getresponse().read()
        owner = _owner(door.sock, workers)
        if owner is not None and owner not in found:
            found[owner] = door
        else:
            door.close()
        if len(found) == WORKERS:
            return list(found.values())
    raise RuntimeError("not every worker took a connection")


def _when_all_are_up(server: Server) -> list[int]:
    while len(server.workers()) < WORKERS:
        time.sleep(0.01)
    return server.workers()


def _owner(ours: socket.socket, workers: list[int]) -> int | None:
    """The process at the other end of a loopback connection."""
    port = f":{ours.getsockname()[1]:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(port)}
    for worker in workers:
        held = {str(link.readlink()) for link in Path(f"/proc/{worker}/fd").iterdir() if link.is_symlink()}
        if held & inodes:
            return worker
    return None
