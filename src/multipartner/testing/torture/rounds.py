"""All probes, what each needs of a provider, and one round of one of them."""

from collections.abc import Callable
from typing import Final, NamedTuple

from multipartner.testing.torture import herds, outages, strangers, times
from multipartner.testing.torture.adapter import Ability, Adapter
from multipartner.testing.torture.report import Face, Report
from multipartner.testing.torture.stage import Stage

_ABILITY_OF: Final = {Face.SYNC: Ability.SYNC, Face.ASYNC: Ability.ASYNC}


class Probe(NamedTuple):
    """A probe's name, what it does (its docstring is its claim), and the abilities without which it does not apply."""

    name: str
    act: Callable[[Stage], None]
    needs: Ability = Ability.NONE
    faces: tuple[Face, ...] = (Face.SYNC, Face.ASYNC)

    def faces_of(self, adapter: Adapter) -> list[Face]:
        """Return how callers can come to this provider in this probe; empty if it does not apply."""
        if self.needs not in adapter.abilities:
            return []
        return [face for face in self.faces if _ABILITY_OF[face] in adapter.abilities]


_ASYNC: Final = (Face.ASYNC,)
PROBES: Final = {
    probe.name: probe
    for probe in (
        Probe("cold herd", herds.cold_herd),
        Probe("early window", herds.early_window),
        Probe("failing endpoint", outages.failing_endpoint),
        Probe("cut connections", outages.cut_connections),
        Probe("throttled endpoint", outages.throttled_endpoint),
        Probe("dead tenant", outages.dead_tenant),
        Probe("slow neighbour", outages.slow_neighbour, Ability.TENANTS),
        Probe("fork", strangers.fork, Ability.FORK | Ability.TENANTS, (Face.SYNC,)),
        Probe("two loops", herds.two_loops, faces=_ASYNC),
        Probe("cancelled leader", herds.cancelled_leader, faces=_ASYNC),
        Probe("late 401", strangers.late_401, Ability.REJECT),
        Probe("rejected in flight", strangers.rejected_in_flight, Ability.REJECT),
        Probe("non-advancing expiry", times.non_advancing_expiry),
        Probe("clock step", times.clock_step, Ability.CLOCK | Ability.TENANTS),
        Probe("suspended", times.suspended, Ability.CLOCK),
        Probe("mixed-up tenants", strangers.mixed_up_tenants, Ability.TENANTS),
    )
}


def run(probe: Probe, adapter: Adapter, face: Face) -> Report:
    """Make a provider, do the probe, close it, and say what was found. Raises only what making the provider raises."""
    with Stage(adapter, face) as stage:
        probe.act(stage)
        return stage.report(probe.name)
