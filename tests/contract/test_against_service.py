"""The published contract, run against the service by schemathesis: with a real caller token and real ids."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.generated_calls import schemathesis
from published import needs_contract, published, subset
from running import Running, start_demo, stop_demo

EXCEPTIONS = {
    422: {"positive_data_acceptance": "takes every 422 to mean malformed data; here a well-formed id shares nothing"},
}
"""Checks that are left out, by the refusal that is looked at, and why. The run over everything leaves none out."""

REACHED = {200, 400, 401, 404, 405}
"""Statuses that a run must have met, or it has tested nothing."""


@pytest.fixture(scope="module")
def own_demo() -> Iterator[Running]:
    """A service of its own: hundreds of generated calls would use up the limits that other tests live on."""
    process, demo = start_demo()
    try:
        yield demo
    finally:
        stop_demo(process)


def called(demo: Running, business_id: str, folder: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], set[int]]:
    """Ask for tokens for one customer; returns how the run ended and the statuses it met."""
    examples = {"Version": "v23.0", "Solution-ID": demo.solution_id, "business_id": business_id}
    return schemathesis(demo.url, demo.owner.caller_token, subset(published(), examples), folder, *options)


@pytest.mark.contract
@pytest.mark.timeout(180)
@needs_contract
def test_service_keeps_the_published_contract(own_demo: Running, tmp_path: Path) -> None:
    """Generated calls, good and bad, meet only documented statuses and bodies, and real ids meet a 200."""
    run, statuses = called(own_demo, own_demo.business[200], tmp_path, "--max-examples=100")

    assert (run.returncode, "No issues found" in run.stdout) == (0, True), run.stdout[-4000:]
    assert statuses >= REACHED


@pytest.mark.contract
@pytest.mark.timeout(180)
@pytest.mark.parametrize("outcome", [403, 404, 422])
@needs_contract
def test_each_refusal_is_the_published_one(own_demo: Running, tmp_path: Path, outcome: int) -> None:
    """A customer for whom the call is refused is answered with the documented status and body."""
    excluded = [f"--exclude-checks={name}" for name in EXCEPTIONS.get(outcome, {})]
    run, statuses = called(own_demo, own_demo.business[outcome], tmp_path, "--phases=examples", *excluded)

    assert run.returncode == 0, run.stdout[-4000:]
    assert outcome in statuses
