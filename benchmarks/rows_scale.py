"""A million shares against a thousand: throughput under Zipf and uniform access with one size of cache, and memory a grant."""

import bisect
import itertools
import random
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.figures import Held, Line, Plan, in_turn, interval, ratios, spread, sure, thousands
from benchmarks.load import CONNECTIONS, drive, walk
from benchmarks.serving import Server, ask, running, serve_command
from benchmarks.world import World, fresh_trail, world_of

EXPONENTS = (1.0, 1.2)
"""Of the Zipf distribution: customer number k is asked for in proportion to 1 / k**exponent."""

_SMALL = 1000
_DRAWN = 2_000_000
_AT_ONCE = 200_000


class Side:
    """One world's server and the order in which its customers are asked for."""

    def __init__(self, world: World, server: Server, folder: Path) -> None:
        self.world = world
        self._server = server
        self._folder = folder
        self._at = 0
        self._order = world.businesses

    def ask_as(self, exponent: float) -> None:
        """Draw the order (exponent 0: uniform)."""
        ids, chance = self.world.ids(), random.Random(int(10 * exponent))  # noqa: S311 - a load
        weights = list(itertools.accumulate(rank**-exponent for rank in range(1, len(ids) + 1)))
        self._order = self._folder / f"{self.world.shares}-{exponent}.txt"
        drawn = (ids[bisect.bisect(weights, chance.random() * weights[-1])] for _ in range(_DRAWN))
        self._order.write_text("\n".join(drawn) + "\n")
        self._at = 0

    def fill(self, cache_size: int) -> None:
        """Fill the cache with those who are asked for most, the most wanted last."""
        most = self.world.ids()[:cache_size]
        order = self._folder / f"{self.world.shares}-fill.txt"
        order.write_text("\n".join(reversed(most)) + "\n")
        done = 0
        while done < len(most):
            done += drive(self._server.url, "walk.lua", walk(self.world, done, len(most), order), 3).requests

    def settle(self, draws: int) -> None:
        """Leave the filled cache to its own policy for so many draws, so that it holds what it would hold tomorrow."""
        while self._at < draws:
            self.measure(3)

    def measure(self, seconds: float) -> float:
        """Go on in the order: no draw is asked for twice, or the second time around would find what the first one left."""
        load = drive(self._server.url, "walk.lua", walk(self.world, self._at, _AT_ONCE, self._order), seconds)
        self._at += load.requests + CONNECTIONS
        if load.requests > _AT_ONCE or self._at + _AT_ONCE > _DRAWN:
            raise RuntimeError("too few draws for so many runs")
        return load.per_s


@contextmanager
def _side(world: World, folder: Path, cache_size: int) -> Iterator[Side]:
    with fresh_trail(world) as trail, running(serve_command(world, trail, cache_size=cache_size)) as server:
        assert ask(server, world, world.ids()[0])[0] == 200
        yield Side(world, server, folder)


def scale(large: World, plan: Plan) -> list[Line]:
    """Both servers up, loaded in turn, each after its cache has been filled."""
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="multipartner-bench-")))
        sides = [held.enter_context(_side(world, folder, plan.cache_size)) for world in (large, world_of(_SMALL))]
        for side in sides:
            side.fill(plan.cache_size)
        return [_line(large, sides, exponent, plan) for exponent in (*reversed(EXPONENTS), 0.0)]


def _line(large: World, sides: list[Side], exponent: float, plan: Plan) -> Line:
    for side in sides:
        side.ask_as(exponent)
        # Uniform access leaves any cache as random as it finds it.
        side.settle(plan.cache_size if exponent else 1)
    many, few = in_turn(plan.pairs, *(lambda side=side: side.measure(plan.seconds) for side in sides))
    found = ratios(many, few)
    low, high = interval(found)
    cache, kept = plan.cache_size, _kept(large.shares, exponent, plan.cache_size)
    access = f"Zipf access, exponent {exponent}" if exponent else "uniform access"
    return Line(
        f"{large.shares:,} shares against {_SMALL:,}, cache of {cache:,} grants, {access}",
        "low end of the interval ≥ 0.90" if exponent else "stated",
        f"{spread(found)}; interval {low:.2f} to {high:.2f}",
        sure(held=low >= 0.9) if exponent else Held.STATED,
        f"{thousands(many)} against {thousands(few)} requests/s; {kept:.0%} of the calls are for the {cache:,} most wanted",
    )


def _kept(shares: int, exponent: float, cache_size: int) -> float:
    weights: list[float] = list(itertools.accumulate(rank**-exponent for rank in range(1, shares + 1)))
    return weights[cache_size - 1] / weights[-1]


def memory(large: World, plan: Plan) -> list[Line]:
    """What a worker's own memory grows by while its cache fills, once SQLite's page cache (64 MB) is full."""
    first, grants = plan.cache_size // 4, plan.cache_size // 4
    with fresh_trail(large) as trail, running(serve_command(large, trail)) as server:
        assert ask(server, large, large.ids()[-1])[0] == 200
        first = _walked(server, large, 0, first)
        before = server.rss_bytes()
        grants = _walked(server, large, first, grants) - first
        each = (server.rss_bytes() - before) / grants
    return [
        Line(
            "memory per cached grant",
            "stated",
            f"{each / 1024:.1f} KiB",
            Held.STATED,
            f"a worker's private memory over {grants:,} grants after {first:,}: facts, token, prepared answer, limiter's counter",
        )
    ]


def _walked(server: Server, world: World, first: int, count: int) -> int:
    """Have a token made for at least so many customers from the first one on; return how far it went."""
    done = first
    while done < first + count:
        done += drive(server.url, "walk.lua", walk(world, done, world.shares), 3).requests
    return done
