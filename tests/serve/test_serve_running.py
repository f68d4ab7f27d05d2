"""What operators see of a running service: probes, metrics, logs. And what nobody may see."""

import re
import socket

from deployment import DemoDeployment
from multipartner.crypto.credentials import CredentialType, new_credential
from serving import OWNER_APP, OWNER_USER, SHARING, Served, eventually, get, path_of, serving


def test_metrics_sum_all_workers(demo: DemoDeployment) -> None:
    """/metrics counts the requests of all workers together, by route, status and reason."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)
    with serving(demo, workers=2) as served:
        for _ in range(24):
            assert get(served.url, path_of(SHARING), token).status == 200
            assert get(served.url, path_of(SHARING)).status == 401
        good = 'multipartner_requests_total{reason="",route="access_token",status="200"}'
        missing = 'multipartner_requests_total{reason="caller_missing",route="access_token",status="401"}'

        eventually(lambda: served.metric(good) == served.metric(missing) == 24)
        assert served.metric("multipartner_workers_ready") == 2
        assert 1 <= served.metric("multipartner_cached_grants") <= 2
        assert served.metric("multipartner_feed_lag_seconds") <= 1


def test_strangers_add_no_series(demo: DemoDeployment) -> None:
    """Whatever strangers ask for, the number of time series stays what it is (attack 53)."""
    with serving(demo) as served:
        get(served.url, "/nowhere")
        eventually(lambda: served.metric("multipartner_requests_total"))
        before = _series(served)
        for number in range(40):
            get(served.url, f"/nowhere/{number}")
        eventually(lambda: served.metric("multipartner_requests_total") == 41)

        assert _series(served) == before


def _series(served: Served) -> set[str]:
    lines = get(served.operations_url, "/metrics").body.decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


def test_probes(demo: DemoDeployment) -> None:
    """/healthz says that workers live; /readyz says 503, and names the database, within a second of losing it."""
    with serving(demo, workers=2) as served:
        assert get(served.operations_url, "/healthz").json == {"alive": True, "workers": 2, "workers_alive": 2}
        assert eventually(lambda: served.ready().status == 200)

        hidden = demo.database.with_name("hidden.db")
        demo.database.rename(hidden)
        eventually(lambda: served.ready().status == 503)
        told = served.ready()
        hidden.rename(demo.database)

        assert told.json["lacking"] == ["database"]
        assert get(served.operations_url, "/healthz").status == 200
        assert eventually(lambda: served.ready().status == 200)


def test_trail_is_part_of_being_ready(demo: DemoDeployment) -> None:
    """A service whose trail is gone is not ready: it may not issue."""
    with serving(demo) as served:
        assert eventually(lambda: served.ready().status == 200)
        demo.trail.rename(demo.trail.with_name("hidden.db"))

        eventually(lambda: served.ready().status == 503)
        assert "trail" in served.ready().json["lacking"]


def test_operations_are_on_loopback_and_bounded(demo: DemoDeployment) -> None:
    """The operators' listener takes 16 connections; idle ones are dropped and do not keep it from answering for good."""
    with serving(demo) as served:
        address = ("127.0.0.1", int(served.operations_url.rpartition(":")[2]))
        idle = [socket.create_connection(address) for _ in range(40)]
        try:
            assert eventually(lambda: get(served.operations_url, "/healthz").status == 200)
        finally:
            for connection in idle:
                connection.close()
        assert get(served.operations_url, "/v23.0/1/access_token").status == 404


def test_trace_id(demo: DemoDeployment) -> None:
    """One id stands in the answer's body, in its header and in the log."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)
    with serving(demo, log_successes_per_s=1000) as served:
        good = get(served.url, path_of(SHARING), token)
        refused = get(served.url, path_of("4089388446014104"), token)
        assert served.stop() == 0
        lines = {line["trace_id"]: line for line in served.log() if "trace_id" in line}

    assert refused.json["error"]["fbtrace_id"] == refused.headers["x-fb-request-id"]
    refusal = lines[refused.headers["x-fb-request-id"]]
    assert (refusal["event"], refusal["reason"], refusal["status"]) == ("refused", "nothing_shared", 422)
    success = lines[good.headers["x-fb-request-id"]]
    assert (success["event"], success["status"], success["app_id"]) == ("served", 200, OWNER_APP)


def test_secrets_are_nowhere(demo: DemoDeployment) -> None:
    """No token, query tokens included, no proof and no app secret is in log, metrics, trail or database (attacks 7, 57, 59)."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)
    server_secret = new_credential(CredentialType.RESOURCE_SERVER)[1]
    canary = "canary5f1b"
    with serving(demo, accept_query_token=True, log_successes_per_s=1000, log_level="debug", workers=2) as served:
        path = path_of(SHARING)
        issued = get(served.url, f"{path}&access_token={token}").json["access_token"]
        get(served.url, path, token, User_Agent=f"x {token}")
        for asked in (
            f"{path}&access_token={token}&access_token={token}",
            f"{path}&access_token={token}x",
            f"{path}&access_token={canary}&appsecret_proof={canary}",
            f"{path}&access_token={token}&appsecret_proof={canary}",
            f"/{token}/access_token",
            f"/v23.0/{token}/access_token?business_id={issued}",
            f"/nowhere?access_token={canary}&token={issued}",
            f"{path}{token}",
            "/" + "a" * 5000 + canary,
        ):
            get(served.url, asked)
            get(served.url, asked, issued)
            get(served.url, asked, server_secret)
        metrics = get(served.operations_url, "/metrics").body.decode()
        assert served.stop() == 0
        log = served.errors.read_text()
        assert log.count("\n") >= 20

    secret, granular = token.split("_")[2], issued.split(".")[2]
    hidden = [secret, granular, server_secret.split("_")[2], canary, *(s.reveal() for s in demo.secrets.values())]
    kept = b"".join(path.read_bytes() for path in demo.directory.iterdir() if path != demo.master_key_file).decode("latin-1")
    assert not [text for text in hidden if text in log or text in metrics or text in kept]


def test_log_lines_cannot_be_forged(demo: DemoDeployment) -> None:
    """Line ends, escape sequences and quotes in a request neither begin a log line nor reach a terminal (attack 51)."""
    with serving(demo) as served:
        get(served.url, '/v23.0/1%0a{"event":"forged"}%1b[31m/access_token?business_id=1')
        get(served.url, "/v23.0/1/access_token?business_id=%0d%0aevent:forged%1b[2J&%1b%0a")
        served.stop()
        text = served.errors.read_text()

    assert len(served.log()) == 2
    assert re.fullmatch(r"[ -~\n]*", text)
