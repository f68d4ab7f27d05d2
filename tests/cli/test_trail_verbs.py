"""`audit`, `explain`, `doctor`: what an operator reads."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from cli.command_line import Cli, in_process
from deployment import NOW_S, DemoDeployment
from multipartner.cli.explain import NEXT_STEPS
from multipartner.domain.events import Event, EventKind, RefusalRecord
from multipartner.domain.reasons import Reason
from multipartner.storage.trail import SqliteTrail


@pytest.fixture
def cli(demo: DemoDeployment, capsys: pytest.CaptureFixture[str]) -> Cli:
    return in_process(capsys, demo)


def write_trail(demo: DemoDeployment, refusals: list[RefusalRecord], events: list[Event]) -> None:
    async def write() -> None:
        trail = SqliteTrail(demo.trail)
        await trail.open(NOW_S)
        for record in refusals:
            trail.refused(record)
        for event in events:
            await trail.record(event)
        await trail.close(NOW_S)

    asyncio.run(write())


def test_audit_verify_finds_an_edit_and_ends_with_1(cli: Cli, demo: DemoDeployment) -> None:
    """Attack 76: an edited event is found, told, and ends `audit verify` with exit code 1; `doctor` tells it too."""
    assert cli("audit", "verify", "--json").json["whole"] is True
    with sqlite3.connect(demo.trail) as connection:
        connection.execute("UPDATE trail_event SET body = replace(body, 'operator:test', 'operator:none') WHERE seq = 3")
    connection.close()

    said = cli("audit", "verify")
    assert said.code == 1
    assert "NOT WHOLE" in said.out
    report = cli("doctor", "--json")
    assert (report.code, [check["name"] for check in report.json["checks"] if not check["ok"]]) == (1, ["trail"])


def test_audit_verify_against_an_anchor_finds_a_cut_end(cli: Cli, demo: DemoDeployment, tmp_path: Path) -> None:
    """Attack 76: events cut off the end are found against an exported anchor."""
    anchor = tmp_path / "anchor.json"
    assert cli("audit", "anchor", str(anchor)).code == 0
    assert cli("audit", "verify", "--anchor", str(anchor)).code == 0
    with sqlite3.connect(demo.trail) as connection:
        connection.execute("DELETE FROM trail_event WHERE seq = (SELECT max(seq) FROM trail_event)")
    connection.close()

    assert cli("audit", "verify").code == 0
    assert cli("audit", "verify", "--anchor", str(anchor)).code == 1
    anchor.write_text("{", "utf-8")
    assert "not an anchor" in cli("audit", "verify", "--anchor", str(anchor)).one_line


def test_audit_export_and_tail_write_json_lines(cli: Cli, demo: DemoDeployment, tmp_path: Path) -> None:
    """`audit export` writes every event, `audit tail` the last ones."""
    out = tmp_path / "trail.jsonl"
    exported = cli("audit", "export").out.splitlines()

    assert len(exported) == len(demo.events())
    assert cli("audit", "export", str(out), "--json").json["events"] == len(exported)
    assert cli("audit", "tail", "--lines", "3").out.splitlines() == exported[-3:]
    assert 0 < len(cli("audit", "export", "--business", "2991847208473997").out.splitlines()) < len(exported)


def test_audit_prune_keeps_what_it_is_told_to(cli: Cli) -> None:
    """`audit prune` takes out old events; what stays verifies, and without a retention nothing is taken."""
    assert "MULTIPARTNER_TRAIL_RETENTION_DAYS" in cli("audit", "prune").one_line
    assert cli("audit", "prune", "--days", "1", "--json").json["pruned"] > 0
    assert cli("audit", "verify").code == 0


REFUSED, ANSWERED = "A" + "b" * 22, "A" + "t" * 22


@pytest.mark.parametrize(
    "text", ["", "x", "mpc_" + "A" * 16, "A" * 24, "A" * 22 + "\n"], ids=["empty", "letter", "token", "long", "line"]
)
def test_explain_wants_a_trace_id(cli: Cli, text: str) -> None:
    """Anything but a trace id is refused in one line that does not repeat it; nothing of the trail is shown."""
    told = cli("explain", text)

    assert "23 characters" in told.one_line
    assert "mpc_" not in told.one_line


def test_explain_tells_station_rule_fact_and_next_step(cli: Cli, demo: DemoDeployment) -> None:
    """`explain` names the station, the rule, the fact and what to do, and shows a stranger's bytes harmlessly (attack 51)."""
    record = RefusalRecord(
        trace_id=REFUSED,
        at_s=NOW_S,
        reason=Reason.GRANT_REVOKED,
        fact="x\x1b[2J",
        credential_id="c",
        app_id="1",
        solution_id="2",
        business_id="3\n4",
        query_token=True,
    )
    write_trail(demo, [record], [])

    told = cli("explain", REFUSED)
    assert "403 at station `authorize`: grant_revoked" in told.out
    assert "This app's grant for this share was revoked." in told.out
    assert "multipartner grant restore --business 3\\n4 --solution 2 --app 1" in told.out
    assert "\x1b" not in told.out
    assert "query" in told.out
    assert cli("explain", REFUSED, "--json").json["rule"] == "This app's grant for this share was revoked."


def test_explain_finds_an_issuance(cli: Cli, demo: DemoDeployment) -> None:
    """`explain` tells of a request that was answered: who got which token, by its id."""
    write_trail(demo, [], [Event(EventKind.TOKEN_ISSUED, NOW_S, "credential:c", trace_id=ANSWERED, app_id="1", jti="J")])

    assert "token.issued  credential:c  app=1 jti=J" in cli("explain", ANSWERED).out
    assert cli("explain", ANSWERED, "--json").json["events"][0]["jti"] == "J"


def test_every_reason_has_a_next_step() -> None:
    """An operator is told what to do about every reason there is."""
    assert set(NEXT_STEPS) == {reason.value for reason in Reason}


@pytest.mark.parametrize(
    ("spoil", "wrong"),
    [
        (lambda demo: demo.master_key_file.chmod(0o644), {"key file", "keys"}),
        (lambda demo: demo.database.chmod(0o644), {"files"}),
        (lambda demo: demo.database.unlink(), {"database", "files", "keys", "trail"}),
    ],
)
def test_doctor_names_what_is_wrong(cli: Cli, demo: DemoDeployment, spoil: "object", wrong: set[str]) -> None:
    """`doctor` names each thing that is wrong and ends with 1."""
    assert callable(spoil)
    spoil(demo)

    said = cli("doctor", "--json")

    assert said.code == 1
    assert {check["name"] for check in said.json["checks"] if not check["ok"]} == wrong


def test_doctor_warns_of_a_proxy_that_nobody_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor` tells what can be served but was hardly meant, without calling it wrong."""
    assert cli("doctor", "--json").json["warnings"] == []
    monkeypatch.setenv("MULTIPARTNER_TLS_TERMINATED", "true")

    said = cli("doctor")

    assert said.code == 0
    assert "warns  settings  MULTIPARTNER_TRUSTED_PROXIES: is empty" in said.out
    assert cli("doctor", "--json").json["ok"] is True


def test_help_of_prune_says_who_else_prunes(cli: Cli) -> None:
    """`audit prune --help` says that without the setting nothing prunes by itself, and that with it `serve` does."""
    told = " ".join(cli("audit", "prune", "--help").out.split())

    assert "Nothing else prunes, but `serve`: once a day, where the setting trail_retention_days says" in told
