"""A start that cannot succeed says why in one line, and leaves everything as it was."""

import inspect
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing

import pytest
import typer

from deployment import Deployment
from multipartner.cli import serve as serve_module
from multipartner.settings import Settings
from serving import run, serving


def _files(deployment: Deployment) -> dict[str, bytes]:
    """Everything in the folder. SQLite may put its side files there when it looks; they must hold nothing."""
    found = {path.name: path for path in deployment.directory.iterdir()}
    assert all(path.stat().st_size == 0 for name, path in found.items() if name.endswith("-wal"))
    return {name: path.read_bytes() for name, path in found.items() if not name.endswith(("-wal", "-shm"))}


def _without_key(deployment: Deployment) -> None:
    deployment.master_key_file.unlink()


def _open_key(deployment: Deployment) -> None:
    deployment.master_key_file.chmod(0o644)


def _another_key(deployment: Deployment) -> None:
    deployment.master_key_file.write_text("A" * 43 + "=\n")


def _newer_database(deployment: Deployment) -> None:
    with closing(sqlite3.connect(deployment.database)) as connection, connection:
        connection.execute("UPDATE version_facts SET version_num = '9999'")


def _without_database(deployment: Deployment) -> None:
    deployment.database.unlink()


def _without_trail(deployment: Deployment) -> None:
    deployment.trail.unlink()


def _without_signing_key(deployment: Deployment) -> None:
    with closing(sqlite3.connect(deployment.database)) as connection, connection:
        connection.execute("DELETE FROM signing_key")


@pytest.mark.parametrize(
    ("spoil", "names", "fix"),
    [
        (_without_key, "master.key", "multipartner init"),
        (_open_key, "master.key", "chmod 600"),
        (_another_key, "master key", "the file it was made with"),
        (_newer_database, "facts.db", "newer multipartner"),
        (_without_database, "facts.db", "multipartner init"),
        (_without_trail, "trail.db", "multipartner init"),
        (_without_signing_key, "signing key", "keys rotate"),
    ],
)
def test_unusable_deployment(deployment: Deployment, spoil: Callable[[Deployment], None], names: str, fix: str) -> None:
    """A deployment that cannot be served is named with its fix in one line, and not a byte of it changes (attack 79)."""
    spoil(deployment)
    before = _files(deployment)

    ended = run("serve", *deployment.arguments, "--port=0", "--operations-port=0")

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert names in ended.stderr
    assert fix in ended.stderr
    assert _files(deployment) == before


@pytest.mark.parametrize(
    ("environment", "option", "names"),
    [
        ({"MULTIPARTNER_WORKRES": "2"}, "--workers=1", "MULTIPARTNER_WORKRES: no such setting"),
        ({"MULTIPARTNER_WORKERS": "many"}, "--port=0", "MULTIPARTNER_WORKERS"),
        ({}, "--token-lifetime-s=1", "MULTIPARTNER_TOKEN_LIFETIME_S"),
        ({}, "--host=0.0.0.0", "tls_terminated"),
        ({}, "--issuer=http://tokens.example", "MULTIPARTNER_ISSUER"),
        ({}, "--wrokers=2", "--wrokers"),
    ],
)
def test_wrong_setting(deployment: Deployment, environment: dict[str, str], option: str, names: str) -> None:
    """An unknown or impossible setting stops the start in one line that names it (attack 79)."""
    ended = run("serve", *deployment.arguments, option, **environment)

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert names in ended.stderr


@pytest.mark.parametrize("setting", ["port", "operations_port"])
def test_port_in_use(deployment: Deployment, setting: str) -> None:
    """A port that another program serves on is named in one line, and the deployment's folder stays as it was."""
    before = {path.name for path in deployment.directory.iterdir()}
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = {"port": 0, "operations_port": 0, setting: taken}
        ended = run("serve", *deployment.arguments, *(f"--{n.replace('_', '-')}={v}" for n, v in ports.items()))

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert f"127.0.0.1:{taken}" in ended.stderr
    assert f"--{setting.replace('_', '-')}" in ended.stderr
    assert {path.name for path in deployment.directory.iterdir()} == before


def test_second_service_on_the_port(demo: Deployment) -> None:
    """A second service cannot join the port of the first and take half of its requests, though workers share ports."""
    with serving(demo, workers=2) as served:
        shutil.copytree(demo.directory, demo.directory.with_name("copy"))
        second = Deployment(demo.directory.with_name("copy"))
        ended = run("serve", *second.arguments, f"--port={served.port}", "--operations-port=0")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert str(served.port) in ended.stderr


def test_every_setting_is_an_option() -> None:
    """Each setting is an option of `serve` with its help, so that help and code cannot differ."""
    app = typer.Typer()
    serve_module.register(app)
    parameters = inspect.signature(serve_module.serve).parameters

    assert set(parameters) == set(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        option = parameters[name].annotation.__metadata__[0]
        assert re.match(rf"--{name.replace('_', '-')}\b", option.default)
        assert str(field.description) in option.help


def test_a_start_loads_nothing_that_only_a_change_needs() -> None:
    """What a worker imports holds neither Alembic nor SQLAlchemy's ORM, a tenth of its start: the first change loads them."""
    imports = "import sys, multipartner.cli.worker, multipartner.web.operations, multipartner.wiring"
    program = f"{imports}\nprint([name for name in ('alembic', 'sqlalchemy.orm') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)

    assert (done.stdout, done.stderr) == ("[]\n", "")
