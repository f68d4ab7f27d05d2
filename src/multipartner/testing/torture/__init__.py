"""The torture kit: whether a token provider holds when everybody asks at once, and when its endpoint does not.

`TortureKit` is subclassed with an `Adapter` (docs/torture-kit.md); `run` gives the same probes as numbers.
"""

from multipartner.testing.torture.adapter import Ability, Adapter, Tenant
from multipartner.testing.torture.answers import Answer, ConnectionCut
from multipartner.testing.torture.clock import TurnedClock
from multipartner.testing.torture.gates import Gate
from multipartner.testing.torture.kit import TortureKit
from multipartner.testing.torture.report import Face, Report
from multipartner.testing.torture.rounds import PROBES, Probe, run
from multipartner.testing.torture.upstream import Endpoint, Upstream

__all__ = [
    "PROBES",
    "Ability",
    "Adapter",
    "Answer",
    "ConnectionCut",
    "Endpoint",
    "Face",
    "Gate",
    "Probe",
    "Report",
    "Tenant",
    "TortureKit",
    "TurnedClock",
    "Upstream",
    "run",
]
