"""A resource server on a loopback port: takes the tokens that it was told to take, and remembers what came."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Seen:
    method: str
    path: str
    authorization: str
    body: bytes


@dataclass
class ResourceServer:
    url: str
    refused_status: int = 401
    good: set[str] = field(default_factory=set)
    seen: list[Seen] = field(default_factory=list)


@contextmanager
def resource_server() -> Iterator[ResourceServer]:
    told = ResourceServer("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            authorization = self.headers.get("authorization", "")
            told.seen.append(Seen(self.command, self.path, authorization, body))
            is_good = authorization.removeprefix("Bearer ") in told.good
            answer = b'{"ok":true}' if is_good else b'{"error":{"message":"m","type":"OAuthException","code":190}}'
            self.send_response(200 if is_good else told.refused_status)
            self.send_header("content-type", "application/json; charset=UTF-8")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = _answer  # noqa: N815 - as the library names them

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as above
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        told.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join(10)
