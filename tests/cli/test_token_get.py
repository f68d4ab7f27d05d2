"""`multipartner token get`: what a script reads."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from brokering import Folder, Given, Upstream, brokering, folder_at, granted, upstream
from brokering import run as as_process
from cli.command_line import Said
from multipartner.cli.commands import run
from multipartner.cli.token import EXIT_CODES
from multipartner.client import TokenUnavailable
from running import App, Running, running

__all__ = ["running"]

SOLUTION, CUSTOMER = "8249170987505988", "2991847208473997"
TENANT = ("--solution", SOLUTION, "--business", CUSTOMER)
CALLER = "EAAG-canary-of-a-caller"


def envelope(status: int, code: int, **more: object) -> Given:
    error = {"message": "m", "type": "OAuthException", "code": code, "fbtrace_id": "AtraceOfTest", **more}
    return status, {}, json.dumps({"error": error}).encode()


@pytest.fixture
def api() -> Iterator[Upstream]:
    with upstream(lambda _: granted("granted-token")) as server:
        yield server


@pytest.fixture
def caller(tmp_path: Path) -> Path:
    file = tmp_path / "caller.token"
    file.touch(0o600)
    file.write_text(f"{CALLER}\n")
    return file


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> Said:
    capsys.readouterr()
    code = run(["token", "get", *arguments])
    captured = capsys.readouterr()
    return Said(code, captured.out, captured.err)


def test_stdout_is_the_token_and_a_newline(capsys: pytest.CaptureFixture[str], api: Upstream, caller: Path) -> None:
    """Nothing else on stdout, nothing on stderr: `TOKEN=$(multipartner token get ...)` works."""
    got = call(capsys, *TENANT, "--origin", api.url, "--app", "1", "--token-file", str(caller))

    assert got == Said(0, "granted-token\n", "")


def test_json_has_three_members(capsys: pytest.CaptureFixture[str], api: Upstream, caller: Path) -> None:
    """--json: the token, when it ends, and where it came from."""
    got = call(capsys, *TENANT, "--origin", api.url, "--app", "1", "--token-file", str(caller), "--json")

    assert got.json == {"access_token": "granted-token", "expires_at": got.json["expires_at"], "fetched_from": "origin"}
    assert got.json["expires_at"] > 1_700_000_000


@pytest.mark.parametrize("way", ["file", "variable", "stdin"])
def test_the_caller_token_comes_in_by_three_ways(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, api: Upstream, caller: Path, way: str
) -> None:
    """A 0600 file, an environment variable named, or stdin."""
    monkeypatch.setenv("CALLER", CALLER)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{CALLER}\n"))
    options = {"file": ("--token-file", str(caller)), "variable": ("--token-variable", "CALLER"), "stdin": ("--token-stdin",)}

    got = call(capsys, *TENANT, "--origin", api.url, "--app", "1", *options[way])

    assert got.code == 0


REFUSED = {
    "neither where": [],
    "both": ["--broker", "http://127.0.0.1:1", "--origin", "http://127.0.0.1:1", "--app", "1"],
    "no app": ["--origin", "http://127.0.0.1:1", "--token-stdin"],
    "app with broker": ["--broker", "http://127.0.0.1:1", "--app", "1", "--token-stdin"],
    "no caller token": ["--broker", "http://127.0.0.1:1"],
    "two caller tokens": ["--broker", "http://127.0.0.1:1", "--token-stdin", "--token-variable", "X"],
    "an empty variable": ["--broker", "http://127.0.0.1:1", "--token-variable", "NO_SUCH_VARIABLE"],
    "no such file": ["--broker", "http://127.0.0.1:1", "--token-file", "/nowhere/token"],
    "plain http elsewhere": ["--broker", "http://broker.example", "--token-stdin"],
    "a token as argument": ["--broker", "http://127.0.0.1:1", "--token", CALLER],
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_wrong_call_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """What cannot be done is one line on stderr and exit code 2, before anything is asked; no caller token is repeated."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{CALLER}\n"))

    said = call(capsys, *TENANT, *REFUSED[wrong])

    assert CALLER not in said.one_line


FAILURES: dict[str, tuple[Given | None, int, str]] = {
    "not shared": (envelope(422, 100), 3, "HTTP 422, code 100, fbtrace_id AtraceOfTest"),
    "unknown": (envelope(404, 803), 3, "code 803"),
    "denied": (envelope(403, 200, error_subcode=1349174), 4, "code 200/1349174"),
    "credential": (envelope(401, 190, error_subcode=463), 5, "code 190/463"),
    "limited": (envelope(429, 4, is_transient=True), 6, "code 4"),
    "cut off": (None, 7, "transient"),
    "wrong call": (envelope(400, 100), 9, "code 100"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_each_class_of_failure_has_its_exit_code(capsys: pytest.CaptureFixture[str], caller: Path, name: str) -> None:
    """One line on stderr with code, subcode, trace id and when to try again; nothing on stdout."""
    answer, code, told = FAILURES[name]
    with upstream(lambda _: answer) as api:
        ask = (*TENANT, "--origin", api.url, "--app", "1", "--token-file", str(caller), "--timeout", "1")
        said = call(capsys, *ask)

    assert (said.code, said.out, said.err.count("\n")) == (code, "", 1)
    assert told in said.err
    assert "; retry_at 20" in said.err
    assert CALLER not in said.err


def test_a_token_that_lives_too_short_is_not_printed(capsys: pytest.CaptureFixture[str], api: Upstream, caller: Path) -> None:
    """--min-ttl: what cannot be had is told with an exit code of its own."""
    ask = (*TENANT, "--origin", api.url, "--app", "1", "--token-file", str(caller), "--min-ttl")

    assert call(capsys, *ask, "1800").code == 0
    assert (call(capsys, *ask, "7200").code, call(capsys, *ask, "7200").out) == (8, "")


def test_exit_codes_cover_every_error() -> None:
    """No class of the client's errors is without an exit code."""
    kinds = {kind.__name__ for base in TokenUnavailable.__subclasses__() for kind in (base, *base.__subclasses__())}

    assert set(EXIT_CODES) == kinds


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return folder_at(tmp_path / "b")


def test_a_broker_is_asked_by_address_or_socket(folder: Folder, api: Upstream, tmp_path: Path) -> None:
    """Without an app id: the broker knows by the caller token whose token it is; over a unix socket as over loopback."""
    folder.settings["listen"] = f"unix:{tmp_path / 'b.sock'}"
    folder.account("main", api.url, App("1", "", "", "", CALLER))
    token = folder.credential()
    with brokering(folder) as broker:
        got = as_process("token", "get", *TENANT, "--broker", broker.url, "--token-stdin", "--json", stdin=token)

    assert (got.returncode, got.stderr) == (0, "")
    assert json.loads(got.stdout)["fetched_from"] == "broker"


def test_the_demo_is_asked_with_proof(capsys: pytest.CaptureFixture[str], running: Running, tmp_path: Path) -> None:
    """In front of the service: a real granular token, with appsecret_proof made from a file; a wrong secret is a wrong call."""
    files = {"t": running.owner.caller_token, "s": running.owner.secret, "w": running.partner.secret}
    for name, text in files.items():
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(text)
    tenant = ("--solution", running.solution_id, "--business", running.business[200])
    ask = (*tenant, "--origin", running.url, "--app", running.owner.id, "--token-file", str(tmp_path / "t"))

    got = call(capsys, *ask, "--app-secret-file", str(tmp_path / "s"))
    wrong = call(capsys, *ask, "--app-secret-file", str(tmp_path / "w"))

    assert (got.code, got.out.count("."), wrong.code) == (0, 2, 9)
