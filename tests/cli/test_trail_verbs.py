"""`audit`, `explain`, `doctor`: what an operator reads."""

import asyncio
import json
import sqlite3
from pathlib import Path

import msgspec
import pytest

from cli.command_line import Cli, in_process
from deployment import NOW_S, DemoDeployment
from multipartner.cli.calling import when
from multipartner.cli.next_steps import NEXT_STEPS
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


def test_audit_export_by_caller_and_by_kind(cli: Cli, demo: DemoDeployment) -> None:
    """`audit export` gives what one caller token was answered, and the kinds of event that are asked for; filters add up."""
    write_trail(demo, [], [ISSUED, msgspec.structs.replace(ISSUED, actor="credential:c2")])

    def kinds(*options: str) -> list[str]:
        return [json.loads(line)["kind"] for line in cli("audit", "export", *options).out.splitlines()]

    assert kinds("--credential", "c1") == ["token.issued"]
    assert kinds("--kind", "token.issued") == ["token.issued"] * 2
    assert kinds("--credential", "c1", "--kind", "share.made") == []
    assert set(kinds("--kind", "share.made", "--kind", "app.declared")) == {"share.made", "app.declared"}
    assert kinds("--credential", "c1", "--business", "1") == []
    assert cli("audit", "export", "--kind", "token.isued").one_line.endswith("no such kind of event; did you mean token.issued?")
    assert "there are token.issued, " in cli("audit", "export", "--kind", "x").one_line


def test_audit_export_hides_no_event_that_cannot_be_read(cli: Cli, demo: DemoDeployment) -> None:
    """Attack 76: an event that was made unreadable is in every export, whatever is asked for."""
    with sqlite3.connect(demo.trail) as connection:
        connection.execute("UPDATE trail_event SET body = '{' WHERE chain = 'changes' AND seq = 3")
    connection.close()

    assert json.loads(cli("audit", "export", "--credential", "c1").out)["unreadable"] is True


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


OWNER, SOLUTION, BOOKS = "5372200989284704", "8249170987505988", "2991847208473997"
ISSUED = Event(
    EventKind.TOKEN_ISSUED,
    NOW_S,
    "credential:c1",
    trace_id=ANSWERED,
    app_id=OWNER,
    solution_id=SOLUTION,
    business_id=BOOKS,
    jti="J",
    detail={
        "scope": "whatsapp_business_management",
        "expires_at": str(NOW_S + 3600),
        "wabas": "3736568475388304 7886060909223278",
    },
)


def test_explain_tells_what_an_answered_request_got(cli: Cli, demo: DemoDeployment) -> None:
    """`explain` of a success tells token id, scope, expiry (ISO and Unix), WABAs, and who is who by id and by name."""
    write_trail(demo, [], [ISSUED])

    assert cli("explain", ANSWERED).out.splitlines() == [
        "200 at station `issue`: token.issued",
        "when       2025-10-09T08:53:20Z",
        "credential c1",
        f"app        {OWNER}  Brightline Connect",
        f"solution   {SOLUTION}  Brightline with Parcelbee",
        f"business   {BOOKS}  Harbour Books",
        "jti        J",
        "scope      whatsapp_business_management",
        f"expires    2025-10-09T09:53:20Z ({NOW_S + 3600})",
        "wabas      3736568475388304 7886060909223278",
    ]
    (told,) = cli("explain", ANSWERED, "--json").json["events"]
    assert (told["jti"], told["at_s"], told["names"]["business"]) == ("J", NOW_S, "Harbour Books")


def test_explain_still_explains_when_the_facts_cannot_be_read(cli: Cli, demo: DemoDeployment) -> None:
    """Without names, because the facts are damaged, `explain` tells the rest."""
    write_trail(demo, [], [ISSUED])
    with sqlite3.connect(demo.database) as connection:
        connection.execute("DROP TABLE solution")
    connection.close()

    assert f"solution   {SOLUTION}\n" in cli("explain", ANSWERED).out


