"""The probes as tests: subclass `TortureKit`, name your adapter, and pytest collects them."""

from typing import TYPE_CHECKING, ClassVar

import pytest

from multipartner.testing.plugin import REPORTS
from multipartner.testing.torture.adapter import Adapter
from multipartner.testing.torture.rounds import PROBES, run

if TYPE_CHECKING:
    from multipartner.testing.torture.report import Face


@pytest.mark.torture
class TortureKit:
    """Every probe against the provider of `adapter`, each with threads and with tasks if it serves both.

    What a probe claims is the docstring of its function (`PROBES`). One that needs an ability which the adapter does not declare
    is not collected; a claim that does not hold fails the test with the counts.
    """

    adapter: ClassVar[Adapter]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test of each probe that applies, for each way to ask."""
        if {"probe", "face"} <= set(metafunc.fixturenames):
            rounds = [(probe, face) for probe in PROBES.values() for face in probe.faces_of(self.adapter)]
            ids = [f"{probe.name.replace(' ', '-')}-{face.value}" for probe, face in rounds]
            metafunc.parametrize(("probe", "face"), [(probe.name, face) for probe, face in rounds], ids=ids)

    def test_provider_holds(self, probe: str, face: "Face", pytestconfig: pytest.Config) -> None:
        """The provider does what the probe claims."""
        report = run(PROBES[probe], self.adapter, face)
        pytestconfig.stash.setdefault(REPORTS, []).append(report)
        if not report.passed:
            pytest.fail(f"{report}\n{PROBES[probe].act.__doc__}", pytrace=False)
