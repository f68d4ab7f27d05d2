"""Servers as child processes: ours, the bare one, the one in Node. Each prints its address when it begins."""

import contextlib
import http.client
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from benchmarks.world import World, flags

PATIENCE_S = 30
_HERE = Path(__file__).parent


class Server(msgspec.Struct, frozen=True):
    """A running server."""

    url: str
    pid: int

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    def workers(self) -> list[int]:
        """Ids of its worker processes."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(child) for child in children.split()]

    def cpu_s(self) -> float:
        """Processor seconds that its workers used so far."""
        ticks = 0
        for worker in self.workers():
            fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        """Memory that its workers hold, without what they share with others."""
        found = 0
        for worker in self.workers():
            for line in Path(f"/proc/{worker}/smaps_rollup").read_text().splitlines():
                if line.startswith(("Private_Dirty:", "Private_Clean:")):
                    found += 1024 * int(line.split()[1])
        return found


def serve_command(world: World, trail: Path, **settings: object) -> list[str]:
    """The command that serves a world on free ports."""
    program = Path(sys.executable).with_name("multipartner")
    return [str(program), "serve", *flags(world.options(trail, port=0, operations_port=0, **settings))]


@contextmanager
def running(command: Sequence[str], told: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Start a server, wait for its address, stop it at the end. Its log goes to a file that is thrown away."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MULTIPARTNER_")}
    environment |= told or {}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment, start_new_session=True)
        try:
            yield Server(_address(process), process.pid)
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read()[-2000:].decode(errors="replace"))
            raise
        finally:
            _stop(process)


def _address(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
    line = process.stdout.readline().decode() if ready else ""
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    if found is None:
        raise RuntimeError(f"a server did not start: {process.args!r} said {line!r}")
    return found[0]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextmanager
def bare(body_bytes: int) -> Iterator[Server]:
    """The bare application; returns once it answers."""
    with running([sys.executable, "-m", "benchmarks.bare", str(body_bytes)]) as server:
        wait_for(server)
        yield server


def wait_for(server: Server) -> None:
    """Return once a connection is taken."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection(*server.address, timeout=1)
            connection.connect()
            connection.close()
            return
        time.sleep(0.01)
    raise RuntimeError(f"{server.url} does not answer")


def ask(server: Server, world: World, business: str) -> tuple[int, bytes]:
    """Ask once over a connection of its own: status and body."""
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    try:
        path, query = world.target(business)
        connection.request("GET", f"{path}?{query}", headers={"Authorization": f"Bearer {world.token}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
