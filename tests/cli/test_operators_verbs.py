"""Every verb of the command line, against a deployment of its own."""

import json
import os
import re
import socket
import stat
from pathlib import Path
from threading import Thread

import pytest

from cli.command_line import Cli, in_process
from deployment import ACT, DemoDeployment, Deployment, demo_text
from multipartner.cli.calling import when
from multipartner.operating import begin_deployment
from multipartner.partnering.acting import ChangeRefused

OWNER, PARTNER, USER = "5372200989284704", "26176007736316621", "4567798337013316"
SOLUTION, BOOKS = "8249170987505988", "2991847208473997"
OF_GRANT = ("--business", BOOKS, "--solution", SOLUTION, "--app", OWNER)


@pytest.fixture
def cli(demo: DemoDeployment, capsys: pytest.CaptureFixture[str]) -> Cli:
    return in_process(capsys, demo)


def test_init_makes_a_deployment_that_doctor_finds_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`init` makes key file and databases, closed to others, and `doctor` finds nothing wrong with them."""
    made = Deployment(tmp_path)
    cli = in_process(capsys, made)

    assert set(cli("init", "--json").json) == {"database", "trail", "master_key_file", "signing_key"}
    for path in (made.database, made.trail, made.master_key_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert cli("migrate", "--json").json["database"] == str(made.database)
    report = cli("doctor", "--json").json
    assert report["ok"] is True
    assert [check["name"] for check in report["checks"]] == [
        "settings",
        "key file",
        "database",
        "files",
        "keys",
        "trail",
        "clock",
        "limits",
    ]


def test_doctor_asks_the_shared_limits(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server for shared limits that does not answer is found by `doctor`, without the URL's password."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("MULTIPARTNER_LIMITS_URL", f"valkey://:s3kr3t-marker@127.0.0.1:{port}/0")

    report = cli("doctor", "--json").json

    assert [check["name"] for check in report["checks"] if not check["ok"]] == ["limits"]
    assert "s3kr3t-marker" not in str(report)


def test_init_overwrites_nothing(demo: DemoDeployment, cli: Cli) -> None:
    """`init` over an existing deployment is refused and changes no byte."""
    before = {path: path.read_bytes() for path in demo.directory.iterdir()}

    assert "exists already" in cli("init").one_line
    assert {path: path.read_bytes() for path in demo.directory.iterdir()} == before


def test_init_that_fails_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An `init` that cannot make its databases takes its key file back, so that the next one is not in its own way."""
    (tmp_path / "facts.db.bell").mkdir()
    before = set(tmp_path.iterdir())

    assert "bell" in in_process(capsys, Deployment(tmp_path))("init").one_line
    assert set(tmp_path.iterdir()) == before


def test_an_init_that_comes_second_takes_nothing_from_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two `init` at once over the same databases one is refused, and the other's deployment stays whole."""
    first, real = Deployment(tmp_path), os.fsync

    def overtaken(descriptor: int) -> None:
        # The second has looked, found nothing there, and is about to write its key: now the first does all of it.
        monkeypatch.setattr(os, "fsync", real)
        thread = Thread(target=lambda: begin_deployment(first.settings(), ACT))
        thread.start()
        thread.join()
        real(descriptor)

    monkeypatch.setattr(os, "fsync", overtaken)
    with pytest.raises(ChangeRefused, match=r"facts\.db: exists already"):
        begin_deployment(first.settings(master_key_file=tmp_path / "second.key"), ACT)

    assert not (tmp_path / "second.key").exists()
    assert in_process(capsys, first)("doctor", "--json").json["ok"] is True


