"""How a request is framed. What the server hides from the service is asserted as it is; SECURITY.md lists it (attack 49)."""

import pytest

from rawhttp import Answer, Raw, request
from running import Running, running

__all__ = ["running"]

MANY_IDLE = 400
PIPELINED = 1000


def token_line(running: Running) -> str:
    return f"Authorization: Bearer {running.owner.caller_token}"


def once(running: Running, data: bytes) -> tuple[Answer | None, bool]:
    """The first answer on a connection, and whether the server closed after it."""
    with Raw(running.address) as connection:
        answer = connection.send(data).answer()
        return answer, answer is not None and answer.header("connection") == "close" and connection.closed()


CHUNKED = "Transfer-Encoding: chunked"
END = b"0\r\n\r\n"
SMUGGLED = request("/nowhere")

BY_THE_SERVICE: dict[str, tuple[list[str | bytes], bytes]] = {
    "two Hosts": (["Host: other"], b""),
    "equal Hosts": (["Host: localhost"], b""),
    "TE": ([CHUNKED], END),
    "TE in tabs": (["Transfer-Encoding:\tchunked"], END),
    "TE twice": ([CHUNKED, CHUNKED], END),
    "TE with a body": ([CHUNKED], b"5\r\nhello\r\n" + END + SMUGGLED),
    "bad chunk": ([CHUNKED], b"zz\r\nhello\r\n" + END),
    "gzip, chunked": (["Transfer-Encoding: gzip, chunked"], END),
    "CL then TE": (["Content-Length: 4", CHUNKED], END + SMUGGLED),
    "TE then CL": ([CHUNKED, "Content-Length: 4"], END + SMUGGLED),
    "trailers": ([CHUNKED, "Trailer: authorization"], b"0\r\nAuthorization: x\r\n\r\n"),
    "header over 8 kB": (["X-Long: " + "a" * 9000], b""),
    "header of 64 kB": (["X-Long: " + "a" * 65536], b""),
    "headers over 16 kB": ([f"X-Long-{i}: " + "a" * 6000 for i in range(3)], b""),
}


@pytest.mark.parametrize("case", BY_THE_SERVICE)
def test_service_refuses_what_two_parsers_read_differently(running: Running, case: str) -> None:
    """Two Hosts, Transfer-Encoding in any form, oversized headers: 400 in the envelope, closed, nothing smuggled (attack 49)."""
    lines, body = BY_THE_SERVICE[case]

    answer, closed = once(running, request(running.target(), token_line(running), *lines) + body)

    assert answer is not None
    assert (answer.status, answer.error["code"], closed) == (400, 100, True)


@pytest.mark.parametrize("host", [None, "", " "])
def test_service_refuses_a_request_without_host(running: Running, host: str | None) -> None:
    """No Host and an empty Host are 400, in HTTP/1.0 as well (attack 49)."""
    for version in (b"HTTP/1.1", b"HTTP/1.0"):
        data = request(running.target(), token_line(running), host=host).replace(b"HTTP/1.1", version)
        answer, closed = once(running, data)

        assert answer is not None
        assert (answer.status, closed) == (400, True)


BY_THE_SERVER: dict[str, list[str | bytes]] = {
    "obs-fold": ["X-Folded: a\r\n b"],
    "obs-fold by tab": ["X-Folded: a\r\n\tb"],
    "bare CR": [b"X-A: a\rX-B: b"],
    "NUL": [b"X-A: a\0b"],
    "space before colon": ["X-A : a"],
    "TE before a space": ["Transfer-Encoding : chunked"],
    "no colon": ["X-A"],
    "no name": [": a"],
    "TE unknown": ["Transfer-Encoding: xchunked"],
    "TE identity": ["Transfer-Encoding: identity"],
    "CL negative": ["Content-Length: -1"],
    "CL with a plus": ["Content-Length: +2"],
    "CL as a float": ["Content-Length: 1e1"],
    "CL in hex": ["Content-Length: 0x2"],
    "CL empty": ["Content-Length:"],
    "CL as a list": ["Content-Length: 2, 2"],
    "CL beyond 64 bits": ["Content-Length: 99999999999999999999"],
    "CL twice, different": ["Content-Length: 2", "Content-Length: 3"],
    "101 headers": [f"X-{i}: a" for i in range(99)],
    "101 headers of one name": ["X: a"] * 99,
    "10,000 headers": [f"X-{i}: a" for i in range(10_000)],
    "header of 1 MB": ["X-Long: " + "a" * 1_000_000],
}


@pytest.mark.parametrize("case", BY_THE_SERVER)
def test_server_refuses_malformed_framing(running: Running, case: str) -> None:
    """What is no HTTP at all is refused by the server in front of the service, and the connection closed (attacks 49, 50)."""
    with Raw(running.address) as connection:
        try:
            answer = connection.send(request(running.target(), token_line(running), *BY_THE_SERVER[case])).answer()
        except ConnectionError:
            return  # it closed while the megabyte was still being sent

        assert answer is None or (answer.status in {400, 431} and connection.closed())


HIDDEN: dict[str, bytes] = {
    "bare LF after every line": b"GET {target} HTTP/1.1\nHost: localhost\n{token}\n\n",
    "bare LF within a header": b"GET {target} HTTP/1.1\r\nHost: localhost\r\nX-A: a\nX-B: b\r\n{token}\r\n\r\n",
    "equal Content-Lengths": b"GET {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 2\r\n{token}\r\n\r\n{}",
    "empty lines before the request": b"\r\n\r\nGET {target} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n\r\n",
    "absolute form with another authority": b"GET http://other.example{target} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n\r\n",
    "a Host that is no host": b"GET {target} HTTP/1.1\r\nHost: a b/@c\r\n{token}\r\n\r\n",
    "Expect of an unknown kind": b"GET {target} HTTP/1.1\r\nHost: localhost\r\nExpect: 200-maybe\r\n{token}\r\n\r\n",
}


