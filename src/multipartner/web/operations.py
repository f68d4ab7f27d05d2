"""The operators' listener: /healthz, /readyz and /metrics, on loopback.

Of `serve` it is in the parent of the workers, answers from what they report once a second, and never opens the database: the
parent forks, and a connection that is open at a fork would make the child's locks lie.
"""

import contextlib
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from multipartner.web.vitals import Check

MAX_CONNECTIONS = 16
SILENT_AFTER_S = 5.0
"""A worker that has not reported for so long is taken for stuck."""


class Workers(msgspec.Struct, frozen=True):
    """What the parent knows of its workers: how many there should be, and the process ids of those that live."""

    expected: int
    alive: Callable[[], Collection[int]]


class Told(Protocol):
    """What is to be told: each probe with a value for "good" and the members of its answer."""

    def metrics(self) -> bytes:
        """All metrics in Prometheus' text format."""
        ...

    def health(self) -> tuple[bool, Mapping[str, object]]:
        """Whether anybody is there to serve."""
        ...

    def readiness(self) -> tuple[bool, Mapping[str, object]]:
        """Whether those who are there can serve."""
        ...


class Readings:
    """What the workers reported, merged from their files in `folder`."""

    def __init__(self, folder: Path, workers: Workers) -> None:
        self._folder = folder
        self._workers = workers

    def metrics(self) -> bytes:
        """All metrics in Prometheus' text format."""
        registry = self._merged()
        return generate_latest(registry)

    def health(self) -> tuple[bool, Mapping[str, object]]:
        """Say whether anybody is there to serve."""
        alive = len(self._workers.alive())
        return alive > 0, {"alive": alive > 0, "workers": self._workers.expected, "workers_alive": alive}

    def readiness(self) -> tuple[bool, Mapping[str, object]]:
        """Say whether those who are there can serve, and otherwise what they lack."""
        healthy, told = self.health()
        lacking = [] if healthy else ["workers"]
        registry = self._merged()
        values = {
            check.value: registry.get_sample_value("multipartner_workers_failing", {"check": check.value}) for check in Check
        }
        lacking += [name for name, failing in values.items() if failing]
        heartbeat = registry.get_sample_value("multipartner_heartbeat_timestamp_seconds")
        if healthy and (heartbeat is None or time.time() - heartbeat > SILENT_AFTER_S):
            lacking.append("reports")
        return not lacking, {**told, "ready": not lacking, "lacking": lacking}

    def _merged(self) -> CollectorRegistry:
        alive = {str(pid) for pid in self._workers.alive()}
        for file in self._folder.glob("gauge_live*_*.db"):
            pid = file.stem.rpartition("_")[2]
            if pid not in alive:
                mark_process_dead(pid, str(self._folder))  # type: ignore[no-untyped-call] # the library's
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call] # the library's
        return registry


class Operations(http.server.ThreadingHTTPServer):
    """Serves `readings` on a listening socket, with at most 16 connections at once; one more is closed unanswered."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, readings: Told) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.readings = readings
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._started = False

    def start(self) -> None:
        """Serve in a thread of its own until `stop()`."""
        self._started = True
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.2}, name="operations", daemon=True).start()

    def stop(self) -> None:
        """Stop answering and let go of the port."""
        if self._started:
            self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the library's own types
        """Take a connection, if there is room."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as above
        """Serve a connection and give its place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as above
        """A scraper that goes away is nobody's news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "multipartner"
    sys_version = ""
    timeout = 5
    server: Operations

    def do_GET(self) -> None:
        readings = self.server.readings
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, readings.metrics())
        elif path in _PROBES:
            good, told = _PROBES[path](readings)
            self._answer(200 if good else 503, "application/json", json.dumps(told).encode())
        else:
            self._answer(404, "application/json", b'{"error":"/healthz, /readyz or /metrics"}')

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Probes come every few seconds; they are not logged."""


_PROBES: Mapping[str, Callable[[Told], tuple[bool, Mapping[str, object]]]] = {
    "/healthz": lambda told: told.health(),
    "/readyz": lambda told: told.readiness(),
}

PATHS = ("/metrics", *_PROBES)
"""All that is answered here."""
