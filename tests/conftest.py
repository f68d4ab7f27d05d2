"""Fixtures for all: `deployment` is initialised and empty; `demo` has the bundled demo world applied."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployment import ACT, Blank, DemoDeployment, Deployment, demo_text
from multipartner import keyfile
from multipartner.domain.world import World
from multipartner.operating import create_deployment
from multipartner.partnering import worldfile
from postgres_server import PostgresServer, postgres_server

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 8 * 2**30

# Tests kill processes and never the machine, so nothing of theirs needs a disk; hundreds of databases keep a slow one busy.
if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES:
    os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


@pytest.fixture(scope="session")
def empty_template(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """One initialised deployment, to copy: making one anew takes the longest part of a test."""
    made = Deployment(tmp_path_factory.mktemp("empty"))
    keyfile.create(made.master_key_file)
    asyncio.run(create_deployment(made.settings(), ACT))
    return made


@pytest.fixture(scope="session")
def demo_template(empty_template: Deployment, tmp_path_factory: pytest.TempPathFactory) -> DemoDeployment:
    directory = tmp_path_factory.mktemp("demo") / "deployment"
    shutil.copytree(empty_template.directory, directory)
    text = demo_text()
    applied = Deployment(directory).apply(text)
    return DemoDeployment(directory, world=worldfile.parse(text.encode(), "demo.yaml"), secrets=applied.secrets)


ENGINES = ("sqlite", "postgresql")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One more than there are cores, since a quarter of a run is waiting for processes to start and stop; four are enough."""
    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else min(4, len(os.sched_getaffinity(0)) + 1)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever is marked `both_engines` runs once on each."""
    if "engine" in metafunc.fixturenames and metafunc.definition.get_closest_marker("both_engines"):
        metafunc.parametrize("engine", ENGINES, indirect=True, scope="session")


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """Where a test's deployment lies: in files, unless the test is marked `both_engines`."""
    return str(getattr(request, "param", ENGINES[0]))


@pytest.fixture(scope="session")
def empty_on_postgres(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """As `empty_template`, in a database."""
    made = Deployment(tmp_path_factory.mktemp("empty-postgres"), postgres.new())
    keyfile.create(made.master_key_file)
    asyncio.run(create_deployment(made.settings(), ACT))
    return made


@pytest.fixture(scope="session")
def demo_on_postgres(
    empty_on_postgres: Deployment, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> DemoDeployment:
    made = _copy(empty_on_postgres, tmp_path_factory.mktemp("demo-postgres") / "deployment", postgres)
    text = demo_text()
    applied = made.apply(text)
    return DemoDeployment(made.directory, made.url, world=worldfile.parse(text.encode(), "demo.yaml"), secrets=applied.secrets)


def _copy(template: Deployment, directory: Path, postgres: PostgresServer | None) -> Deployment:
    shutil.copytree(template.directory, directory)
    return Deployment(directory, postgres.new(template.url) if postgres else "")


@pytest.fixture
def deployment(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> Deployment:
    """An initialised deployment without any facts, in a folder of its own."""
    template, postgres = _template(request, engine, "empty")
    return _copy(template, tmp_path / "deployment", postgres)


@pytest.fixture
def demo(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> DemoDeployment:
    """A deployment with the bundled demo world applied, in a folder of its own."""
    return _copied_demo(request, engine, tmp_path)


@pytest.fixture(scope="module")
def modules_demo(request: pytest.FixtureRequest, engine: str, tmp_path_factory: pytest.TempPathFactory) -> DemoDeployment:
    """The same for all tests of a module that take nothing away: what the others did is there as well."""
    return _copied_demo(request, engine, tmp_path_factory.mktemp("module"))


def _copied_demo(request: pytest.FixtureRequest, engine: str, folder: Path) -> DemoDeployment:
    template, postgres = _template(request, engine, "demo")
    assert isinstance(template, DemoDeployment)
    made = _copy(template, folder / "demo", postgres)
    return DemoDeployment(made.directory, made.url, world=template.world, secrets=template.secrets)


@pytest.fixture(scope="session")
def blank(request: pytest.FixtureRequest, engine: str) -> Blank:
    """Makes empty deployments, one for each example of a property."""
    template, postgres = _template(request, engine, "empty")

    @contextmanager
    def made() -> Iterator[Deployment]:
        with tempfile.TemporaryDirectory() as folder:
            yield _copy(template, Path(folder) / "copy", postgres)

    return made


def _template(request: pytest.FixtureRequest, engine: str, kind: str) -> tuple[Deployment, PostgresServer | None]:
    if engine == "sqlite":
        return request.getfixturevalue(f"{kind}_template"), None
    return request.getfixturevalue(f"{kind}_on_postgres"), request.getfixturevalue("postgres")


@pytest.fixture
def demo_world(demo_template: DemoDeployment) -> World:
    """The bundled demo world as a value."""
    return demo_template.world


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL, started when the first test wants it."""
    with postgres_server() as server:
        yield server
