"""Fixtures for all: `deployment` is initialised and empty; `demo` has the bundled demo world applied."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployment import ACT, DemoDeployment, Deployment, demo_text
from multipartner import keyfile
from multipartner.domain.world import World
from multipartner.operating import create_deployment
from multipartner.partnering import worldfile
from postgres_server import PostgresServer, postgres_server


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
    return DemoDeployment(directory, worldfile.parse(text.encode(), "demo.yaml"), applied.secrets)


@pytest.fixture
def deployment(empty_template: Deployment, tmp_path: Path) -> Deployment:
    """An initialised deployment without any facts, in a folder of its own."""
    shutil.copytree(empty_template.directory, tmp_path / "deployment")
    return Deployment(tmp_path / "deployment")


@pytest.fixture
def demo(demo_template: DemoDeployment, tmp_path: Path) -> DemoDeployment:
    """A deployment with the bundled demo world applied, in a folder of its own."""
    shutil.copytree(demo_template.directory, tmp_path / "demo")
    return DemoDeployment(tmp_path / "demo", demo_template.world, demo_template.secrets)


@pytest.fixture
def demo_world(demo_template: DemoDeployment) -> World:
    """The bundled demo world as a value."""
    return demo_template.world


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL, started when the first test wants it."""
    with postgres_server() as server:
        yield server
