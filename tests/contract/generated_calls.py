"""Schemathesis over one operation of the published contract: calls generated from it, checked against it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any


def schemathesis(
    url: str, caller_token: str, contract: dict[str, Any], folder: Path, *options: str
) -> tuple[subprocess.CompletedProcess[str], set[int]]:
    """Run it; returns how it ended and the statuses it met."""
    document, reports = folder / "contract.json", folder / "reports"
    document.write_text(json.dumps(contract), "utf-8")
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", str(document), f"--url={url}", "--seed=1"]
    command += [f"--header=Authorization: Bearer {caller_token}", "--report=ndjson", f"--report-dir={reports}"]
    run = subprocess.run([*command, "--no-color", *options], cwd=folder, capture_output=True, text=True, timeout=150, check=False)
    report = "".join(path.read_text("utf-8") for path in reports.iterdir())
    return run, {int(status) for status in re.findall(r'"status_code": ?([0-9]{3})', report)}
