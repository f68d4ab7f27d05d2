"""The table in docs/benchmarks.md: what stands between the markers is written here, the rest by people."""

import hashlib
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.figures import Line, Plan
from benchmarks.rows_oidc import version as oidc_version

import multipartner

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_BEGIN, _END = "<!-- written by make bench: begin -->", "<!-- written by make bench: end -->"


def write(lines: Sequence[Line], plan: Plan, seconds: float) -> None:
    """Put the table in place of the one before. Raises ValueError when the page has lost its markers."""
    text = PAGE.read_text()
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no markers to write between")
    PAGE.write_text(f"{before}{_BEGIN}\n{_facts(plan, seconds)}\n\n{table(lines)}\n{_END}{after}")


def sources() -> str:
    """A fingerprint of what is measured."""
    package = Path(multipartner.__file__).parent
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(package.rglob("*.py")))).hexdigest()


def table(lines: Sequence[Line]) -> str:
    """The lines as a Markdown table."""
    rows = ["| figure | to hold | measured: median (least to most) | held | and |", "| --- | --- | --- | --- | --- |"]
    rows += [" | ".join(("| " + x.figure, x.to_hold, x.measured, x.held.value, x.note + " |")) for x in lines]
    return "\n".join(rows)


def _facts(plan: Plan, seconds: float) -> str:
    command = "make bench" if plan.name == "full" else f"make bench ARGS={plan.name}"
    libraries = ", ".join(f"{name} {version(name)}" for name in ("granian", "uvloop", "starlette", "msgspec", "cryptography"))
    compared = ", ".join(f"{name} {version(name)}" for name in ("google-auth", "azure-identity", "msal", "botocore", "Authlib"))
    node = _printed(["node", "--version"]).removeprefix("v")
    return (
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, {seconds / 60:.0f} minutes; {plan.pairs} pairs of {plan.seconds:g} s a side."
        "\n"
        f"{_machine()}; load average before {_LOAD_BEFORE:.1f}. Python {platform.python_version()},"
        f" SQLite {sqlite3.sqlite_version}, {libraries}; {compared}; wrk {_wrk()}; Node {node}, oidc-provider {oidc_version()}."
    )


_LOAD_BEFORE = os.getloadavg()[0]


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = os.cpu_count() or 1
    return f"{sys.platform.capitalize()} on {cores} {platform.machine()} cores (virtual, shared), {memory:.0f} GiB"


def _wrk() -> str:
    found = re.search(r"wrk \S*?(\d+\.\d+\.\d+)", _printed(["wrk", "--version"]))
    return found[1] if found else "(unknown version)"


def _printed(command: list[str]) -> str:
    program = shutil.which(command[0])
    if program is None:
        return "(missing)"
    return subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False).stdout.strip()
