"""The README does what it says: its commands are run, its output is compared with the real one."""

import ast
import re
import subprocess
import sys

import pytest

from docs.pages import ROOT, blocks
from docs.shell import BIN, printed_by
from running import Running, running

__all__ = ["running"]

README = ROOT / "README.md"


@pytest.fixture(scope="module")
def five_minutes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Everything that the section's commands print, run in one shell from the checkout."""
    script = "".join(block.text for block in blocks(README) if block.heading == "Five minutes" and block.language == "sh")
    return printed_by(script, tmp_path_factory.mktemp("five-minutes"))


def test_five_minutes_lead_to_a_token(five_minutes: str) -> None:
    """The README's five minutes, run as they stand, end with the contract's JSON and with an explained refusal."""
    assert re.search(r'^\{"access_token":"eyJ[\w.-]+","expires_at":\d{10}\}', five_minutes, re.MULTILINE)
    assert "422 at station `authorize`: nothing_shared" in five_minutes


def test_five_minutes_show_a_withdrawal(five_minutes: str) -> None:
    """After `share revoke` the very next introspection says that the token is dead, and the trail is whole."""
    before, _, after = five_minutes.partition("share of business 2991847208473997")

    assert '{"active":true,"scope":"whatsapp_business_management",' in before
    assert '{"active":false}' in after
    assert re.search(r"whole: \d+ events in 2 chains$", after, re.MULTILINE)


def test_readme_shows_what_the_demo_prints() -> None:
    """The output that leads the README is the demo's own, in its order."""
    shown = next(block.text for block in blocks(README) if block.language == "text")
    done = subprocess.run([BIN / "multipartner", "demo", "--once"], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    lines = iter(done.stdout.decode().splitlines())

    for line in shown.splitlines():
        pattern = _pattern(line)
        assert any(pattern.fullmatch(real) for real in lines), line


def _pattern(line: str) -> re.Pattern[str]:
    """A shown line: `…` stands for anything, times and trace ids are of their day."""
    text = re.escape(line).replace("…", ".*")
    text = re.sub(r"\b17\d{8}\b", r"\\d{10}", text)
    text = re.sub(r"20\d\d\\-\d\d\\-\d\dT\d\d:\d\d:\d\dZ", r"[\\dT:-]{19}Z", text)
    return re.compile(re.sub(r"\bA(?:[\w]|\\-){22,30}$", r"A[\\w-]{22}", text))


def test_readme_leads_with_the_two_commands() -> None:
    """Whoever opens the README sees first how to run it and how to test it."""
    first = next(blocks(README))

    assert [line.partition("#")[0].strip() for line in first.text.splitlines()] == ["make demo", "make test"]


SDKS = ("facebook-business", "pywa", "python-facebook-api")


@pytest.mark.parametrize("sdk", SDKS)
def test_sdk_lines_get_a_token(running: Running, sdk: str) -> None:
    """Each SDK's lines in the README, run as they stand under those that say what is asked for, are answered with a token."""
    given, *shown = [b.text for b in blocks(README) if b.heading == "With existing SDKs" and b.language == "python"]
    (lines,) = [text for text in shown if text.startswith(f"# {sdk}\n")]
    owner, solution, customer = running.owner, running.solution_id, running.business[200]
    values = {"A": owner.id, "K": owner.secret, "T": owner.caller_token, "B": running.url, "S": solution, "Z": customer}
    named = {node.id for node in ast.walk(ast.parse(given)) if isinstance(node, ast.Name)}
    told = "".join((given, *(f"{name} = {value!r}\n" for name, value in values.items()), lines))

    done = subprocess.run([sys.executable, "-"], input=told.encode(), capture_output=True, timeout=30, check=False)

    assert len(shown) == len(SDKS)
    assert named == set(values)
    assert done.returncode == 0, done.stderr
    assert b"'access_token': 'eyJ" in done.stdout
