"""The fake endpoint on a socket of the loopback address: path and bodies of the contract (getSolutionAccessToken)."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from multipartner.testing.torture.adapter import Tenant

if TYPE_CHECKING:
    from multipartner.testing.torture.answers import Answer
    from multipartner.testing.torture.upstream import Upstream

_PATH: Final = re.compile(r"/v[0-9]+\.[0-9]+/([0-9]+)/access_token")
_CALLER: Final = re.compile(r"Bearer caller-of-([0-9]+)")


def serve(upstream: "Upstream") -> ThreadingHTTPServer:
    """Serve in threads of its own until `shutdown`."""

    class Handler(_Handler):
        asked = upstream

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), name="torture-endpoint", daemon=True).start()
    return server


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    asked: "Upstream"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        path, caller = _PATH.fullmatch(where.path), _CALLER.fullmatch(self.headers.get("authorization", ""))
        business_ids = parse_qs(where.query).get("business_id", [])
        if path is None or caller is None or len(business_ids) != 1:
            self.send_error(404 if path is None else 401 if caller is None else 400)
            return
        try:
            answer = self.asked.answer(caller[1], Tenant(path[1], business_ids[0]), self.client_address[1])
        except ConnectionResetError:
            self.close_connection = True
            return
        self._send(answer)

    def _send(self, answer: "Answer") -> None:
        # Not `send_response`: that adds the machine's own date.
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Say nothing: a test's output is its own."""