def refusal(reason: Reason, business: str = BOOKS, at_s: int = NOW_S * 2) -> RefusalRecord:
    return RefusalRecord(REFUSED, at_s, reason, app_id=OWNER, solution_id=SOLUTION, business_id=business, credential_id="c1")


@pytest.mark.parametrize(
    ("reason", "change", "undo", "kind", "text"),
    [
        (
            Reason.NOTHING_SHARED,
            ("share", "revoke", "--business", BOOKS, "--solution", SOLUTION),
            (),
            "share.revoked",
            "share withdrawn",
        ),
        (Reason.APP_SUSPENDED, ("app", "suspend", OWNER), ("app", "resume", OWNER), "app.suspended", "app suspended"),
        (Reason.SOLUTION_INACTIVE, ("solution", "deactivate", SOLUTION), (), "solution.deactivated", "solution deactivated"),
        (
            Reason.GRANT_REVOKED,
            ("grant", "revoke", "--business", BOOKS, "--solution", SOLUTION, "--app", OWNER),
            ("grant", "restore", "--business", BOOKS, "--solution", SOLUTION, "--app", OWNER),
            "grant.revoked",
            "grant revoked",
        ),
    ],
)
def test_explain_tells_since_when_and_by_whom(
    cli: Cli, demo: DemoDeployment, reason: Reason, change: tuple[str, ...], undo: tuple[str, ...], kind: str, text: str
) -> None:
    """`explain` of a refusal tells when, and by whom, the state was made that it was refused for: the newest change that did."""
    assert cli(*change).code == 0
    if undo:
        assert cli(*undo).code == cli(*change).code == 0
    write_trail(demo, [refusal(reason)], [])
    made = [event for event in demo.events() if event["kind"] == kind][-1]

    since = cli("explain", REFUSED, "--json").json["since"]
    assert since == {"at_s": made["at_s"], "actor": made["actor"], "kind": kind, "text": text}
    (line,) = (line for line in cli("explain", REFUSED).out.splitlines() if line.startswith("since "))
    assert line == f"since      {when(made['at_s'])}: {text} by {made['actor']}"


@pytest.mark.parametrize(
    ("reason", "business", "text"),
    [
        (Reason.NOTHING_SHARED, "4089388446014104", "share declared, withdrawn"),
        (Reason.GRANT_REVOKED, "9587874657975456", "share declared, without this grant"),
    ],
)
def test_explain_tells_of_what_was_declared_so(cli: Cli, demo: DemoDeployment, reason: Reason, business: str, text: str) -> None:
    """What a world file declared as ended at once is told as declared so, by whom and when."""
    write_trail(demo, [refusal(reason, business)], [])

    assert f"since      2025-10-09T08:53:20Z: {text} by operator:test\n" in cli("explain", REFUSED).out


def test_explain_tells_of_no_change_that_came_later_or_of_another(cli: Cli, demo: DemoDeployment) -> None:
    """A change after the refusal, or of another share, is not told as its cause; where the trail has no cause, none is told."""
    assert cli("share", "revoke", "--business", "577542300013003", "--solution", SOLUTION).code == 0
    assert cli("share", "revoke", "--business", BOOKS, "--solution", SOLUTION).code == 0
    write_trail(demo, [refusal(Reason.NOTHING_SHARED, at_s=NOW_S + 1)], [])

    assert "since" not in cli("explain", REFUSED).out
    assert cli("explain", REFUSED, "--json").json["since"] is None


def test_explain_tells_when_a_caller_token_was_made(cli: Cli, demo: DemoDeployment) -> None:
    """A caller token that lacks the permission is told with who made it, and when."""
    made = cli("credential", "create", "--system-user", "4567798337013316", "--app", OWNER, "--json").json["id"]
    write_trail(demo, [msgspec.structs.replace(refusal(Reason.PERMISSION_MISSING), credential_id=made)], [])

    assert ": caller token made by operator:" in cli("explain", REFUSED).out


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