def test_an_init_that_fails_leaves_what_was_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that another deployment left beside the databases is not deleted by an `init` that fails."""
    (tmp_path / "facts.db.bell").mkdir()
    (tmp_path / "trail.db.bell").write_bytes(b"another's")

    assert "bell" in in_process(capsys, Deployment(tmp_path))("init").one_line
    assert (tmp_path / "trail.db.bell").read_bytes() == b"another's"


@pytest.mark.parametrize(
    "arguments", [("migrate",), ("keys", "list"), ("audit", "verify"), ("explain", "x"), ("world", "export")]
)
def test_a_deployment_that_is_not_there_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """A verb on a mistyped path says what to do and creates nothing."""
    assert in_process(capsys, Deployment(tmp_path))(*arguments).one_line.endswith("no facts database; run `multipartner init`")
    assert list(tmp_path.iterdir()) == []


def test_world_apply_prints_secrets_once_and_export_gives_it_back(
    deployment: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`world apply` shows new app secrets once; `world export` gives a file that applies again without a change."""
    cli = in_process(capsys, deployment)
    file = tmp_path / "world.yaml"
    file.write_text(demo_text(), "utf-8")

    first = cli("world", "apply", str(file), "--json").json
    assert set(first["secrets"]) == {OWNER, PARTNER, "895726466135102"}
    assert cli("world", "apply", str(file)).out == "nothing to change\n"
    exported = tmp_path / "exported.yaml"
    assert cli("world", "export", str(exported)).code == 0
    assert cli("world", "export").out == exported.read_text("utf-8")
    assert cli("world", "apply", str(exported), "--json").json == {"changes": [], "stays": [], "secrets": {}}
    assert "exists already" in cli("world", "export", str(exported)).one_line


def test_world_apply_tells_what_stays_ended(cli: Cli, tmp_path: Path) -> None:
    """An old file applied after `share revoke` changes nothing, and a line says what stays and how to revive it."""
    file = tmp_path / "world.yaml"
    file.write_text(demo_text(), "utf-8")
    assert cli("share", "revoke", "--business", BOOKS, "--solution", SOLUTION).code == 0
    line = f'share of {BOOKS} with solution {SOLUTION}: stays withdrawn; write "status: active" to revive it'

    assert cli("world", "apply", str(file)).out == f"nothing to change\n{line}\n"
    assert cli("world", "apply", str(file), "--json").json == {"changes": [], "stays": [line], "secrets": {}}


