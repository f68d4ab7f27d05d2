"""`multipartner serve` as a child process, and the little that tests need to see of its processes. Waits have deadlines."""

import contextlib
import http.client
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from deployment import Deployment

COMMAND = str(Path(sys.executable).with_name("multipartner"))
START_S = 40
STOP_S = 15
SOLUTION = "8249170987505988"
OWNER_APP = "5372200989284704"
OWNER_USER = "4567798337013316"
PARTNER_APP = "26176007736316621"
PARTNER_USER = "84252942509182792"
STRANGER_APP = "895726466135102"
STRANGER_USER = "842834616379033"
SHARING = "2991847208473997"
SHARING_TOO = "577542300013003"

Result = TypeVar("Result")


def path_of(business: str, solution: str = SOLUTION) -> str:
    return f"/v23.0/{solution}/access_token?business_id={business}"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One kept-alive connection, and so one worker."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._http = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=15)

    def get(self, path: str, token: str | None = None, **headers: str) -> Answer:
        return self.send("GET", path, token, **headers)

    def send(self, method: str, path: str, token: str | None = None, body: str | None = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            named["Authorization"] = f"Bearer {token}"
        self._http.request(method, path, body, named)
        answer = self._http.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def close(self) -> None:
        self._http.close()


def get(url: str, path: str, token: str | None = None, **headers: str) -> Answer:
    """One request on a connection of its own."""
    with contextlib.closing(Connection(url)) as connection:
        return connection.get(path, token, **headers)


@dataclass
class Served:
    """A running service. `errors` is the file its stderr goes to."""

    process: subprocess.Popen[bytes]
    url: str
    operations_url: str
    errors: Path
    printed: str

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def workers(self) -> list[int]:
        """Process ids of the living workers."""
        return children_of(self.pid)

    def log(self) -> list[dict[str, Any]]:
        """The log's lines; each must be one JSON object."""
        return [json.loads(line) for line in self.errors.read_text().splitlines()]

    def stop(self) -> int:
        """Stop it in order; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def ready(self) -> Answer:
        return get(self.operations_url, "/readyz")

    def metric(self, start: str) -> float:
        """The sum of all samples whose line begins with `start`."""
        lines = get(self.operations_url, "/metrics").body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))


@contextlib.contextmanager
def serving(deployment: Deployment, environment: Mapping[str, str] | None = None, **settings: object) -> Iterator[Served]:
    """Serve a deployment on free ports until the block ends; whatever is left then is killed."""
    options = {"port": 0, "operations_port": 0, **settings}
    errors = deployment.directory.parent / f"stderr-{time.monotonic_ns()}"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [COMMAND, "serve", *deployment.arguments, *(_option(name, value) for name, value in options.items())],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=clean_environment() | dict(environment or {}),
        )
    try:
        line = first_line(process)
        found = re.search(r"serves (http://\S+) with .* operations: (http://\S+)", line)
        assert found is not None, f"it printed {line!r} and {errors.read_text()!r}"
        yield Served(process, found[1], found[2], errors, line)
    finally:
        left = children_of(process.pid)
        process.kill()
        process.wait()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert process.stdout is not None
        process.stdout.close()


def _option(name: str, value: object) -> str:
    flag = name.replace("_", "-")
    return f"--{'' if value else 'no-'}{flag}" if isinstance(value, bool) else f"--{flag}={value}"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command of ours to its end."""
    return subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
        env=clean_environment() | environment,
    )


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MULTIPARTNER_")}


def first_line(process: subprocess.Popen[bytes]) -> str:
    """Read its first line of output; empty if it ends without one."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        assert selector.select(START_S), "it printed nothing in time"
    return process.stdout.readline().decode()


def children_of(pid: int) -> list[int]:
    """Process ids of living children (a zombie lives no more)."""
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                children.append(int(status.parent.name))
    return sorted(children)


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def eventually(look: Callable[[], Result], within_s: float = 10) -> Result:
    """Look again and again until there is something to see; fails when the deadline passes."""
    deadline = time.monotonic() + within_s
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if seen := look():
                return seen
        assert time.monotonic() < deadline, f"not seen within {within_s} s"
        time.sleep(0.02)
