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


def write(part: str, lines: Sequence[Line], plan: Plan, seconds: float) -> None:
    """Put a part's table in place of the one before. Raises ValueError when the page has lost its markers."""
    text, (first, last) = PAGE.read_text(), markers(part)
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no markers to write between")
    PAGE.write_text(f"{before}{first}\n{_facts(part, plan, seconds)}\n\n{table(lines)}\n{last}{after}")


def markers(part: str) -> tuple[str, str]:
    """The lines between which a part's table stands."""
    return f"<!-- written by make bench, {part}: begin -->", f"<!-- written by make bench, {part}: end -->"


def sources() -> str:
    """A fingerprint of what is measured."""
    package = Path(multipartner.__file__).parent
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(package.rglob("*.py")))).hexdigest()


def table(lines: Sequence[Line]) -> str:
    """The lines as a Markdown table."""
    rows = ["| figure | to hold | measured: median (least to most) | held | and |", "| --- | --- | --- | --- | --- |"]
    rows += [" | ".join(("| " + x.figure, x.to_hold, x.measured, x.held.value, x.note + " |")) for x in lines]
    return "\n".join(rows)


def _facts(part: str, plan: Plan, seconds: float) -> str:
    plan_named = "" if plan.name == "full" else f"{plan.name} "
    command = f'make bench ARGS="{plan_named}--part {part}"'
    libraries = ", ".join(f"{name} {version(name)}" for name in ("granian", "uvloop", "starlette", "msgspec", "cryptography"))
    compared = ", ".join(f"{name} {version(name)}" for name in ("google-auth", "azure-identity", "msal", "botocore", "Authlib"))
    head = (
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, {seconds / 60:.0f} minutes; {plan.pairs} pairs of {plan.seconds:g} s a side."
        "\n"
        f"{_machine()}; load average before {_LOAD_BEFORE:.1f}. Python {platform.python_version()},"
    )
    if part == "client":
        return f"{head} cryptography {version('cryptography')}; {compared}."
    node = _printed(["node", "--version"]).removeprefix("v")
    return f"{head} SQLite {sqlite3.sqlite_version}, {libraries}; wrk {_wrk()}; Node {node}, oidc-provider {oidc_version()}."


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
