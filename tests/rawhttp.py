"""A socket and no more: what is written goes out byte for byte, and answers are split by their Content-Length."""

import json
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

TIMEOUT_S = 10


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header that came at most once."""
        values = self.headers.get(name, [])
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def error(self) -> dict[str, Any]:
        return dict(json.loads(self.body)["error"])


class Raw:
    """One connection. `source` is the loopback address it comes from: failures are counted for each."""

    def __init__(self, address: tuple[str, int], source: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection(address, TIMEOUT_S, source_address=(source, 0))
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()

    def send(self, data: bytes) -> Self:
        self._socket.sendall(data)
        return self

    def answer(self, *, to_head: bool = False) -> Answer | None:
        """The next answer; None when the server closed instead."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        start, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers.setdefault(name.lower(), []).append(value.strip())
        status = int(start.split(" ")[1])
        length = 0 if to_head or status < 200 else int(headers.get("content-length", ["0"])[0])
        while len(self._buffer) < length:
            assert self._more(), "the answer was cut"
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Answer(status, headers, body)

    def closed(self) -> bool:
        """Wait for the server to close; False when it sends something, or nothing at all, instead."""
        try:
            return not self._buffer and not self._socket.recv(1)
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def quiet(self, seconds: float) -> bool:
        """True when nothing comes within this time."""
        self._socket.settimeout(seconds)
        try:
            return not self._buffer and self._socket.recv(1) is None
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(TIMEOUT_S)

    def _more(self) -> bool:
        try:
            got = self._socket.recv(65536)
        except ConnectionError:
            return False
        self._buffer += got
        return bool(got)


def request(target: str | bytes, *headers: str | bytes, method: str = "GET", host: str | None = "localhost") -> bytes:
    """The bytes of a request; header lines as given, in this order, after Host."""
    target = target.encode("latin-1") if isinstance(target, str) else target
    lines = [method.encode() + b" " + target + b" HTTP/1.1"]
    if host is not None:
        lines.append(b"Host: " + host.encode())
    lines += [line.encode("latin-1") if isinstance(line, str) else line for line in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def ask(address: tuple[str, int], data: bytes, source: str = "127.0.0.1") -> Answer | None:
    """One request on a connection of its own."""
    with Raw(address, source) as connection:
        return connection.send(data).answer()
