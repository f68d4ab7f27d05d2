"""The README's lines for the official Node SDK, run as they stand."""

import subprocess

import pytest

from docs.pages import ROOT, blocks
from nodejs import FOLDER, needs_node
from running import Running, running

__all__ = ["running"]

pytestmark = [pytest.mark.foreign, needs_node]


def test_readme_lines_of_the_node_sdk_get_a_token(running: Running) -> None:
    """The Node SDK's lines in the README are a whole program, and are answered with a token."""
    (shown,) = [b.text for b in blocks(ROOT / "README.md") if b.heading == "With existing SDKs" and b.language == "js"]
    meant = {
        "http://127.0.0.1:8080": running.url,
        "8249170987505988": running.solution_id,
        "2991847208473997": running.business[200],
        "mpc_…": running.owner.caller_token,
    }
    for example, real in meant.items():
        assert shown.count(example) == 1
        shown = shown.replace(example, real)

    # By standard input, so that the token stands in no argument list and in no file.
    command = ["node", "--input-type=module"]
    done = subprocess.run(command, cwd=FOLDER, input=shown.encode(), capture_output=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert b"access_token: 'eyJ" in done.stdout
