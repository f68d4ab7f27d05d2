"""A real broker in front of a real service, seen from outside."""

import contextlib
import json
import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from brokering import TARGET, Brokering, Folder, Given, brokering, folder_at, granted, run, upstream
from clients.foreign_code import foreign_warnings
from clients.test_sdks import Told, facebook_business, pywa
from running import App, Running, running
from serving import children_of, eventually, get, lives

__all__ = ["foreign_warnings", "running"]

APP = App("5372200989284704", "Owner", "owner", "", "EAAG-canary-of-the-account")
TENANT = ("--solution", "8249170987505988", "--business", "2991847208473997")
OTHER = "/v23.0/8249170987505988/access_token?business_id=577542300013003"


@pytest.fixture(scope="module")
def before_demo(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Brokering, str]]:
    """One broker in front of the demo, with a token that reaches all."""
    customers = [running.business[200]]
    folder = folder_at(tmp_path_factory.mktemp("broker") / "b", accept_query_token=True)
    wanted = [{"solution": running.solution_id, "businesses": customers}]
    folder.account("main", running.url, running.owner, prefetch=wanted)
    token = folder.credential()
    with brokering(folder) as broker:
        yield broker, token


def test_the_broker_hands_out_the_services_own_bytes(running: Running, before_demo: tuple[Brokering, str]) -> None:
    """Behind the broker as without it: the same 200 body."""
    broker, token = before_demo

    direct = get(running.url, running.target(), running.owner.caller_token)
    told = broker.ask(token, running.target())

    # A window may have ended between the broker's fetch and ours; then they differ in the token, never in form.
    assert (told.status, set(told.json)) == (200, {"access_token", "expires_at"})
    assert told.body == direct.body or told.json["expires_at"] < direct.json["expires_at"]


@pytest.mark.parametrize("outcome", [403, 404, 422])
def test_refusals_are_the_services_own_bytes(running: Running, before_demo: tuple[Brokering, str], outcome: int) -> None:
    """Behind the broker as without it: the same envelope, but for the trace id."""
    broker, token = before_demo

    direct = get(running.url, running.target(outcome), running.owner.caller_token)
    told = broker.ask(token, running.target(outcome))

    assert (told.status, told.json["error"].pop("fbtrace_id") != "") == (outcome, True)
    error = {name: value for name, value in direct.json["error"].items() if name != "fbtrace_id"}
    assert {name: value for name, value in told.json["error"].items() if name != "fbtrace_id"} == error


@pytest.mark.parametrize("client", [facebook_business, pywa], ids=["facebook-business", "pywa"])
def test_unmodified_sdks_use_the_broker(running: Running, before_demo: tuple[Brokering, str], client: object) -> None:
    """facebook-business (token in the query) and pywa (in the header) change their address and nothing else."""
    broker, token = before_demo
    app = App(running.owner.id, "", "", running.owner.secret, token)
    behind = Running(broker.url, running.solution_id, app, app, running.business, {})
    assert callable(client)

    assert str(client(behind, running.business[200], app)).count(".") == 2
    refused, unknown = client(behind, running.business[422], app), client(behind, running.business[200], APP)
    assert isinstance(refused, Told)
    assert isinstance(unknown, Told)
    assert (refused.code, unknown.code) == (100, 190)


def test_prefetched_customers_cost_no_call(running: Running, before_demo: tuple[Brokering, str]) -> None:
    """What the configuration names is fetched before anybody asks; events and runway are in the metrics."""
    broker, token = before_demo
    eventually(lambda: broker.metric('multipartner_broker_events_total{account="main",event="refresh_ok"}'))

    assert broker.ask(token, running.target()).status == 200
    assert broker.metric('multipartner_broker_runway_seconds{account="main"}') > 0
    assert (broker.ready().status, get(broker.operations_url, "/healthz").json) == (200, {"alive": True})
    assert get(broker.operations_url, "/v23.0").status == 404


def test_metrics_are_behind_their_own_port(before_demo: tuple[Brokering, str]) -> None:
    """Attack 72: the port that callers use knows no operators' path; the operators' port is on loopback."""
    broker, token = before_demo

    assert [broker.ask(token, path).status for path in ("/metrics", "/healthz", "/readyz")] == [404, 404, 404]
    assert broker.operations_url.startswith("http://127.0.0.1:")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return folder_at(tmp_path / "b")


