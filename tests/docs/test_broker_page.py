"""docs/broker.md says what the broker does: its commands are run, its tables are the code's."""

import re
import subprocess
import tomllib
from pathlib import Path

import msgspec
import pytest

from broker.inprocess import InProcess
from docs.pages import DOCS, blocks, prose, table
from docs.shell import BIN, SHELL, WITHIN_S, surroundings
from multipartner.broker import configuration
from multipartner.broker.answers import SAID, Cause
from multipartner.broker.configuration import _Document, _Store
from multipartner.cli.token import EXIT_CODES, NOT_STORED
from multipartner.wire import refusals
from running import Running, running

__all__ = ["running"]

PAGE = DOCS / "broker.md"
SERVED = "multipartner broker serves (http://[0-9.:]+) for main; operations: (http://[0-9.:]+)"


def test_five_minutes_lead_to_a_token(running: Running, tmp_path: Path) -> None:
    """The page's commands, run as they stand but for the ports, end with a token, a 404 and a runway."""
    making, asking = [block.text for block in blocks(PAGE) if block.heading == "Five minutes" and block.language == "sh"]
    making = making.replace("[accounts.main]", 'listen = "127.0.0.1:0"\noperations_port = 0\n[accounts.main]')
    making = making.replace("http://127.0.0.1:8080", running.url)
    making = making.replace(
        "multipartner broker 2>broker.log &", "mkfifo up\nmultipartner broker 2>broker.log >up &\nread -r line <up"
    )
    asking = asking.replace("http://127.0.0.1:8084", "$URL").replace("http://127.0.0.1:8085", "$OPERATIONS")
    found = 'URL=$(echo "$line" | cut -d " " -f 4)\nOPERATIONS=${line##* }\necho "$line"\n'
    environment = surroundings(tmp_path)
    environment |= {"PATH": f"{BIN}:{environment['PATH']}", "TOKEN": running.owner.caller_token}
    script = making + found + asking.replace("\n", "\necho\n") + "kill %1\nwait %1\n"

    done = subprocess.run(
        [SHELL, "-eu", "-c", script], cwd=tmp_path, env=environment, capture_output=True, timeout=WITHIN_S, check=False
    )

    out = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    assert re.search(SERVED, out)
    assert re.search(r'^\{"access_token":"eyJ[\w.-]+","expires_at":\d{10}\}', out, re.MULTILINE)
    assert '"code":803' in out
    assert re.search(r'"failing": \[\], "runway_s": \{"main": \d+\.\d+\}', out)


def test_settings_are_documented() -> None:
    """The page names every setting of the configuration, with its default."""
    told = {name for cells in table(PAGE, "setting") for name in re.findall(r"`([a-z_]+)`", cells[0])}
    fields = {field.name for kind in (_Document, configuration.Upstream, _Store) for field in msgspec.structs.fields(kind)}

    assert told == fields - {"accounts", "store"}
    defaults = {
        field.name: field.default for kind in (_Document, configuration.Upstream) for field in msgspec.structs.fields(kind)
    }
    for cells in table(PAGE, "setting"):
        names = [name for name in re.findall(r"`([a-z_]+)`", cells[0]) if name in defaults]
        shown = [str(defaults[name]).lower() for name in names if isinstance(defaults[name], str | int | float)]
        assert all(one in cells[1] for one in shown), cells


def test_causes_are_documented() -> None:
    """The page tells for every cause which status and code a caller reads."""
    told = {cells[2].strip("`"): cells[1] for cells in table(PAGE, "what happened")}

    for cause in Cause:
        row = refusals.ROWS[SAID[cause]]
        assert told[cause.value].startswith(f"{row.status}, code {row.code}"), cause
        assert ("transient" in told[cause.value]) == (row.status == 500)
        assert ("Retry-After" in told[cause.value]) == (row.status in {429, 500})


def test_metrics_are_documented(broker: InProcess) -> None:
    """The page names exactly the metrics that a broker exports."""
    broker.ask()
    exported = set(re.findall(r"^# TYPE (multipartner_\w+)", broker.readings.metrics().decode(), re.MULTILINE))
    told = {name for cells in table(PAGE, "metric") for name in re.findall(r"`(multipartner_\w+)`", cells[0])}

    assert told == exported


def test_exit_codes_are_documented() -> None:
    """The page lists every exit code of `token get`."""
    assert {int(cells[0]) for cells in table(PAGE, "exit code")} == {0, 2, *EXIT_CODES.values(), NOT_STORED}


def test_the_example_for_systemd_is_a_configuration(tmp_path: Path) -> None:
    """The TOML under "As a service" is read as it stands, with the variables that systemd sets."""
    example = next(block.text for block in blocks(PAGE) if block.language == "toml")
    file = tmp_path / "broker.toml"
    file.write_text(example, "utf-8")
    read = configuration.read(file, {"STATE_DIRECTORY": "/var/lib/multipartner-broker"})

    assert tomllib.loads(example)["accounts"].keys() == read.upstreams.keys()
    assert str(read.credentials_file) == "/var/lib/multipartner-broker/credentials.json"


@pytest.fixture
def broker(tmp_path: Path) -> InProcess:
    return InProcess(tmp_path)


def test_the_limits_in_prose_are_the_codes() -> None:
    """Lines a second in the page are those of the code."""
    from multipartner.broker.upstreams import _LINES_PER_S  # noqa: PLC0415 - the one test that counts
    from multipartner.web.observing import REFUSAL_LINES_PER_S  # noqa: PLC0415 - as above

    assert f"refusals ({REFUSAL_LINES_PER_S} a second at most)" in prose(PAGE)
    assert f"({_LINES_PER_S} a second at most)" in prose(PAGE)