@pytest.mark.parametrize("case", HIDDEN)
def test_what_the_server_lets_through_unseen(running: Running, case: str) -> None:
    """The server answers these as if well-formed and the service cannot tell: a proxy in front must refuse them (attack 49)."""
    written = HIDDEN[case].replace(b"{target}", running.target().encode()).replace(b"{token}", token_line(running).encode())

    answer, _ = once(running, written)

    assert answer is not None
    assert answer.status == 200


def test_bare_lf_hides_no_second_authorization(running: Running) -> None:
    """A second Authorization that is smuggled in behind a bare LF still counts as a second one (attacks 12, 49)."""
    answer, _ = once(running, request(running.target(), b"X-A: a\nAuthorization: Bearer x", token_line(running)))

    assert answer is not None
    assert answer.status == 400


def test_one_hundred_headers_are_served(running: Running) -> None:
    """The limit is 100 headers: one hundred are good (attack 49)."""
    answer, _ = once(running, request(running.target(), token_line(running), *(f"X-{i}: a" for i in range(98))))

    assert answer is not None
    assert answer.status == 200


@pytest.mark.parametrize(("pad", "status"), [(4200, 404), (60_000, 404), (100_000, 414)])
def test_long_urls_are_refused(running: Running, pad: int, status: int) -> None:
    """Path and query over 4 kB are an id of nothing, over 64 kB too long for the server (attack 49)."""
    answer, _ = once(running, request(running.target() + "&pad=" + "a" * pad, token_line(running)))

    assert answer is not None
    assert status == answer.status


@pytest.mark.parametrize(
    "start", [b"GET {t}", b"GET {t} HTTP/2.0", b"GET {t} HTTP/1.2", b"GET  {t} HTTP/1.1", b"G\0T {t} HTTP/1.1"]
)
def test_malformed_request_lines_are_refused(running: Running, start: bytes) -> None:
    """HTTP/0.9, unknown versions, two spaces and odd methods are no requests (attack 49)."""
    line = start.replace(b"{t}", running.target().encode())
    answer, _ = once(running, line + b"\r\nHost: localhost\r\n" + token_line(running).encode() + b"\r\n\r\n")

    assert answer is None or answer.status == 400


@pytest.mark.parametrize(
    "data", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 9]
)
def test_other_protocols_get_nothing(running: Running, data: bytes) -> None:
    """An HTTP/2 preface or a TLS greeting on the plain port is closed (attack 50)."""
    answer, _ = once(running, data + b"\r\n\r\n")

    assert answer is None or answer.status == 400


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0"])
def test_upgrades_are_not_followed(running: Running, protocol: str) -> None:
    """Nothing is upgraded: no 101, whatever is offered (attack 50)."""
    offered = ["Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"]
    keys = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    answer, _ = once(running, request(running.target(), token_line(running), *offered, *keys))
    with_body, _ = once(running, request(running.target(), token_line(running), *offered, CHUNKED) + END)

    assert answer is not None
    assert with_body is not None
    assert (answer.status, with_body.status) == (200, 400)


def test_expect_100_continue_neither_hangs_nor_mints_twice(running: Running) -> None:
    """A GET that expects 100-continue is answered once; a form that is never sent is refused without being read (attack 50)."""
    with Raw(running.address) as connection:
        answer = connection.send(request(running.target(), token_line(running), "Expect: 100-continue")).answer()
        assert answer is not None
        assert answer.status == 200
        assert connection.quiet(0.05)
    form = ["Expect: 100-continue", "Content-Length: 5000000", "Content-Type: application/x-www-form-urlencoded"]
    with Raw(running.address, "127.0.12.1") as connection:
        refused = connection.send(request("/oauth/introspect", *form, method="POST")).answer()
        assert refused is not None
        assert refused.status == 401


def test_pipelined_requests_are_answered_in_order(running: Running) -> None:
    """A thousand requests in one write get a thousand answers in their order (attack 50)."""
    targets = ["/nowhere", "/v23.0/mine/access_token?business_id=1", "/v999.0/1/access_token?business_id=1"]
    expected = [(404, 2500), (400, 100), (404, 2500)]
    data = b"".join(request(targets[i % 3]) for i in range(PIPELINED))
    with Raw(running.address) as connection:
        connection.send(data)
        answers = [connection.answer() for _ in range(PIPELINED)]

    assert [expected[i % 3] for i in range(PIPELINED)] == [(a.status, a.error["code"]) for a in answers if a is not None]
    assert len({a.header("x-fb-request-id") for a in answers if a is not None}) == PIPELINED


def test_half_sent_and_idle_connections_stop_nobody(running: Running) -> None:
    """Hundreds of half-sent heads, half-sent bodies and idle connections leave another client's answer alone (attack 50)."""
    half_head = request(running.target(), token_line(running))[:-2]
    half_body = request("/oauth/introspect", "Content-Length: 100", method="POST") + b"token="
    held: list[Raw] = []
    try:
        for i in range(MANY_IDLE):
            held.append(Raw(running.address, "127.0.12.2"))
            held[-1].send((half_head, half_body, b"")[i % 3])
        answer, _ = once(running, request(running.target(), token_line(running)))
        late = held[0].send(b"\r\n").answer()
    finally:
        for connection in held:
            connection.__exit__(None, None, None)

    assert answer is not None
    assert late is not None
    assert (answer.status, late.status) == (200, 200)
