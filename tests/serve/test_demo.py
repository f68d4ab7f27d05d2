"""`multipartner demo`, as people and scripts start it."""

import json
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from serving import COMMAND, clean_environment, eventually, first_line, get, run


@pytest.fixture
def scratch(tmp_path: Path) -> dict[str, str]:
    """An environment whose temporary folder can be looked into."""
    (tmp_path / "tmp").mkdir()
    return {"TMPDIR": str(tmp_path / "tmp")}


def _start(scratch: dict[str, str], *options: str) -> subprocess.Popen[bytes]:
    command = [COMMAND, "demo", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment() | scratch)


def test_outcomes_are_real(scratch: dict[str, str]) -> None:
    """Every customer's `outcome` in the JSON is the status that the owner's app is really answered."""
    with _start(scratch, "--json") as process:
        facts = json.loads(first_line(process))
        owner = next(app for app in facts["apps"] if app["role"] == "owner")
        stranger = next(app for app in facts["apps"] if app["role"] == "stranger")
        path = f"/v23.0/{facts['solution_id']}/access_token?business_id="
        told = {business["id"]: business["outcome"] for business in facts["businesses"]}
        seen = {id_: get(facts["url"], path + id_, owner["caller_token"]).status for id_ in told}
        in_query = get(facts["url"], f"{path}{next(iter(told))}&access_token={owner['caller_token']}").status
        by_stranger = get(facts["url"], path + next(iter(told)), stranger["caller_token"]).status
        ready = eventually(lambda: get(facts["operations_url"], "/readyz").status == 200)
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0

    assert seen == told
    assert set(told.values()) == {200, 403, 404, 422}
    assert all(business["name"] and business["waba_ids"] for business in facts["businesses"])
    assert (in_query, by_stranger, ready) == (200, 403, True)
    assert {app["role"] for app in facts["apps"]} == {"owner", "partner", "stranger"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left(scratch: dict[str, str], number: signal.Signals) -> None:
    """However it is stopped, the demo ends with 0 and its folder is gone."""
    with _start(scratch, "--json") as process:
        facts = json.loads(first_line(process))
        assert Path(facts["database"]).is_relative_to(scratch["TMPDIR"])
        process.send_signal(number)
        assert process.wait(15) == 0

    assert not list(Path(scratch["TMPDIR"]).iterdir())


def test_page_fits_a_screen(scratch: dict[str, str]) -> None:
    """The page fits 39 lines of 100 characters, with a `curl` for each status, a filled link, and the token decoded."""
    with _start(scratch) as process:
        assert process.stdout is not None
        lines = [first_line(process).rstrip("\n")]
        while "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline().decode().rstrip("\n"))
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0

    shown = [line.replace(str(COMMAND), "multipartner").replace(scratch["TMPDIR"], "/tmp") for line in lines]
    assert len(shown) <= 39
    assert max(map(len, shown)) <= 100
    assert any(re.search(r"/docs\?version=v23\.0&solution=8249170987505988&business=2991847208473997$", line) for line in shown)
    statuses = {found[1] for line in lines if (found := re.match(r"curl .*# (\d+)$", line))}
    assert statuses == {"200", "401", "403", "404", "422"}
    for word in ("at+jwt", "Parcelbee", "authorization_details", "waba_ids"):
        assert word in "\n".join(lines)


def test_pasted_commands_do_what_they_say(scratch: dict[str, str]) -> None:
    """Each printed `curl`, pasted after the two lines above it, is answered with the status that stands beside it."""
    with _start(scratch) as process:
        assert process.stdout is not None
        lines = [first_line(process).strip()]
        while "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline().decode().strip())
        variables = dict(line.split("=", 1) for line in lines if re.match(r"[UA]=", line))
        token = variables["A"].strip("'").removeprefix("Authorization: Bearer ")
        url, _, path = variables["U"].partition("/v23.0")
        curls = [found for line in lines if (found := re.match(r'curl (-H "\$A" )?"\$U(\S+)" +# (\d+)$', line))]
        seen = [get(url, f"/v23.0{path}{curl[2]}", token if curl[1] else None).status for curl in curls]
        process.send_signal(signal.SIGINT)
        process.wait(15)

    assert seen == [int(curl[3]) for curl in curls]
    assert len(seen) == 5


def test_printed_explain_explains(scratch: dict[str, str]) -> None:
    """The printed `multipartner explain TRACE_ID` line, with a refusal's trace id in it, says why, since when and by whom."""
    with _start(scratch) as process:
        assert process.stdout is not None
        lines = [first_line(process).strip()]
        while "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline().decode().strip())
        variables = dict(line.split("=", 1) for line in lines if re.match(r"[UA]=", line))
        token = variables["A"].strip("'").removeprefix("Authorization: Bearer ")
        url, _, path = variables["U"].partition("/v23.0")
        refused = get(url, f"/v23.0{path}?business_id=4089388446014104", token)
        trace_id = json.loads(refused.body)["error"]["fbtrace_id"]
        (printed,) = (line for line in lines if "explain TRACE_ID" in line)
        words = shlex.split(printed.replace("TRACE_ID", trace_id))
        told = eventually(lambda: run(*words[1:], **scratch).stdout)
        process.send_signal(signal.SIGINT)
        process.wait(15)

    assert "422 at station `authorize`: nothing_shared" in told
    assert re.search(r"^since      20[\dT:-]+Z: share declared, withdrawn by operator:demo$", told, re.MULTILINE)
    assert "business   4089388446014104  Tidewater Dental" in told


def test_once(scratch: dict[str, str]) -> None:
    """`demo --once` shows token, verification, introspection, withdrawal, refusal and explanation, and ends with 0."""
    ended = run("demo", "--once", **scratch)

    assert (ended.returncode, ended.stderr) == (0, "")
    shown = ended.stdout
    assert re.search(r'"access_token": "eyJ[^"]+",\n  "expires_at": \d+', shown)
    for step in ("Verified offline", '"active": true', "share revoke", '"code": 100', '"active": false', "nothing_shared"):
        assert step in shown
    assert not list(Path(scratch["TMPDIR"]).iterdir())
