"""From the start of the command to the first token, against importing what it serves with."""

import http.client
import subprocess
import sys
import time

from benchmarks.figures import Line, Plan, at_most, in_turn, interval, ratios, spread
from benchmarks.serving import ask, running, serve_command
from benchmarks.world import World, fresh_trail, world_of

IMPORTS = "import granian, multipartner.cli, multipartner.cli.worker, multipartner.web.operations, multipartner.wiring"

_SMALL = 1000


def start(large: World, plan: Plan) -> list[Line]:
    """Import, start a small deployment, start a large one, in turn."""
    small = world_of(_SMALL)
    imports, few, many = in_turn(plan.starts, _import_s, lambda: _first_token_s(small), lambda: _first_token_s(large))
    against_import, against_small = ratios(few, imports), ratios(many, few)
    low, high = interval(against_small)
    return [
        Line(
            "start to first token against the time to import the application",
            "≤ 2x",
            f"{spread(against_import)}x; {spread(few)} s against {spread(imports)} s",
            at_most(against_import, 2),
            f"measured from outside, the interpreter's own start in both; `{IMPORTS}`",
        ),
        Line(
            f"start to first token, {large.shares:,} shares against {_SMALL:,}",
            "no slower",
            f"{spread(against_small)}x; {spread(many)} s against {spread(few)} s",
            at_most(against_small, 1.05),
            f"interval {low:.2f} to {high:.2f}: held if it lies below 1.05",
        ),
    ]


def _import_s() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return time.perf_counter() - begun


def _first_token_s(world: World) -> float:
    with fresh_trail(world) as trail:
        business = world.ids()[0]
        command = serve_command(world, trail)
        begun = time.perf_counter()
        with running(command) as server:
            # The address is printed once connections are taken; a worker may still refuse the first.
            while True:
                try:
                    status, _ = ask(server, world, business)
                except (OSError, http.client.HTTPException):
                    time.sleep(0.002)
                    continue
                if status == 200:
                    return time.perf_counter() - begun
