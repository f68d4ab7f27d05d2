"""What a measurement is: pairs taken in turn, their ratios, and the line of the table they become."""

import enum
import random
import statistics
from collections.abc import Callable, Sequence

import msgspec


class Line(msgspec.Struct, frozen=True):
    """One line of the table."""

    figure: str
    to_hold: str
    measured: str
    held: "Held"
    note: str = ""


class Held(enum.Enum):
    """Whether a line is held. UNCLEAR: the interval lies on both sides of it; STATED: there is nothing to hold."""

    YES = "yes"
    NO = "**no**"
    UNCLEAR = "unclear"
    STATED = "stated"


class Plan(msgspec.Struct, frozen=True):
    """How long to measure. `scale`: shares of the large world; a fifth of them fits into the cache of the scale rows."""

    pairs: int
    seconds: float
    blocks: int
    tries: int
    starts: int
    scale: int
    name: str

    @property
    def cache_size(self) -> int:
        return self.scale // 5


FULL = Plan(pairs=7, seconds=3, blocks=60, tries=200, starts=7, scale=1_000_000, name="full")
QUICK = Plan(pairs=3, seconds=1, blocks=20, tries=40, starts=3, scale=100_000, name="quick")


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, and least to most in brackets."""
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"


def thousands(values: Sequence[float]) -> str:
    """The median as a whole number."""
    return f"{statistics.median(values):,.0f}"


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Each pair's ratio."""
    return [a / b for a, b in zip(above, below, strict=True)]


def interval(values: Sequence[float], draws: int = 10_000, seed: int = 1) -> tuple[float, float]:
    """95 % bootstrap interval of the median."""
    chance = random.Random(seed)  # noqa: S311 - statistics
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(draws))
    return medians[draws // 40], medians[-draws // 40]


def at_least(values: Sequence[float], line: float) -> Held:
    """YES or NO only if the whole interval of the median says so."""
    low, high = interval(values)
    return Held.YES if low >= line else Held.NO if high < line else Held.UNCLEAR


def at_most(values: Sequence[float], line: float) -> Held:
    """The same for what should be small."""
    return at_least([-value for value in values], -line)


def sure(*, held: bool) -> Held:
    """For what is counted and has no error."""
    return Held.YES if held else Held.NO


def in_turn(count: int, *sides: Callable[[], float]) -> list[list[float]]:
    """Measure each side `count` times, one after the other, the first one moving on each round; one list for each side."""
    found: list[list[float]] = [[0.0] * count for _ in sides]
    for at in range(count):
        for step in range(len(sides)):
            side = (at + step) % len(sides)
            found[side][at] = sides[side]()
    return found
