"""Over sockets: warm traffic and once-per-window traffic against the bare application; one worker each, loaded in turn."""

from collections.abc import Callable

from benchmarks.figures import Line, Plan, at_least, at_most, in_turn, interval, ratios, spread, thousands
from benchmarks.load import CONNECTIONS, Load, drive, walk
from benchmarks.serving import Server, ask, bare, running, serve_command
from benchmarks.world import World, fresh_trail

CUSTOMERS = 1000
PAUSE_MS = 10


class Walker:
    """Walks through the customers so that no two runs share one, or over the same ones again and again."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._next = 0

    def warm(self, server: Server, seconds: float, pause_ms: int | None = None) -> Load:
        return drive(server.url, "walk.lua", walk(self._world, 0, CUSTOMERS, pause_ms=pause_ms), seconds)

    def fresh(self, server: Server, seconds: float) -> Load:
        """Every call for a customer that was not asked for before."""
        room = self._world.shares - self._next
        load = drive(server.url, "walk.lua", walk(self._world, self._next, room), seconds)
        # Sent, but not answered in time: each connection may have one more under way.
        self._next += load.requests + CONNECTIONS
        if self._next > self._world.shares:
            raise RuntimeError("the world has too few customers for so many runs")
        return load


def warm(world: World, plan: Plan) -> list[Line]:
    """A thousand customers in turn, all in memory: throughput as fast as it goes, and latency at the same offered load."""
    with fresh_trail(world) as trail, running(serve_command(world, trail)) as ours:
        status, body = ask(ours, world, world.ids()[0])
        assert status == 200
        with bare(len(body)) as theirs:
            walker = Walker(world)
            for server in (ours, theirs):
                walker.warm(server, 1)
            loads: dict[str, list[Load]] = {"ours": [], "theirs": [], "ours calm": [], "theirs calm": []}
            full = _in_turn(plan, loads, ours, theirs, lambda s: walker.warm(s, plan.seconds), "")
            _in_turn(plan, loads, ours, theirs, lambda s: walker.warm(s, plan.seconds, PAUSE_MS), " calm")
    found = ratios(*full)
    low, high = interval(found)
    calm = ratios([x.p99_us for x in loads["ours calm"]], [x.p99_us for x in loads["theirs calm"]])
    full_p99 = ratios([x.p99_us for x in loads["ours"]], [x.p99_us for x in loads["theirs"]])
    offered = [x.per_s for x in loads["ours calm"]]
    return [
        Line(
            "warm issuance over sockets, one worker, against a bare application: requests/s",
            "≥ 0.50, aim 0.60",
            f"{spread(found)}; {thousands(full[0])} against {thousands(full[1])} requests/s",
            at_least(found, 0.5),
            f"95 % interval of the median {low:.2f} to {high:.2f}; body {len(body)} bytes",
        ),
        Line(
            "the same: 99th percentile of latency, same offered load",
            "≤ 1.5x",
            f"{spread(calm)}x; {thousands([x.p99_us for x in loads['ours calm']])}"
            f" against {thousands([x.p99_us for x in loads['theirs calm']])} µs",
            at_most(calm, 1.5),
            f"{thousands(offered)} requests/s offered to both; at full speed (unequal load) {spread(full_p99)}x",
        ),
    ]


def _in_turn(
    plan: Plan, loads: dict[str, list[Load]], ours: Server, theirs: Server, measure: Callable[[Server], Load], kind: str
) -> list[list[float]]:
    def side(name: str, server: Server) -> Callable[[], float]:
        def once() -> float:
            loads[name + kind].append(measure(server))
            return loads[name + kind][-1].per_s

        return once

    return in_turn(plan.pairs, side("ours", ours), side("theirs", theirs))


def minting(world: World, plan: Plan) -> list[Line]:
    """Every call for another customer, none twice: load, sign, and an event in the trail before the answer leaves."""
    with fresh_trail(world) as trail, running(serve_command(world, trail)) as ours:
        walker = Walker(world)
        status, body = ask(ours, world, world.ids()[-1])
        assert status == 200
        with bare(len(body)) as theirs:
            walker.warm(theirs, 1)
            fresh, plain = in_turn(
                plan.pairs, lambda: walker.fresh(ours, plan.seconds).per_s, lambda: walker.warm(theirs, plan.seconds).per_s
            )
    found = ratios(fresh, plain)
    low, high = interval(found)
    return [
        Line(
            f"once-per-window traffic (every call mints), {world.shares:,} shares, against the same",
            "≥ 0.20",
            f"{spread(found)}; {thousands(fresh)} against {thousands(plain)} requests/s",
            at_least(found, 0.2),
            f"95 % interval of the median {low:.2f} to {high:.2f}",
        )
    ]
