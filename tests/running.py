"""The demo as a child process: a real server on a port of its own choosing, its facts read from its first line."""

import json
import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import pytest

START_S = 30
"""How long a start may take on a busy machine before it counts as failed (seconds)."""

COMMAND = os.environ.get("MULTIPARTNER_TEST_DEMO") or f"{Path(sys.executable).with_name('multipartner')} demo --json"
"""What starts a demo; the variable lets the same tests run against another installation of it."""


@dataclass(frozen=True)
class App:
    id: str
    name: str
    role: str
    secret: str = field(repr=False)
    caller_token: str = field(repr=False)


@dataclass(frozen=True)
class Running:
    """One running demo. `business[outcome]` is a customer for whom the owner's app gets that status."""

    url: str
    solution_id: str
    owner: App
    partner: App
    business: dict[int, str]
    facts: dict[str, Any] = field(repr=False)
    pid: int = 0

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    def target(self, outcome: int = 200, version: str = "v23.0") -> str:
        return f"/{version}/{self.solution_id}/access_token?business_id={self.business[outcome]}"


def start_demo() -> tuple[subprocess.Popen[bytes], Running]:
    # A file for the log: an unread pipe would fill up and stop the child.
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(shlex.split(COMMAND), stdout=subprocess.PIPE, stderr=log)
        assert process.stdout is not None
        try:
            facts = json.loads(_first_line(process.stdout))
        except ValueError as error:
            stop_demo(process)
            log.seek(0)
            raise RuntimeError(f"`{COMMAND}` did not print its facts: {log.read()[-2000:].decode(errors='replace')}") from error
    apps = [App(**{name: app[name] for name in ("id", "name", "role", "secret", "caller_token")}) for app in facts["apps"]]
    business: dict[int, str] = {}
    for customer in facts["businesses"]:
        if str(customer.get("outcome") or "").isdigit():
            business.setdefault(int(customer["outcome"]), customer["id"])
    owner = next(app for app in apps if app.role == "owner")
    partner = next(app for app in apps if app.role == "partner")
    return process, Running(facts["url"], facts["solution_id"], owner, partner, business, facts, process.pid)


def _first_line(stdout: IO[bytes]) -> bytes:
    ready, _, _ = select.select([stdout], [], [], START_S)
    return stdout.readline() if ready else b""


def stop_demo(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


_KEY = pytest.StashKey[Running]()


@pytest.fixture(scope="session")
def running(pytestconfig: pytest.Config) -> Running:
    """One demo for the whole run: test modules that import this fixture share it, and it ends with the run."""
    if _KEY not in pytestconfig.stash:
        process, demo = start_demo()
        pytestconfig.add_cleanup(lambda: stop_demo(process))
        pytestconfig.stash[_KEY] = demo
    return pytestconfig.stash[_KEY]