def test_an_outage_of_upstream_is_survived_and_told(folder: Folder) -> None:
    """Upstream goes: the token is served on, others read the transient 500, readiness says what fails, and no more after."""
    is_up = True

    def answer(path: str) -> Given | None:
        return granted(f"token-of-{path[-4:]}") if is_up else None

    with upstream(answer) as api:
        folder.account("main", api.url, APP)
        token = folder.credential()
        with brokering(folder) as broker:
            assert broker.ask(token, TARGET).status == 200
            is_up = False
            refused = broker.ask(token, OTHER)

            assert (broker.ask(token, TARGET).status, refused.status, refused.json["error"]["is_transient"]) == (200, 500, True)
            told = broker.ready()
            assert (told.status, told.json["failing"], told.json["runway_s"]["main"] > 3000) == (200, ["main:upstream"], True)
            assert broker.metric("multipartner_broker_upstream_failing") == 1
            is_up = True
            assert eventually(lambda: broker.ask(token, OTHER).status == 200, 30)
            assert broker.ready().json["failing"] == []


def test_no_secret_leaves(folder: Folder) -> None:
    """Attack 57: caller tokens, the account's own and what is granted are in no log line, metric, argument or probe."""
    folder.settings["log_level"] = "debug"
    with upstream(
        lambda path: granted("canary-granted") if "2991847208473997" in path else (401, {}, b'{"error":{"code":190}}')
    ) as api:
        folder.account("main", api.url, APP)
        token = folder.credential()
        wrong = token[:-1] + ("1" if token.endswith("0") else "0")
        with brokering(folder) as broker:
            answers = [broker.ask(token, TARGET), broker.ask(token, OTHER), broker.ask(wrong, TARGET)]
            answers += [broker.ask("x", f"{TARGET}&access_token={token}")]
            arguments = [
                Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (broker.process.pid, *children_of(broker.process.pid))
            ]
            told = [get(broker.operations_url, path).body for path in ("/readyz", "/metrics", "/healthz")]
            assert [answer.status for answer in answers] == [200, 500, 401, 400]
            broker.stop()
        seen = b"".join([*arguments, *told, broker.errors.read_bytes(), *(answer.body for answer in answers[1:])])

    assert api.asked == [TARGET, OTHER]
    for secret in (token, token.split("_")[2], APP.caller_token, "canary-granted"):
        assert secret.encode() not in seen
    assert all(isinstance(line, dict) for line in broker.log())


def test_a_stop_is_orderly(folder: Folder) -> None:
    """SIGTERM: it ends with 0, nothing of it is left running, and its last line says so."""
    with upstream(lambda _: granted("t")) as api:
        folder.account("main", api.url, APP)
        token = folder.credential()
        with brokering(folder) as broker:
            assert broker.ask(token, TARGET).status == 200
            workers = children_of(broker.process.pid)

            assert broker.stop() == 0
            assert not any(lives(pid) for pid in workers)
            assert broker.log()[-1]["event"] == "stopped"


def test_a_killed_worker_is_replaced_and_a_killed_broker_leaves_nothing(folder: Folder) -> None:
    """A killed worker is replaced; with a killed broker its worker goes too, and a new broker starts in its place."""
    with upstream(lambda _: granted("t")) as api:
        folder.account("main", api.url, APP)
        token = folder.credential()
        with brokering(folder) as broker:
            (worker,) = children_of(broker.process.pid)
            os.kill(worker, signal.SIGKILL)
            assert eventually(lambda: broker.ask(token, TARGET).status == 200, 20)
            assert broker.ready().status == 200
            workers = children_of(broker.process.pid)
            broker.kill()
            assert eventually(lambda: not any(lives(pid) for pid in workers))
        with brokering(folder) as broker:
            assert broker.ask(token, TARGET).status == 200


