"""The load generator: wrk, one thread, with a script that tells its figures as JSON."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
from benchmarks.world import World

CONNECTIONS = 32
_HERE = Path(__file__).parent


class Load(msgspec.Struct, frozen=True):
    """What wrk measured. `failed`: answers of 400 and above; `broken`: connections and time-outs."""

    requests: int
    duration_us: int
    failed: int
    broken: int
    p50_us: int
    p99_us: int
    max_us: int

    @property
    def per_s(self) -> float:
        return 1e6 * self.requests / self.duration_us


def ensure_wrk() -> None:
    """Install wrk where it is missing and the system is Debian's."""
    if shutil.which("wrk") is None:
        subprocess.run(["apt-get", "install", "--yes", "--no-install-recommends", "wrk"], check=True, stdout=subprocess.DEVNULL)


def walk(world: World, first: int, count: int, ids: Path | None = None, pause_ms: int | None = None) -> dict[str, str]:
    """What `walk.lua` needs to ask for the customers of some lines of a file, of all customers unless `ids` names another."""
    more = {} if pause_ms is None else {"BENCH_PAUSE_MS": str(pause_ms)}
    return {
        "BENCH_IDS": str(ids or world.businesses),
        "BENCH_FIRST": str(first),
        "BENCH_COUNT": str(count),
        "BENCH_PATH": world.target("")[0],
        "BENCH_TOKEN": world.token,
        **more,
    }


def drive(
    url: str, script: str, told: Mapping[str, str], seconds: float, *, connections: int = CONNECTIONS, refusals: bool = False
) -> Load:
    """Load a server and return the figures; raises RuntimeError when an answer was not the one wanted."""
    process = begin(url, script, told, seconds, connections)
    return finish(process, refusals=refusals)


def begin(url: str, script: str, told: Mapping[str, str], seconds: float, connections: int) -> subprocess.Popen[str]:
    """Start to load a server."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as whole:
        whole.write((_HERE / script).read_text() + (_HERE / "done.lua").read_text())
        whole.flush()
        # wrk takes whole seconds or milliseconds of none; it reads the script before it prints its first line.
        command = ["wrk", "--latency", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", whole.name, url]
        environment = {"PATH": os.environ["PATH"], **told}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        process.stdout.readline()
    return process


def finish(process: "subprocess.Popen[str]", *, refusals: bool) -> Load:
    """Wait for the end and read the figures."""
    printed, _ = process.communicate()
    told = [line for line in printed.splitlines() if line.startswith("BENCH ")]
    if not told:
        raise RuntimeError(f"wrk said: {printed}")
    load = msgspec.json.decode(told[0].removeprefix("BENCH "), type=Load)
    if load.broken or not load.requests or (load.failed and not refusals):
        raise RuntimeError(f"wrk met errors: {load}")
    return load
