"""Calling our own command line, in this process or in one of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deployment import Deployment
from multipartner.cli.commands import run


@dataclass(frozen=True)
class Said:
    """What a call printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        (line,) = self.out.splitlines()
        return json.loads(line)

    @property
    def one_line(self) -> str:
        """The error; there is no more than a line, and no traceback."""
        assert (self.code, self.out) == (2, "")
        (line,) = self.err.splitlines()
        return line


Cli = Callable[..., Said]


def in_process(capsys: Any, deployment: Deployment) -> Cli:
    def call(*arguments: str) -> Said:
        capsys.readouterr()
        code = run([*arguments, *deployment.arguments])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


def as_process(deployment: Deployment, *arguments: str) -> Said:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **deployment.environment}
    done = subprocess.run(
        [sys.executable, "-c", "from multipartner.cli import main; main()", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)
