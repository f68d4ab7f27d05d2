"""Running the foreign tier's Node scripts: facts go in on standard input as JSON, a line of JSON comes out."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "foreign"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules").is_dir(), reason="`make foreign` installs Node's packages"
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="`make foreign` installs Chromium")


def node(script: str, facts: dict[str, Any]) -> Any:
    """Run a script of the foreign folder; secrets go in by standard input, where no process list shows them."""
    command = [shutil.which("node") or "node", script]
    run = subprocess.run(command, cwd=FOLDER, input=json.dumps(facts), capture_output=True, text=True, timeout=90, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])
