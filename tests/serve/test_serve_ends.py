"""Every end of a service: in order, by a client that does not let go, and by kill -9."""

import os
import signal
import socket
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pytest

from deployment import ACT, DemoDeployment
from multipartner.domain.model import AppId, BusinessId, SolutionId, Tenant
from multipartner.operating import Operator
from multipartner.partnering.lives import restore_grant, revoke_grant
from serving import OWNER_APP, OWNER_USER, SHARING, SHARING_TOO, SOLUTION, Served, eventually, get, lives, path_of, run, serving

TENANT = Tenant(AppId(OWNER_APP), SolutionId(SOLUTION), BusinessId(SHARING_TOO))


class Load:
    """Threads that ask all the time; `statuses` counts the answers, `gone` the connections that broke."""

    def __init__(self, served: Served, token: str) -> None:
        self.statuses: Counter[int] = Counter()
        self.gone = 0
        self._served, self._token = served, token
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(3)]

        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                self.statuses[get(self._served.url, path_of(SHARING), self._token).status] += 1
            except (OSError, ValueError):
                self.gone += 1
                time.sleep(0.01)
            except Exception:  # noqa: BLE001 - http.client has many names for a connection that went away
                self.gone += 1


def _kinds(demo: DemoDeployment) -> Counter[str]:
    return Counter(event["kind"] for event in demo.events() if event["chain"] == "changes")


def _verified(demo: DemoDeployment) -> bool:
    ended = run("audit", "verify", *demo.arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return True


@pytest.mark.parametrize("half", [b"GET /v23.0/1/access_token HTTP/1.1\r\nHost: a\r\nX-Slow: ", b""])
@pytest.mark.both_engines
def test_stop_in_order(demo: DemoDeployment, half: bytes) -> None:
    """SIGTERM ends it with 0 and every worker's chain closed, though a client never finishes its request."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)
    with serving(demo, workers=2) as served:
        assert get(served.url, path_of(SHARING), token).status == 200
        workers = served.workers()
        with socket.create_connection(("127.0.0.1", served.port)) as client:
            client.sendall(half or _introspection(b"token="))
            assert eventually(lambda: served.ready().status == 200)
            assert served.stop() == 0

    assert not [pid for pid in workers if lives(pid)]
    kinds = _kinds(demo)
    assert kinds["writer.opened"] == kinds["writer.closed"] == 2
    assert not list(demo.directory.glob("*.metrics-*"))
    assert _verified(demo)


def _introspection(sent: bytes) -> bytes:
    head = b"POST /oauth/introspect HTTP/1.1\r\nHost: a\r\nAuthorization: Basic eDp5\r\nContent-Length: 12\r\n"
    return head + b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + sent


def test_request_under_way_is_answered(demo: DemoDeployment) -> None:
    """What had begun before SIGTERM gets its answer; new connections are refused meanwhile."""
    with serving(demo) as served, socket.create_connection(("127.0.0.1", served.port), timeout=10) as client:
        request = _introspection(b"token=abcdef")
        head, _, body = request.partition(b"\r\n\r\n")
        client.sendall(head)
        eventually(lambda: served.ready().status == 200)
        served.process.send_signal(signal.SIGTERM)
        client.sendall(b"\r\n\r\n" + body)
        answer = client.recv(65536)
        assert served.process.wait(15) == 0

    assert answer.startswith(b"HTTP/1.1 401")


def test_interrupt_is_a_stop_in_order(demo: DemoDeployment) -> None:
    """Ctrl-C ends it as SIGTERM does."""
    with serving(demo) as served:
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(15) == 0
    assert _kinds(demo)["writer.closed"] == 1


@pytest.mark.both_engines
def test_killed_worker_comes_back(demo: DemoDeployment) -> None:
    """A worker killed under load is replaced, requests are answered again, and the trail still verifies."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)
    with serving(demo, workers=2, calls_per_hour=1_000_000) as served, closing(Load(served, token)) as load:
        eventually(lambda: load.statuses[200] > 50)
        victim = served.workers()[0]
        os.kill(victim, signal.SIGKILL)

        eventually(lambda: len(served.workers()) == 2 and victim not in served.workers(), 20)
        eventually(lambda: served.metric("multipartner_workers_ready") == 2, 20)
        before = load.statuses[200]
        eventually(lambda: load.statuses[200] > before + 50)
        assert set(load.statuses) == {200}
        assert served.ready().status == 200
        load.close()
        assert served.stop() == 0
    assert _verified(demo)


@pytest.mark.both_engines
def test_killed_parent_leaves_nothing_behind(demo: DemoDeployment) -> None:
    """After kill -9 of the parent under load nobody serves, no acknowledged change is lost, and the next start serves."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)
    acknowledged: list[bool] = []

    async def change(operator: Operator) -> None:
        active = len(acknowledged) % 2 == 1
        await (restore_grant if active else revoke_grant)(operator.store, ACT, TENANT)

    def changes() -> None:
        with suppress(Exception):
            while not done.is_set():
                demo.operate(change)
                acknowledged.append(len(acknowledged) % 2 == 1)

    done = threading.Event()
    changing = threading.Thread(target=changes)
    with serving(demo, workers=2, calls_per_hour=1_000_000) as served:
        workers = served.workers()
        with closing(Load(served, token)) as load:
            changing.start()
            eventually(lambda: load.statuses[200] > 50 and len(acknowledged) > 3)
            half_sent = socket.create_connection(("127.0.0.1", served.port))
            half_sent.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
            served.process.kill()
            eventually(lambda: not [pid for pid in workers if lives(pid)])
            done.set()
            changing.join()
            half_sent.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", served.port))
        assert _verified(demo)

        operations_port = served.operations_url.rpartition(":")[2]
        with serving(demo, port=served.port, operations_port=operations_port) as again:
            assert get(again.url, path_of(SHARING), token).status == 200
            assert get(again.url, path_of(SHARING_TOO), token).status == (200 if acknowledged[-1] else 403)
            assert eventually(lambda: again.ready().status == 200)
            assert again.stop() == 0
    assert _verified(demo)


def test_a_stop_leaves_one_file_that_holds_all(demo: DemoDeployment, tmp_path: Path) -> None:
    """After a graceful stop the database file alone, copied without its log, has the last acknowledged change."""
    with serving(demo) as served:
        assert run("share", "revoke", "--business", SHARING, "--solution", SOLUTION, *demo.arguments).returncode == 0
        assert served.stop() == 0
    copied = tmp_path / "copy.db"
    copied.write_bytes(demo.database.read_bytes())
    with closing(sqlite3.connect(copied)) as copy:
        rows = copy.execute("SELECT status FROM share WHERE business_id = ? AND solution_id = ?", (SHARING, SOLUTION)).fetchall()

    assert rows == [("WITHDRAWN",)]
