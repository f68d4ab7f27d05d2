"""The kit itself: it passes a provider that is right, and finds what is wrong with each that is not."""

import pytest

from multipartner.testing.torture import PROBES, TortureKit, run
from torture.adapters import ReferenceAdapter
from torture.broken import CAUGHT, Caught


class TestReference(TortureKit):
    """A small provider that does everything right passes every probe."""

    adapter = ReferenceAdapter()


@pytest.mark.parametrize("caught", CAUGHT, ids=lambda caught: f"{caught.kind.__name__}-{caught.probe}-{caught.face.value}")
def test_wrong_provider_is_found(caught: Caught) -> None:
    """A provider that is wrong in one way fails the probe that is about it, and is told what is wrong."""
    report = run(PROBES[caught.probe], ReferenceAdapter(caught.kind, patience_s=1.0), caught.face)

    assert not report.passed
    assert any(caught.word in violation for violation in report.violations), report.violations


def test_each_probe_can_fail() -> None:
    """There is a wrong provider for every probe: none passes whatever comes."""
    assert {caught.probe for caught in CAUGHT} == set(PROBES)
