"""`multipartner broker` as a child process, and an upstream whose answers the test chooses. Waits have deadlines."""

import contextlib
import http.client
import http.server
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multipartner.broker.credentials import Wanted, create
from running import App
from serving import START_S, Answer, clean_environment, first_line, get

SERVER_ONLY = (
    "aiosqlite",
    "alembic",
    "asyncpg",
    "limits",
    "pydantic_settings",
    "python_multipart",
    "sqlalchemy",
    "valkey",
    "yaml",
)
"""What an installation with the extra `broker` alone has not."""

TARGET = "/v23.0/8249170987505988/access_token?business_id=2991847208473997"
"""What most tests ask a broker for."""

_MAIN = f"import sys; sys.modules.update(dict.fromkeys({SERVER_ONLY!r})); from multipartner.cli import main; main()"
COMMAND = [sys.executable, "-c", _MAIN]
"""Our command line in an interpreter that has nothing of the database: every test here is one of the extra as well."""


@dataclass
class Folder:
    """A broker's configuration and secrets."""

    path: Path
    settings: dict[str, object] = field(default_factory=dict)
    accounts: dict[str, dict[str, object]] = field(default_factory=dict)
    store: dict[str, object] | None = None

    def account(self, name: str, origin: str, app: App, **more: object) -> None:
        token = self.path / f"{name}.token"
        token.touch(0o600)
        token.write_text(app.caller_token)
        self.accounts[name] = {"origin": origin, "app_id": app.id, "caller_token_file": token.name, **more}

    @property
    def config(self) -> Path:
        """Write the configuration file, as it is now."""
        file = self.path / "broker.toml"
        lines = [f"{name} = {_toml(value)}" for name, value in self.settings.items()]
        if self.store is not None:
            lines += ["[store]", *(f"{key} = {_toml(value)}" for key, value in self.store.items())]
        for name, account in self.accounts.items():
            lines += [f"[accounts.{name}]", *(f"{key} = {_toml(value)}" for key, value in account.items())]
        file.write_text("\n".join(lines), "utf-8")
        return file

    def credential(self, account: str = "main", solution: str = "*", business: str = "*") -> str:
        """Make a caller token of the broker's; the verb that does it has a test of its own."""
        wanted = Wanted("test", account, [solution], [business])
        return create(self.path / "broker-credentials.json", wanted, int(time.time()))[1].reveal()


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    return "[" + ", ".join(map(_toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


def folder_at(path: Path, **settings: object) -> Folder:
    path.mkdir(mode=0o700, exist_ok=True)
    return Folder(path, {"listen": "127.0.0.1:0", "operations_port": 0, **settings})


@dataclass
class Brokering:
    """A running broker. `errors` is the file its stderr goes to; `url` begins with `unix:` for a socket."""

    process: subprocess.Popen[bytes]
    url: str
    operations_url: str
    errors: Path

    def ask(self, token: str, target: str) -> Answer:
        if self.url.startswith("unix:"):
            return get_over(self.url.removeprefix("unix:"), target, token)
        return get(self.url, target, token)

    def ready(self) -> Answer:
        return get(self.operations_url, "/readyz")

    def metric(self, start: str) -> float:
        """The sum of all samples whose line begins with `start`."""
        lines = get(self.operations_url, "/metrics").body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.errors.read_text().splitlines()]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def kill(self) -> None:
        """As the kernel does when memory is short: no handler runs, and nothing is tidied up."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def brokering(folder: Folder, **environment: str) -> Iterator[Brokering]:
    """Run a broker until the block ends."""
    errors = folder.path / f"stderr-{time.monotonic_ns()}"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "broker", "--config", str(folder.config)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=clean_environment() | environment,
        )
    try:
        line = first_line(process)
        found = re.search(r"serves (\S+) for .*; operations: (http://\S+)", line)
        assert found is not None, f"it printed {line!r} and {errors.read_text()!r}"
        yield Brokering(process, found[1], found[2], errors)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def run(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command of ours to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
        env=clean_environment() | environment,
    )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=15)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(15)
        self.sock.connect(self._path)


def get_over(path: str, target: str, token: str) -> Answer:
    """One request over a unix socket."""
    with contextlib.closing(_UnixConnection(path)) as connection:
        connection.request("GET", target, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


Given = tuple[int, dict[str, str], bytes]


class Upstream(http.server.ThreadingHTTPServer):
    """Answers every request with what `answer` returns for its path; None for a connection that is cut. Counts the requests."""

    daemon_threads = True

    def __init__(self, answer: Callable[[str], Given | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.answer = answer
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        given = self.server.answer(self.path)
        if given is None:
            self.close_connection = True
            return
        status, headers, body = given
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Nothing is logged."""


@contextlib.contextmanager
def upstream(answer: Callable[[str], Given | None]) -> Iterator[Upstream]:
    """Run an upstream until the block ends."""
    server = Upstream(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def granted(token: str, lifetime_s: int = 3600) -> Given:
    return 200, {}, json.dumps({"access_token": token, "expires_at": int(time.time()) + lifetime_s}).encode()
