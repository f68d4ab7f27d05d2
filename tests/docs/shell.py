"""Runs a page's commands as a reader would: in one shell, from the checkout, with a service on a port of its own."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from docs.pages import ROOT
from multipartner.cli.listening import hold

BIN = Path(sys.executable).parent
WITHIN_S = 110
"""How long a page's commands may take on a busy machine."""

CURL = """#!{python}
import sys, urllib.request, urllib.parse, urllib.error, base64
given, headers, data, url = iter(sys.argv[1:]), {{}}, None, ""
for word in given:
    if word == "-H": headers.update([next(given).split(": ", 1)])
    elif word == "-u": headers["Authorization"] = "Basic " + base64.b64encode(next(given).encode()).decode()
    elif word == "-d": data = next(given).encode()
    elif not word.startswith("-"): url = word
try: print(urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10).read().decode(), end="")
except urllib.error.HTTPError as refused: print(refused.read().decode(), end="")
"""
"""Stands in for curl on a machine without it: the options that the pages use."""

SHELL = shutil.which("bash") or "/bin/sh"

SERVE = "multipartner serve --port 8080 2>serve.log &\n"
WAIT = 'mkfifo up\nmultipartner serve --port {port} --operations-port 0 > up &\nread -r line < up\necho "$line"\n'
"""Serves as the pages do, and goes on once it says that it serves."""


def printed_by(script: str, folder: Path) -> str:
    """What the commands print; each must succeed, and print nothing on stderr but the service's log.

    The port stands as 8080 in what is returned, as it does in the page.
    """
    with hold("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    assert SERVE in script
    script = script.replace(SERVE, WAIT.format(port=port)).replace(":8080", f":{port}")
    script = script.replace("$PWD/.venv/bin", str(BIN)) + "wait %1\n"
    environment = surroundings(folder) | {"TMPDIR": str(folder)}
    command = [SHELL, "-eu", "-c", script]
    # In a session of its own, so that a service which the script started ends with it, however it ends.
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as running:
        try:
            stdout, stderr = running.communicate(timeout=WITHIN_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
    assert (running.returncode, _unforeseen(stderr.decode())) == (0, "")
    return stdout.decode().replace(f":{port}", ":8080")


def surroundings(folder: Path) -> dict[str, str]:
    """What a page's commands find: no settings of ours, and something that answers to `curl`."""
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("MULTIPARTNER_")}
    environment["no_proxy"] = "*"
    if shutil.which("curl") is None:
        shim = folder / "bin" / "curl"
        shim.parent.mkdir()
        shim.write_text(CURL.format(python=sys.executable), "utf-8")
        shim.chmod(0o700)
        environment["PATH"] = f"{shim.parent}:{environment['PATH']}"
    return environment


def _unforeseen(stderr: str) -> str:
    """What is on stderr besides the service's log."""
    return "".join(line for line in stderr.splitlines(keepends=True) if not line.startswith('{"'))
