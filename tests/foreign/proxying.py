"""nginx and HAProxy with the configurations in `deploy/`, as they are: only the places in them are filled in."""

import contextlib
import datetime as dt
import os
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serving import eventually

DEPLOY = Path(__file__).parents[2] / "deploy"
KINDS = ("nginx", "haproxy")
NAME = "localhost"
HEALTH = b"GET /.well-known/jwks.json "
START_S = 20

_PLACES = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"


def program(kind: str) -> str:
    """Where a proxy is installed; skips the test where it is not."""
    found = shutil.which(kind, path=_PLACES)
    if found is None:
        pytest.skip(f"`make foreign` installs {kind}")
    return found


@dataclass(frozen=True)
class Proxy:
    """A running proxy: where it listens, and where its folder is."""

    kind: str
    address: tuple[str, int]
    folder: Path

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def logged(self) -> str:
        """All that it wrote, of starts and of requests."""
        return "".join(file.read_text("utf-8") for file in sorted(self.folder.glob("*.log")))


@contextlib.contextmanager
def proxy(kind: str, replicas: Sequence[str], folder: Path, *, tls: bool = False) -> Iterator[Proxy]:
    """Run a proxy in front of three replicas (host:port) until the block ends."""
    address = free_address()
    certificate = folder / "tokens.pem"
    certificate.write_bytes(self_signed())
    listen = f"{address[0]}:{address[1]}"
    if tls:
        listen += " ssl" if kind == "nginx" else f" ssl crt {certificate} alpn http/1.1"
    places = {f"REPLICA_{number}": replica for number, replica in enumerate(replicas, 1)}
    places |= {"PROXY_RUN": str(folder), "PROXY_LISTEN": listen, "PROXY_NAME": NAME, "PROXY_CERTIFICATE": str(certificate)}
    command = _nginx(places, folder) if kind == "nginx" else [program(kind), "-db", "-f", str(DEPLOY / "haproxy.cfg")]
    with (folder / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ | places, stdout=log, stderr=log)
    started = Proxy(kind, address, folder)
    try:
        eventually(lambda: _answers(started, process), START_S)
        yield started
    finally:
        process.terminate()
        process.wait(10)


def _nginx(places: dict[str, str], folder: Path) -> list[str]:
    # As envsubst does.
    text = re.sub(r"\$\{(\w+)\}", lambda found: places[found[1]], (DEPLOY / "nginx.conf").read_text("utf-8"))
    configuration = folder / "nginx.conf"
    configuration.write_text(text, "utf-8")
    return [program("nginx"), "-c", str(configuration), "-e", f"{folder}/error.log", "-g", "daemon off;"]


def _answers(started: Proxy, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, started.logged()
    socket.create_connection(started.address, 1).close()
    return True


def free_address() -> tuple[str, int]:
    """A loopback address that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host, port = taken.getsockname()[:2]
        return str(host), int(port)


def self_signed() -> bytes:
    """A certificate for the proxy's name and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM) + secret


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HANG_UP = b""


class Recorder(socketserver.ThreadingTCPServer):
    """A service that keeps each request's bytes as they came, and gives all of them one answer; the proxy's checks get 200."""

    daemon_threads = True

    def __init__(self, answer: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Recording)
        self.answer = answer
        self.requests: list[bytes] = []

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a proxy breaks connections off as it likes
            super().handle_error(request, client_address)

    def seen(self) -> list[bytes]:
        """What came, the proxy's own checks aside."""
        return [one for one in self.requests if not one.startswith(HEALTH)]


class _Recording(socketserver.StreamRequestHandler):
    server: Recorder

    def handle(self) -> None:
        while line := self.rfile.readline():
            lines = [line]
            # Not split at bare LF: whatever stands between CRLFs is one line here.
            while lines[-1] != b"\r\n":
                lines.append(self._line())
                if not lines[-1]:
                    return
            length = next((int(one[15:]) for one in lines if one.lower().startswith(b"content-length:")), 0)
            self.server.requests.append(b"".join(lines) + self.rfile.read(length))
            answer = OK if line.startswith(HEALTH) else self.server.answer
            if answer == HANG_UP:
                return
            self.wfile.write(answer)

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\r\n"):
            more = self.rfile.readline()
            if not more:
                return b""
            line += more
        return line


@contextlib.contextmanager
def recorder(answer: bytes = OK) -> Iterator[Recorder]:
    with Recorder(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
