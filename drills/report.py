"""The table in docs/drills.md: what stands between the markers is written here, the rest by people."""

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from drills.postgres import find_programs
from drills.service import haproxy, redis_version

PAGE: Final = Path(__file__).parents[1] / "docs" / "drills.md"
_BEGIN, _END = "<!-- written by make drill: begin -->", "<!-- written by make drill: end -->"
_TOLD: Final = 5


class Row(msgspec.Struct, frozen=True):
    """What one drill showed. Times in seconds; None: nothing was interrupted. `changes`: acknowledged, failed, unknown."""

    title: str
    sent: int
    lost: int
    transient: int
    back_s: float | None
    change_s: float | None
    latest_s: float
    least_left_s: float
    changes: tuple[int, ...]
    findings: tuple[str, ...]
    note: str

    def cells(self) -> list[str]:
        """The columns of the table."""
        held = "yes" if not self.findings else f"**no**: {len(self.findings)}; {self.findings[0]}"
        back = "-" if self.back_s is None else f"{self.back_s:.2f} s"
        change = "-" if self.change_s is None else f"{self.change_s:.2f} s"
        return [
            self.title,
            f"{self.sent:,}",
            f"{self.lost:,}",
            f"{self.transient:,}",
            back,
            change,
            f"{1e3 * self.latest_s:.0f} ms",
            "{:,} / {:,} / {:,}".format(*self.changes),
            f"{self.least_left_s:.0f} s",
            held,
            self.note,
        ]

    def text(self) -> str:
        """For a terminal, with what was found."""
        named = zip(_COLUMNS[1:], self.cells()[1:], strict=True)
        lines = ["; ".join(f"{name}: {value}" for name, value in named if value)]
        return "\n        ".join([*lines, *self.findings[:_TOLD]])


_COLUMNS: Final = (
    "fault",
    "requests",
    "lost",
    "refused, transient",
    "new tokens again after",
    "changes again after",
    "verified at the latest",
    "changes: acknowledged / failed / unknown",
    "least life left at a refresh",
    "held",
    "and",
)


def write(rows: Sequence[Row], seconds: float) -> None:
    """Put the table in place of the one before. Raises ValueError when the page has lost its markers."""
    text = PAGE.read_text()
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no markers to write between")
    PAGE.write_text(f"{before}{_BEGIN}\n{_facts(seconds)}\n\n{table(rows)}\n{_END}{after}")


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [_line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
    return "\n".join([*lines, *(_line(row.cells()) for row in rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _facts(seconds: float) -> str:
    cores, memory = os.cpu_count() or 1, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    postgres, proxy = _number([str(find_programs() / "postgres"), "--version"]), _number([haproxy(), "-v"])
    servers = f"PostgreSQL {postgres}, Redis {redis_version()}, HAProxy {proxy}"
    libraries = ", ".join(f"{name} {version(name)}" for name in ("granian", "asyncpg", "valkey", "limits"))
    return (
        f"`make drill`, {datetime.now(UTC):%Y-%m-%d}, {seconds / 60:.0f} minutes, on {cores} {platform.machine()} cores"
        f" (virtual, shared), {memory:.0f} GiB.\n{servers}; Python {platform.python_version()}, {libraries}."
    )


def _number(command: list[str]) -> str:
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+\.\d+(\.\d+)?", said)
    return found[0] if found else "?"
