"""nginx and HAProxy in front of the service, with the configurations that are shipped (attack 49)."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from foreign.proxying import HANG_UP, KINDS, NAME, Proxy, Recorder, proxy, recorder
from rawhttp import Answer, Raw, ask, request
from running import Running, running
from serving import eventually

__all__ = ["running"]

pytestmark = pytest.mark.foreign

TARGET = "/v23.0/8249170987505988/access_token?business_id=2991847208473997"
CHUNKS = b"0\r\n\r\n"
SMUGGLED = request("/smuggled")


@dataclass(frozen=True)
class Behind:
    """A proxy with a recorder behind it, three times."""

    proxy: Proxy
    recorder: Recorder

    def statuses(self, data: bytes) -> list[int]:
        """The statuses of all answers on one connection, after whose request another one comes."""
        self.recorder.requests.clear()
        with Raw(self.proxy.address) as connection:
            with contextlib.suppress(ConnectionError):
                connection.send(data)
                connection.send(request("/end", "Connection: close"))
            found = []
            while (answer := connection.answer()) is not None:
                found.append(answer.status)
            return found

    def paths(self) -> list[bytes]:
        return [one.split(b" ")[1] for one in self.recorder.seen()]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def behind(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    with recorder() as server, proxy(kind, [server.place] * 3, tmp_path_factory.mktemp(kind)) as started:
        yield Behind(started, server)


@pytest.fixture(scope="module")
def front(kind: str, running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy before a service."""
    with proxy(kind, [f"{running.address[0]}:{running.address[1]}"] * 3, tmp_path_factory.mktemp(kind)) as started:
        yield started


