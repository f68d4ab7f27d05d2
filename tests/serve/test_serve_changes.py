"""The promise: an acknowledged change is obeyed by the very next request, in every worker."""

import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from deployment import DemoDeployment
from multipartner.domain.model import AppId
from serving import (
    OWNER_APP,
    OWNER_USER,
    SHARING,
    SHARING_TOO,
    SOLUTION,
    Answer,
    Connection,
    Served,
    eventually,
    path_of,
    run,
    serving,
)

WORKERS = 3
CONNECTIONS = 32
MANY = 100_000
"""A worker has a third of each, and the kernel may give it most of the connections."""


def _connected(stack: ExitStack, served: Served, paths: tuple[str, ...], token: str) -> list[Connection]:
    """Connections that reach every worker, each warmed with a token for every path."""

    def reach_all() -> list[Connection]:
        # Workers begin to listen one after another, and the kernel deals out connections as it likes.
        with ExitStack() as tried:
            connections = [tried.enter_context(closing(Connection(served.url))) for _ in range(CONNECTIONS)]
            for connection in connections:
                for path in paths:
                    assert connection.get(path, token).status == 200
            if _workers_reached(served) < WORKERS:
                return []
            stack.enter_context(tried.pop_all())
            return connections

    return eventually(reach_all)


def _workers_reached(served: Served) -> int:
    """How many workers hold one of our connections, as the kernel tells it."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{served.port:04X}") and row[3] == "01"}
    reached = 0
    for pid in served.workers():
        links = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
        reached += bool(links & established)
    return reached


def test_command_line_is_obeyed_by_the_next_request_of_every_worker(demo: DemoDeployment) -> None:
    """When `share revoke`, `grant revoke`, `grant restore` or `credential revoke` has ended, no worker answers as before."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)
    other = demo.caller_token(OWNER_USER, OWNER_APP)
    share, grant = path_of(SHARING), path_of(SHARING_TOO)
    grant_options = ["--business", SHARING_TOO, "--solution", SOLUTION, "--app", OWNER_APP]
    with serving(demo, workers=WORKERS, calls_per_hour=MANY, calls_per_business_per_hour=MANY) as served, ExitStack() as stack:
        connections = _connected(stack, served, (share, grant), token)

        def after(*command: str) -> tuple[list[Answer], list[Answer]]:
            with ThreadPoolExecutor(1) as aside:
                ended = aside.submit(run, *command, *demo.arguments)
                # On a busy machine it may take longer than the service keeps a connection on which nobody asks.
                while not wait([ended], timeout=2).done:
                    for connection in connections:
                        connection.get(share, token)
            assert ended.result().returncode == 0, ended.result().stderr
            return [c.get(share, token) for c in connections], [c.get(grant, token) for c in connections]

        shares, grants = after("share", "revoke", "--business", SHARING, "--solution", SOLUTION)
        assert {a.status for a in shares} == {422}
        assert {a.status for a in grants} == {200}

        before = {a.body for a in grants}
        assert {a.status for a in after("grant", "revoke", *grant_options)[1]} == {403}

        restored = after("grant", "restore", *grant_options)[1]
        assert {a.status for a in restored} == {200}
        assert not before & {a.body for a in restored}

        assert {a.status for a in after("credential", "revoke", token.split("_")[1])[1]} == {401}
        assert {c.get(grant, other).status for c in connections} == {200}


def test_a_revocation_over_http_is_obeyed_by_the_next_request_of_every_worker(demo: DemoDeployment) -> None:
    """Attacks 41, 46: once one worker has answered that a token is given up or revoked, no worker takes or gives one."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)
    client = f"client_id={OWNER_APP}&client_secret={demo.secrets[AppId(OWNER_APP)].reveal()}"
    first, second, solution = path_of(SHARING), path_of(SHARING_TOO), f"/v23.0/{SOLUTION}"
    with serving(demo, workers=WORKERS, calls_per_hour=MANY, calls_per_business_per_hour=MANY) as served, ExitStack() as stack:
        connections = _connected(stack, served, (first, second), token)
        granular = [connections[0].get(path, token).json["access_token"] for path in (first, second)]
        assert {c.get(solution, held).status for c in connections for held in granular} == {200}

        assert connections[0].send("DELETE", "/v23.0/me/permissions", granular[0]).json == {"success": True}

        assert {(c.get(first, token).status, c.get(f"/v23.0/{SOLUTION}", granular[0]).status) for c in connections} == {
            (403, 401)
        }
        form = f"token={granular[1]}&{client}"
        revoked = connections[1].send("POST", "/oauth/revoke", body=form, Content_Type="application/x-www-form-urlencoded")
        assert (revoked.status, revoked.body) == (200, b"")

        assert {(c.get(second, token).status, c.get(f"/v23.0/{SOLUTION}", granular[1]).status) for c in connections} == {
            (403, 401)
        }
        assert connections[2].send("DELETE", "/v23.0/me/permissions", token).json == {"success": True}

        assert {c.get(second, token).status for c in connections} == {401}
        assert not any(held.rpartition(".")[2] in served.errors.read_text() for held in granular)


@pytest.mark.both_engines
def test_foreign_tool_is_obeyed_within_a_second(demo: DemoDeployment) -> None:
    """A row changed with somebody else's client is obeyed by every worker within one second."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)
    with serving(demo, workers=WORKERS, calls_per_hour=MANY, calls_per_business_per_hour=MANY) as served, ExitStack() as stack:
        connections = _connected(stack, served, (path_of(SHARING),), token)
        demo.execute(f"UPDATE share SET status = 'WITHDRAWN' WHERE business_id = '{SHARING}'")  # noqa: S608 - the demo's id
        committed = time.monotonic()

        last_allowed_s = 0.0
        while time.monotonic() < committed + 1.5:
            for connection in connections:
                asked_s = time.monotonic() - committed
                if connection.get(path_of(SHARING), token).status == 200:
                    last_allowed_s = asked_s

        assert last_allowed_s < 1
        assert {c.get(path_of(SHARING), token).status for c in connections} == {422}