def test_a_killed_broker_keeps_its_tokens(folder: Folder) -> None:
    """After a kill -9, with upstream down, what was fetched is served on from the store, in which nothing lies in clear."""
    is_up = True
    with upstream(lambda _: granted("canary-granted") if is_up else None) as api:
        folder.account("main", api.url, APP)
        folder.store = {}
        token = folder.credential()
        with brokering(folder) as broker:
            assert broker.ask(token, TARGET).status == 200
            broker.kill()
        is_up = False
        with brokering(folder) as broker:
            again, other = broker.ask(token, TARGET), broker.ask(token, OTHER)
        shown = run("token", "get", "--store", str(folder.config), *TENANT)
        missing = run("token", "get", "--store", str(folder.config), *TENANT[:3], "577542300013003")

    assert (again.status, again.json["access_token"], other.status) == (200, "canary-granted", 500)
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "canary-granted\n", "")
    assert (missing.returncode, missing.stdout, missing.stderr.count("\n")) == (10, "", 1)
    assert not [path for path in folder.path.rglob("*") if path.is_file() and b"canary-granted" in path.read_bytes()]


def test_brokers_on_one_store_fetch_once(folder: Folder) -> None:
    """Two brokers of one host with one store: the second hands out what the first one fetched, without a call."""
    with upstream(lambda _: granted("t")) as api:
        folder.account("main", api.url, APP)
        folder.store = {}
        token = folder.credential()
        with brokering(folder) as first, brokering(folder) as second:
            assert [broker.ask(token, TARGET).status for broker in (first, second)] == [200, 200]

    assert api.asked == [TARGET]


def test_a_store_that_others_may_read_stops_the_start(folder: Folder) -> None:
    """The start is refused in one line that says how to mend it; nothing is served without the store that was asked for."""
    folder.account("main", "https://graph.example", APP)
    folder.store = {"file": "open/tokens.db"}
    folder.credential()
    (folder.path / "open").mkdir()
    (folder.path / "open").chmod(0o755)

    refused = run("broker", "--config", str(folder.config))

    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "chmod 700" in refused.stderr


def test_a_unix_socket_is_this_users_alone(folder: Folder, tmp_path: Path) -> None:
    """Mode 0600; a second broker on it is refused, also while the first is busy; what a killed one left is replaced."""
    path = tmp_path / "b.sock"
    folder.settings["listen"] = f"unix:{path}"
    with upstream(lambda _: granted("t")) as api:
        folder.account("main", api.url, APP)
        token = folder.credential()
        with brokering(folder) as broker:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert (broker.url, broker.ask(token, TARGET).status) == (f"unix:{path}", 200)
            second = run("broker", "--config", str(folder.config))
            assert (second.returncode, second.stderr.count("\n")) == (2, 1)
            assert "another broker serves on it" in second.stderr
            broker.kill()
            assert path.exists()
        with brokering(folder) as broker:
            assert broker.ask(token, TARGET).status == 200
            assert broker.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize("kind", ["file", "other"])
def test_what_is_not_a_brokers_socket_is_left_alone(folder: Folder, tmp_path: Path, kind: str) -> None:
    """A plain file in the socket's place, or somebody else's living socket, is refused and still there."""
    path = tmp_path / "b.sock"
    folder.settings["listen"] = f"unix:{path}"
    folder.account("main", "https://graph.example", APP)
    folder.credential()
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as held:
        if kind == "file":
            path.write_text("kept")
        else:
            held.bind(str(path))
            held.listen()

        refused = run("broker", "--config", str(folder.config))

    assert (refused.returncode, refused.stdout) == (2, "")
    assert ("is no socket" if kind == "file" else "another process serves on it") in refused.stderr
    assert path.exists()


def test_a_broker_never_calls_itself(folder: Folder) -> None:
    """Refused at the start: an upstream at its own address, and a caller token of its own, whatever name leads back."""
    with contextlib.closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    folder.settings["listen"] = f"127.0.0.1:{port}"
    folder.account("main", f"http://localhost:{port}", APP)
    own = folder.credential()
    by_address = run("broker", "--config", str(folder.config))
    folder.account("main", "https://broker.example", App(APP.id, "", "", "", own))
    by_token = run("broker", "--config", str(folder.config))

    assert [(done.returncode, done.stderr.count("\n")) for done in (by_address, by_token)] == [(2, 1), (2, 1)]
    assert "accounts.main.origin: is this broker itself" in by_address.stderr
    assert "accounts.main.caller_token_file: holds a caller token of this broker itself" in by_token.stderr
    assert own not in by_token.stderr


