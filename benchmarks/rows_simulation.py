"""The refresh schedule of 100,000 tenants, and who feels an outage of twenty minutes: the shipped decisions on a turned clock."""

from concurrent.futures import ProcessPoolExecutor
from typing import Final

from benchmarks.figures import FULL, Held, Line, Plan, sure
from benchmarks.refresh_simulation import Figures, Load, simulate

_ONBOARDING_S: Final = 500
_TENANTS: Final = 100_000
_FEWER: Final = 5_000
_PEAK: Final = 2.2


def simulation(plan: Plan) -> list[Line]:
    """Both issuers, without the sweeper and with it; with the quick plan fewer tenants, whose figures scatter more."""
    tenants = _TENANTS if plan == FULL else _FEWER
    loads = [
        Load(tenants=tenants, onboarded_per_s=tenants / _ONBOARDING_S, is_deterministic=windows, sweeps=sweeps)
        for windows in (False, True)
        for sweeps in (False, True)
    ]
    with ProcessPoolExecutor(2) as pool:
        return [line for load, figures in zip(loads, pool.map(simulate, loads), strict=True) for line in _lines(load, figures)]


def _lines(load: Load, figures: Figures) -> list[Line]:
    issuer = "windows of half a life" if load.is_deterministic else "a full life each call"
    what = f"{load.tenants:,} tenants, {issuer}, {'with' if load.sweeps else 'without'} the sweeper"
    rates = f"mean {figures.mean_per_s:.1f} calls/s, peak {figures.peak_per_s:.1f}"
    share = 0.01 if load.sweeps else 0.05
    peak = Line(
        f"peak to mean refresh rate: {what}",
        "stated" if load.sweeps else f"<= {_PEAK}",
        f"{figures.peak_to_mean:.2f}",
        Held.STATED if load.sweeps else sure(held=figures.peak_to_mean <= _PEAK),
        f"{rates}; minutes, hour-long tokens, onboarded within {_ONBOARDING_S} s",
    )
    outage = Line(
        f"uses that fail in a 20-minute outage: {what}",
        f"<= {share:.0%}",
        f"{figures.failing:.2%}",
        sure(held=figures.failing <= share),
        f"{figures.calls_in_outage:,} calls in it",
    )
    return [peak, outage]
