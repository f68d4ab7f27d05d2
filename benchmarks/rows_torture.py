"""The torture kit against our client and four libraries: what each probe counted."""

import logging

from benchmarks.figures import Line, Plan, sure
from benchmarks.token_providers.authlib_clients import Authlib
from benchmarks.token_providers.azure import AzureIdentity
from benchmarks.token_providers.botocore_tokens import Botocore
from benchmarks.token_providers.google_auth import GoogleAuth, GoogleAuthNonBlocking
from benchmarks.token_providers.ours import Ours

from multipartner.testing.torture import PROBES, Adapter, Face, Probe, Report, run

OURS = Ours()
THEIRS: tuple[Adapter, ...] = (GoogleAuth(), GoogleAuthNonBlocking(), AzureIdentity(), Botocore(), Authlib())


def torture(_plan: Plan) -> list[Line]:
    """Every probe that applies, once: counts have no error."""
    for adapter in THEIRS:
        adapter.patience_s = 2.0
    logging.disable(logging.CRITICAL)
    try:
        return [_line(probe, face) for probe in PROBES.values() for face in probe.faces]
    finally:
        logging.disable(logging.NOTSET)


def _line(probe: Probe, face: Face) -> Line:
    ours = run(probe, OURS, face)
    theirs = [run(probe, adapter, face) for adapter in THEIRS if face in probe.faces_of(adapter)]
    passed = [report.provider for report in theirs if report.passed]
    return Line(
        f"{probe.name}, {'64 threads' if face is Face.SYNC else '1,000 tasks'}" if "herd" in probe.name else _figure(probe, face),
        "holds",
        "; ".join(_counted(report) for report in (ours, *theirs)),
        sure(held=ours.passed),
        f"holds of the others: {', '.join(passed) or 'none'}" if theirs else "",
    )


def _figure(probe: Probe, face: Face) -> str:
    return f"{probe.name}, {'threads' if face is Face.SYNC else 'tasks'}"


def _counted(report: Report) -> str:
    counts = {"waited": report.waited, "errors": report.errors, "wrong": report.wrong, "hung": report.hung}
    told = [f"{report.calls:,} calls", *(f"{count:,} {name}" for name, count in counts.items() if count)]
    return f"{report.provider} {', '.join(told)}"