def test_a_start_without_what_it_needs_is_one_line(folder: Folder) -> None:
    """No credentials, no caller token, a taken port: one line that names it, and 2."""
    folder.account("main", "https://graph.example", APP)
    no_credentials = run("broker", "--config", str(folder.config))
    folder.credential()
    (folder.path / "main.token").chmod(0o644)
    open_token = run("broker", "--config", str(folder.config))
    (folder.path / "main.token").chmod(0o600)
    with contextlib.closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        folder.settings["listen"] = f"127.0.0.1:{held.getsockname()[1]}"
        taken = run("broker", "--config", str(folder.config))

    for done, told in ((no_credentials, "credential create"), (open_token, "chmod 600"), (taken, "cannot be served on")):
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert told in done.stderr


def test_verbs_of_the_credentials(folder: Folder) -> None:
    """Made, listed without a secret, revoked while the broker runs; its next request is refused."""
    with upstream(lambda _: granted("t")) as api:
        folder.account("main", api.url, APP)
        reach = ("--solution", "8249170987505988", "--business", "2991847208473997")
        made = run("broker", "credential", "create", "--name", "n", *reach, "--config", str(folder.config))
        token = made.stdout.splitlines()[0]
        with brokering(folder) as broker:
            assert [broker.ask(token, target).status for target in (TARGET, OTHER)] == [200, 404]
            (row,) = json.loads(run("broker", "credential", "list", "--config", str(folder.config), "--json").stdout)
            assert (row["state"], row["businesses"], token in json.dumps(row)) == ("active", ["2991847208473997"], False)

            revoked = run("broker", "credential", "revoke", row["id"], "--config", str(folder.config))

            assert (revoked.returncode, broker.ask(token, TARGET).status) == (0, 401)
            assert "revoked" in run("broker", "credential", "list", "--config", str(folder.config)).stdout


def test_an_account_must_be_named_when_there_are_two(folder: Folder) -> None:
    """With two accounts a token says whose it is; each uses its own caller token."""
    with upstream(lambda _: granted("one")) as first, upstream(lambda _: granted("two")) as second:
        folder.account("one", first.url, APP)
        folder.account("two", second.url, APP)
        options = ("--config", str(folder.config), "--name", "n", "--solution", "*", "--business", "*")
        unnamed = run("broker", "credential", "create", *options)
        one, two = (folder.credential(name) for name in ("one", "two"))
        with brokering(folder) as broker:
            tokens = [broker.ask(token, TARGET).json["access_token"] for token in (one, two, one)]

    assert (unnamed.returncode, "--account: must name one of one, two" in unnamed.stderr) == (2, True)
    assert tokens == ["one", "two", "one"]


@pytest.mark.parametrize("verb", [["serve"], ["world", "export"], ["doctor"]], ids=" ".join)
def test_a_verb_that_is_not_installed_says_what_to_install(verb: list[str]) -> None:
    """With the extra `broker` alone, the service's verbs name the extra that they need."""
    told = run(*verb)

    assert (told.returncode, told.stdout, told.stderr.count("\n")) == (2, "", 1)
    assert "pip install 'multipartner[server]'" in told.stderr


def test_help_lists_what_is_installed() -> None:
    """With the extra `broker` alone, help lists its verbs and does not fail for those that cannot be imported."""
    told = run("--help")

    assert (told.returncode, told.stderr) == (0, "")
    assert {"broker", "token"} <= set(told.stdout.replace("│", " ").split())


def test_the_unit_starts_what_there_is() -> None:
    """deploy/multipartner-broker.service starts a verb that the program has, with a path that it documents."""
    unit = (Path(__file__).parents[2] / "deploy" / "multipartner-broker.service").read_text("utf-8")
    (line,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]

    assert line.endswith("multipartner broker --config /etc/multipartner/broker.toml")
