"""The pytest plugin (entry point `pytest11`). It imports nothing of ours: a run that does not use it pays for this file only."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multipartner.testing.torture.clock import TurnedClock
    from multipartner.testing.torture.report import Report
    from multipartner.testing.torture.upstream import Upstream

REPORTS: pytest.StashKey[list["Report"]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker."""
    config.addinivalue_line("markers", "torture: a probe of the torture kit against a token provider")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that prints what the probes counted."""
    group = parser.getgroup("multipartner")
    group.addoption("--torture-table", action="store_true", help="print what each probe of the torture kit counted")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table, if it is asked for and there is one."""
    reports = config.stash.get(REPORTS, [])
    if reports and config.getoption("--torture-table"):
        terminalreporter.section("torture kit")
        for report in reports:
            terminalreporter.line(str(report))


@pytest.fixture
def token_clock() -> "TurnedClock":
    """A clock that stands still until the test turns it."""
    from multipartner.testing.torture.clock import TurnedClock  # noqa: PLC0415 - whoever does not use it does not pay for it

    return TurnedClock()


@pytest.fixture
def token_upstream(token_clock: "TurnedClock") -> "Iterator[Upstream]":
    """A fake token endpoint that goes by `token_clock`, in process and on a socket, for tests of one's own."""
    from multipartner.testing.torture.upstream import Upstream  # noqa: PLC0415 - as above

    upstream = Upstream(token_clock)
    yield upstream
    upstream.close()