REFUSED: dict[str, bytes] = {
    "two Hosts": request(TARGET, "Host: other"),
    "no Host": request(TARGET, host=None),
    "empty Host": request(TARGET, host=""),
    "Host that is none": request(TARGET, host="a b/c"),
    "another Host": request(TARGET, host="other.example"),
    "absolute form, another authority": request("http://other.example" + TARGET),
    "absolute form": request(f"http://{NAME}" + TARGET),
    "asterisk": request("*"),
    "CONNECT": request(f"{NAME}:443", method="CONNECT"),
    "raw UTF-8 path": request("/é".encode() + TARGET.encode()),
    "space in path": request("/a b"),
    "fragment before path": request("#/" + TARGET),
    "two Authorizations": request(TARGET, "Authorization: Bearer x", "Authorization: Bearer y"),
    "TE": request(TARGET, "Transfer-Encoding: chunked") + CHUNKS,
    "TE gzip": request(TARGET, "Transfer-Encoding: gzip, chunked") + CHUNKS,
    "TE twice": request(TARGET, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + CHUNKS,
    "TE that is none": request(TARGET, "Transfer-Encoding: xchunked") + CHUNKS,
    "CL then TE": request(TARGET, "Content-Length: 5", "Transfer-Encoding: chunked") + CHUNKS + SMUGGLED,
    "TE then CL": request(TARGET, "Transfer-Encoding: chunked", "Content-Length: 5") + CHUNKS + SMUGGLED,
    "two Content-Lengths": request(TARGET, "Content-Length: 2", "Content-Length: 3") + b"{}",
    "Content-Length list": request(TARGET, "Content-Length: 2, 3") + b"{}",
    "negative Content-Length": request(TARGET, "Content-Length: -1"),
    "signed Content-Length": request(TARGET, "Content-Length: +2") + b"{}",
    "space before colon": request(TARGET, "X-A : a"),
    "bare CR": request(TARGET, "X-A: a\rX-B: b"),
    "NUL": request(TARGET, "X-A: a\0b"),
    "upgrade": request(TARGET, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
    "header over 8 kB": request(TARGET, "X-Long: " + "a" * 9000),
    "headers over 32 kB": request(TARGET, *(f"X-{n}: " + "a" * 4000 for n in range(9))),
    "body over 8 kB": request(TARGET, "Content-Length: 9000", method="POST") + b"a" * 9000,
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("case", REFUSED)
def test_ambiguous_requests_end_at_the_proxy(behind: Behind, case: str) -> None:
    """Attack 49: what two parsers could read in two ways is refused by the proxy; the service sees none of it."""
    found = behind.statuses(REFUSED[case])

    assert found[:1] == [] or 400 <= found[0] < 500 or found[0] in {501, 505}
    assert set(behind.paths()) <= {b"/end"}


FORGIVEN: dict[str, bytes] = {
    "two equal Hosts": request(TARGET, f"Host: {NAME}"),
    "bare LF": request(TARGET, "X-A: a", "X-B: b").replace(b"\r\n", b"\n"),
    "bare LF in one line": request(TARGET, "X-A: a\nX-B: b"),
    "folded header": request(TARGET, "X-A: a\r\n b"),
    "two equal Content-Lengths": request(TARGET, "Content-Length: 2", "Content-Length: 2") + b"{}",
    "empty lines before": b"\r\n\r\n" + request(TARGET),
    "Expect of another kind": request(TARGET, "Expect: wonders"),
    "lower-case method": request(TARGET, method="get"),
    "tab before value": request(TARGET, "X-A:\ta"),
    "HTTP/1.0": request(TARGET).replace(b"HTTP/1.1", b"HTTP/1.0"),
}


@pytest.mark.parametrize("case", FORGIVEN)
def test_what_the_proxy_forgives_it_writes_anew(behind: Behind, case: str) -> None:
    """What a proxy does not refuse arrives in one form: CRLF, one Host, one length, no folds."""
    found = behind.statuses(FORGIVEN[case])
    arrived = [one for one in behind.recorder.seen() if TARGET.encode() in one]

    if not arrived:
        assert found[:1] == [] or 400 <= found[0] < 500
        return
    assert len(arrived) == 1
    head = arrived[0].partition(b"\r\n\r\n")[0].lower()
    lines = head.split(b"\r\n")
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert lines[0] in {b"get " + TARGET.encode() + b" http/1." + minor for minor in (b"0", b"1")}
    assert [line.partition(b": ")[2] for line in lines if line.startswith(b"host:")] == [NAME.encode()]
    assert sum(line.startswith(b"content-length:") for line in lines) <= 1
    assert not [line for line in lines if line.startswith((b"expect:", b"transfer-encoding:", b" ", b"\t"))]


@pytest.mark.parametrize(
    "spoofed", ["X-Forwarded-For: 203.0.113.9", "x-forwarded-for: 203.0.113.9\r\nX-FORWARDED-FOR: 203.0.113.8"]
)
def test_what_a_client_says_of_its_address_is_overwritten(behind: Behind, spoofed: str) -> None:
    """Attack 52: however a client spells X-Forwarded-For, the service sees one, and in it the client's own address."""
    behind.statuses(request(TARGET, spoofed))
    lines = behind.recorder.seen()[0].lower().split(b"\r\n")

    assert [line for line in lines if line.startswith(b"x-forwarded-for")] == [b"x-forwarded-for: 127.0.0.1"]


@pytest.mark.parametrize("path", ["{}%0a", "/{}", "/x/..{}", "/%2e%2e{}", "{}/", "/./{}"])
def test_proxy_hands_the_path_on_to_the_byte(running: Running, front: Proxy, path: str) -> None:
    """Attack 8: the path that the proxy saw is the one that the service judges: tricks stay 404 behind it."""
    bare = running.target().partition("?")[0]
    answer = ask(front.address, request(path.format(bare), f"Authorization: Bearer {running.owner.caller_token}"))

    assert answer is not None
    assert answer.status in {400, 404}


def test_tokens_come_through(running: Running, front: Proxy) -> None:
    """Through the proxy a caller gets its token, uncompressed and uncached."""
    lines = (f"Authorization: Bearer {running.owner.caller_token}", "Accept-Encoding: gzip")
    answer = ask(front.address, request(running.target(), *lines))

    assert answer is not None
    assert answer.status == 200
    assert answer.header("content-encoding") is None
    assert "no-store" in (answer.header("cache-control") or "")


def test_no_query_in_any_log(kind: str, tmp_path: Path) -> None:
    """Attack 57: a token in a query stands in no log of the proxy, whether the request was served, refused, or met nobody."""
    canary = "canary" + "0" * 20
    query = f"{TARGET}&access_token={canary}"
    with recorder() as server, proxy(kind, [server.place] * 3, tmp_path) as started:
        assert _status(ask(started.address, request(query))) == 200
        assert _status(ask(started.address, request(query, "Transfer-Encoding: chunked") + CHUNKS)) == 400
        ask(started.address, request("http://x" + query))
        ask(started.address, b"GET " + query.encode() + b"\0 HTTP/1.1\r\n\r\n")
        server.shutdown()
        server.server_close()
        eventually(lambda: _status(ask(started.address, request(query))) == 503)
        eventually(lambda: started.logged().count('access_token"') >= 3)

    assert canary not in started.logged()


@pytest.mark.parametrize("status", [500, 503])
def test_a_replica_that_cannot_answer_is_passed_over(kind: str, status: int, tmp_path: Path) -> None:
    """While one replica says that it cannot answer, as without its database, every caller is answered by another one."""
    unable = b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\n{}" % status
    with recorder(unable) as lame, recorder() as sound, proxy(kind, [lame.place, sound.place, sound.place], tmp_path) as started:
        found = [_status(ask(started.address, request(TARGET))) for _ in range(20)]

    assert set(found) == {200}
    assert lame.seen()


@pytest.mark.parametrize(
    ("data", "times"),
    [
        (request(TARGET), {2, 3, 4}),
        (request("/oauth/introspect", "Content-Length: 2", method="POST") + b"{}", {2, 3, 4}),
        (request("/oauth/other", "Content-Length: 2", method="POST") + b"{}", {1}),
    ],
    ids=["GET", "introspection", "another POST"],
)
def test_only_what_changes_nothing_is_sent_again(kind: str, data: bytes, times: set[int], tmp_path: Path) -> None:
    """When replicas hang up on a request it goes to another one only if it is a GET or an introspection."""
    with recorder(HANG_UP) as server, proxy(kind, [server.place] * 3, tmp_path) as started:
        status = _status(ask(started.address, data))

    assert status in {502, 503}
    assert len(server.seen()) in times


def test_nobody_behind_is_said_as_the_contract_says_it(kind: str, tmp_path: Path) -> None:
    """Without any replica a caller reads a transient error in the contract's form, and is told when to come again."""
    with recorder() as server:
        place = server.place
    with proxy(kind, [place] * 3, tmp_path) as started:
        answer = eventually(lambda: ask(started.address, request(TARGET)))

    assert answer is not None
    assert answer.status == 503
    assert answer.error["is_transient"] is True
    assert answer.header("content-type") == "application/json"
    assert (answer.header("retry-after"), answer.header("cache-control")) == ("1", "no-store")


def test_tls_ends_at_the_proxy(kind: str, running: Running, tmp_path: Path) -> None:
    """With a certificate a caller that checks it gets its token over TLS 1.2 or newer."""
    with proxy(kind, [f"{running.address[0]}:{running.address[1]}"] * 3, tmp_path, tls=True) as started:
        context = ssl.create_default_context(cafile=str(tmp_path / "tokens.pem"))
        with (
            socket.create_connection(started.address, 10) as plain,
            context.wrap_socket(plain, server_hostname=NAME) as secure,
        ):
            lines = (f"Authorization: Bearer {running.owner.caller_token}", "Connection: close")
            secure.sendall(request(running.target(), *lines))
            said = b"".join(iter(lambda: secure.recv(65536), b""))
            version = secure.version()

    assert said.startswith(b"HTTP/1.1 200 ")
    assert version in {"TLSv1.2", "TLSv1.3"}


def _status(answer: Answer | None) -> int:
    return answer.status if answer else 0