def test_secrets_out_keeps_them_off_the_screen(
    deployment: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--secrets-out` writes new app secrets to a new 0600 file; if the file exists, nothing is applied."""
    cli = in_process(capsys, deployment)
    file, out = tmp_path / "world.yaml", tmp_path / "secrets.json"
    file.write_text(demo_text(), "utf-8")
    out.touch()

    assert "File exists" in cli("world", "apply", str(file), "--secrets-out", str(out)).one_line
    assert deployment.rows("SELECT id FROM business") == []
    out.unlink()
    said = cli("world", "apply", str(file), "--secrets-out", str(out))
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    secrets = json.loads(out.read_text("utf-8"))
    assert len(secrets) == 3
    assert not any(secret in said.out + said.err for secret in secrets.values())


def test_a_refused_world_leaves_no_secrets_file(cli: Cli, tmp_path: Path) -> None:
    """A world that is refused leaves neither facts nor a file for secrets behind."""
    file, out = tmp_path / "world.yaml", tmp_path / "secrets.json"
    file.write_text(demo_text().replace(BOOKS, "2991847208473998"), "utf-8")

    said = cli("world", "apply", str(file), "--secrets-out", str(out))

    assert (said.code, out.exists()) == (2, False)
    assert re.search(rf"^multipartner: {re.escape(str(file))}:[0-9]+: businesses\[3\]\.wabas\[0\]: WABA \d+ belongs to", said.err)


def test_a_wrong_world_file_is_told_line_by_line(cli: Cli, demo: DemoDeployment, tmp_path: Path) -> None:
    """Each fault of a world file is one line on stderr with file and line; nothing is applied."""
    file = tmp_path / "world.yaml"
    file.write_text("version: 1\nbusinesses:\n  - {id: 1, name: A}\napps: 3\n", "utf-8")
    before = demo.rows("SELECT * FROM change")

    said = cli("world", "apply", str(file))

    assert (said.code, said.out) == (2, "")
    assert [line.split(" ")[1] for line in said.err.splitlines()] == [f"{file}:3:", f"{file}:4:"]
    assert demo.rows("SELECT * FROM change") == before


def test_credential_is_created_listed_and_revoked(cli: Cli) -> None:
    """A caller token is shown once, listed without its text, and revoked once."""
    made = cli(
        "credential", "create", "--system-user", USER, "--app", OWNER, "--permission", "whatsapp_business_messaging", "--json"
    ).json
    assert made["permissions"] == ["whatsapp_business_messaging"]
    short = cli("credential", "create", "--system-user", USER, "--app", OWNER, "--lifetime-s", "60", "--json").json
    assert short["permissions"] == ["whatsapp_business_management"]
    listed = cli("credential", "list", "--json")
    assert {row["id"]: row["state"] for row in listed.json} == {made["id"]: "active", short["id"]: "active"}
    assert made["token"] not in listed.out
    assert cli("credential", "revoke", made["id"], "--json").json["changed"] is True
    assert cli("credential", "revoke", made["id"]).out == f"credential {made['id']}: already revoked\n"
    assert made["id"] in cli("credential", "list").out


def test_resource_server_is_created_listed_and_revoked(cli: Cli) -> None:
    """A resource server's credential is shown once and revoked once."""
    made = cli("resource-server", "create", "Gate", "--json").json
    assert made["secret"].startswith("mprs_")
    assert cli("resource-server", "revoke", made["id"]).out.endswith(": revoked\n")
    assert cli("resource-server", "list", "--json").json[0]["state"] == "revoked"
    assert "printable" in cli("resource-server", "create", "a\x1b[2J").one_line


@pytest.mark.parametrize(
    ("arguments", "done"),
    [
        (("app", "suspend", OWNER), "suspended"),
        (("solution", "deactivate", SOLUTION), "deactivated"),
        (("share", "revoke", "--business", BOOKS, "--solution", SOLUTION), "withdrawn"),
        (("grant", "revoke", *OF_GRANT), "revoked"),
    ],
)
def test_an_end_is_told_once_and_then_as_already_made(
    cli: Cli, demo: DemoDeployment, arguments: tuple[str, ...], done: str
) -> None:
    """Doing a thing twice is reported, changes nothing and is no error."""
    assert cli(*arguments).out.endswith(f": {done}\n")
    events = demo.events()
    assert events[-1]["actor"].startswith("operator:")
    again = cli(*arguments, "--json")
    assert (again.code, again.json["changed"]) == (0, False)
    assert f"already {done}" in again.json["text"]
    assert demo.events() == events


@pytest.mark.parametrize(
    ("undo", "redo"),
    [(("app", "suspend", OWNER), ("app", "resume", OWNER)), (("grant", "revoke", *OF_GRANT), ("grant", "restore", *OF_GRANT))],
)
def test_what_was_ended_can_be_resumed(cli: Cli, undo: tuple[str, ...], redo: tuple[str, ...]) -> None:
    """Resuming and restoring are told as done, and as already so before."""
    assert "already active" in cli(*redo).out
    assert cli(*undo).code == 0
    assert cli(*redo, "--json").json["changed"] is True


def test_keys_are_listed_rotated_retired_and_dropped(cli: Cli) -> None:
    """The ring of keys is turned from the command line; `rotate --now` warns."""
    (first,) = (key["kid"] for key in cli("keys", "list", "--json").json)
    assert "no other key signs now" in cli("keys", "retire", first).one_line
    assert "Warning" in cli("keys", "rotate", "--now").out
    assert cli("keys", "retire", first).out.startswith(f"key {first}: retired. ")
    second = next(key["kid"] for key in cli("keys", "list", "--json").json if key["kid"] != first)
    assert first in cli("keys", "list").out
    dropped = cli("keys", "drop", second, "--json").json
    assert dropped["replacement"] in {key["kid"] for key in cli("keys", "list", "--json").json}
    assert cli("keys", "rotate", "--json").json["signs_from_s"] > 0


def test_retire_says_how_long_the_key_still_signs(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """`keys retire` says until when windows that had begun are signed by the key, and until when their tokens verify."""
    (first,) = (key["kid"] for key in cli("keys", "list", "--json").json)
    assert cli("keys", "rotate", "--now").code == 0
    monkeypatch.setenv("MULTIPARTNER_TOKEN_LIFETIME_S", "600")

    told = cli("keys", "retire", first, "--json").json

    assert (told["signs_until_s"] - told["retired_at_s"], told["verifies_until_s"] - told["retired_at_s"]) == (300, 600)
    again = cli("keys", "retire", first).out
    assert f"windows that began before {when(told['retired_at_s'])}, until {when(told['signs_until_s'])} at the latest" in again
    assert again.startswith(f"key {first}: already retired. ")


def test_instants_are_iso_for_people_and_unix_seconds_for_scripts(cli: Cli) -> None:
    """Every verb tells an instant as ISO 8601 in UTC, and as Unix seconds with --json."""
    assert cli("keys", "rotate", "--now").code == 0
    made = cli("credential", "create", "--system-user", USER, "--app", OWNER, "--lifetime-s", "60")
    (listed,) = cli("credential", "list", "--json").json

    assert f", expires {when(listed['expires_at_s'])}." in made.out
    assert f" {when(listed['expires_at_s'])} " in cli("credential", "list").out
    assert "2025-10-09T08:53:20Z" in cli("keys", "list").out
    for verb in ("credential", "keys"):
        assert not re.search(r"\b1[0-9]{9}\b", cli(verb, "list").out)
    assert when(10**18) == f"{10**18} (Unix time)"


def test_a_kid_that_begins_with_a_dash_is_a_kid(cli: Cli) -> None:
    """One key id in 64 begins with a dash and must still reach its verb."""
    assert cli("keys", "drop", "-kB").one_line == "multipartner: key -kB: unknown"


@pytest.mark.parametrize(
    "arguments",
    [
        ("app", "suspend", "1"),
        ("app", "resume", "1"),
        ("app", "secret", "renew", "1"),
        ("solution", "deactivate", "1"),
        ("share", "revoke", "--business", "1", "--solution", SOLUTION),
        ("grant", "revoke", "--business", BOOKS, "--solution", SOLUTION, "--app", "1"),
        ("grant", "restore", "--business", "1", "--solution", "1", "--app", "1"),
        ("credential", "revoke", "1"),
        ("credential", "create", "--system-user", "1", "--app", OWNER),
        ("resource-server", "revoke", "1"),
        ("keys", "retire", "1"),
        ("keys", "drop", "1"),
        ("explain", "1"),
    ],
)
def test_an_unknown_id_is_one_line_and_exit_code_2(cli: Cli, demo: DemoDeployment, arguments: tuple[str, ...]) -> None:
    """What does not exist is told in one line, without a traceback, and nothing is changed."""
    before = demo.rows("SELECT * FROM change"), demo.events()

    assert cli(*arguments).one_line.startswith("multipartner: ")
    assert (demo.rows("SELECT * FROM change"), demo.events()) == before


@pytest.mark.parametrize("arguments", [("bogus",), ("keys",), ("keys", "bogus"), ("app", "suspend"), ("keys", "list", "--bogus")])
def test_wrong_usage_is_one_line_and_exit_code_2(cli: Cli, arguments: tuple[str, ...]) -> None:
    """Whatever is wrong with the arguments is told in one line that points to the help."""
    assert cli(*arguments).one_line.endswith("(see --help)")


def test_an_unknown_setting_is_one_line_and_exit_code_2(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attack 79: a misspelt setting stops every verb."""
    monkeypatch.setenv("MULTIPARTNER_DATABSE", "x.db")

    told = "MULTIPARTNER_DATABSE: no such setting; did you mean MULTIPARTNER_DATABASE?"
    assert cli("keys", "list").one_line.endswith(told)
