"""nginx and HAProxy in front of the service, with the configurations that SECURITY.md points to (attack 49)."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rawhttp import Raw, request
from running import Running, running

__all__ = ["running"]

pytestmark = pytest.mark.foreign

FOLDER = Path(__file__).parent / "proxies"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


@dataclass(frozen=True)
class Proxy:
    """A proxy in front of a service: where it listens, what it is called."""

    kind: str
    address: tuple[str, int]


def start(kind: str, service: tuple[str, int], folder: Path) -> tuple["subprocess.Popen[bytes]", Proxy]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()[:2]
    known = {"@SERVICE@": f"{service[0]}:{service[1]}", "@LISTEN@": f"{address[0]}:{address[1]}", "@NAME@": "localhost"}
    text = (FOLDER / ("nginx.conf" if kind == "nginx" else "haproxy.cfg")).read_text("utf-8")
    for place, value in known.items():
        text = text.replace(place, value)
    configuration = folder / kind
    if kind == "nginx":
        paths = "".join(f"{name}_temp_path {folder};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        text = f"pid {folder}/pid; error_log {folder}/log; events {{}} http {{ access_log off; {paths} {text} }}"
        command = [str(NGINX), "-c", str(configuration), "-e", f"{folder}/log", "-g", "daemon off; master_process off;"]
    else:
        command = [str(HAPROXY), "-db", "-q", "-f", str(configuration)]
    configuration.write_text(text, "utf-8")
    process = subprocess.Popen(command)
    while process.poll() is None:
        try:
            socket.create_connection(address, 1).close()
        except ConnectionRefusedError:
            continue
        return process, Proxy(kind, address)
    raise RuntimeError(f"{kind} ended with status {process.returncode}")


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def kind(request: pytest.FixtureRequest) -> str:
    if not (NGINX if request.param == "nginx" else HAPROXY):
        pytest.skip(f"`make foreign` installs {request.param}")
    return str(request.param)


@pytest.fixture(scope="module")
def proxy(kind: str, running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    process, proxy = start(kind, running.address, tmp_path_factory.mktemp(kind))
    try:
        yield proxy
    finally:
        process.terminate()
        process.wait(10)


def statuses(proxy: Proxy, data: bytes) -> list[int]:
    """The statuses of all answers on one connection, which the client half-closes after what it sent."""
    with Raw(proxy.address) as connection:
        connection.send(data)
        connection.send(request("/end", "Connection: close"))
        found = []
        while (answer := connection.answer()) is not None:
            found.append(answer.status)
        return found


REFUSED: dict[str, tuple[list[str], bytes]] = {
    "two Hosts": (["Host: other"], b""),
    "two Authorizations": (["Authorization: Bearer x"], b""),
    "TE": (["Transfer-Encoding: chunked"], b"0\r\n\r\n"),
    "CL then TE": (["Content-Length: 4", "Transfer-Encoding: chunked"], b"0\r\n\r\n" + request("/smuggled")),
    "TE then CL": (["Transfer-Encoding: chunked", "Content-Length: 4"], b"0\r\n\r\n" + request("/smuggled")),
    "two Content-Lengths": (["Content-Length: 2", "Content-Length: 3"], b"{}"),
    "header over 8 kB": (["X-Long: " + "a" * 9000], b""),
    "bare CR": (["X-A: a\rX-B: b"], b""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_proxy_refuses_and_nothing_is_smuggled(running: Running, proxy: Proxy, case: str) -> None:
    """Ambiguous framing ends at the proxy or the service: one refusal, and no second request is answered out of it."""
    lines, body = REFUSED[case]
    data = request(running.target(), f"Authorization: Bearer {running.owner.caller_token}", *lines) + body

    found = statuses(proxy, data)

    assert found[:1] == [400]
    assert found[1:] in ([], [404])


@pytest.mark.parametrize("target", ["http://other.example{}", "{}"])
def test_proxy_serves_its_own_name_only(running: Running, proxy: Proxy, target: str) -> None:
    """An absolute URL or a Host of another name does not reach the service."""
    host = "localhost" if target.startswith("http") else "other.example"
    found = statuses(proxy, request(target.format(running.target()), host=host, method="GET"))

    assert found[0] in {400, 421}


@pytest.mark.parametrize("path", ["{}%0a", "/{}", "/x/..{}", "/%2e%2e{}", "{}/"])
def test_proxy_hands_the_path_on_to_the_byte(running: Running, proxy: Proxy, path: str) -> None:
    """The path that the proxy saw is the one that the service judges: tricks stay 404 behind it (attack 8)."""
    bare = running.target().partition("?")[0]
    data = request(path.format(bare), f"Authorization: Bearer {running.owner.caller_token}")

    assert statuses(proxy, data)[0] in {400, 404}


def test_proxy_rewrites_what_it_forgives(kind: str, tmp_path: Path) -> None:
    """Neither refuses a bare LF (RFC 9112 allows that); both write CRLF onwards, so that the service reads what they read."""
    with socket.create_server(("127.0.0.1", 0)) as service:
        service.settimeout(10)
        process, proxy = start(kind, service.getsockname()[:2], tmp_path)
        try:
            with Raw(proxy.address) as connection:
                connection.send(b"GET /x HTTP/1.1\nHost: localhost\nX-A: a\nX-B: b\n\n")
                behind, _ = service.accept()
                with behind:
                    behind.settimeout(10)
                    seen = b""
                    while not seen.endswith(b"\r\n\r\n"):
                        seen += behind.recv(65536)
        finally:
            process.terminate()
            process.wait(10)

    assert seen.count(b"\n") == seen.count(b"\r\n")
    assert {b"x-a: a", b"x-b: b"} <= set(seen.lower().split(b"\r\n"))


def test_tokens_come_through(running: Running, proxy: Proxy) -> None:
    """Through the proxy a caller gets its token, uncompressed and uncached."""
    with Raw(proxy.address) as connection:
        lines = (f"Authorization: Bearer {running.owner.caller_token}", "Accept-Encoding: gzip")
        answer = connection.send(request(running.target(), *lines)).answer()

    assert answer is not None
    assert answer.status == 200
    assert answer.header("content-encoding") is None
    assert "no-store" in (answer.header("cache-control") or "")
