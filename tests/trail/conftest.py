"""The fixture `place`: a deployment without facts, in two SQLite files and in a PostgreSQL database."""

import asyncio
import shutil
from pathlib import Path

import pytest

from multipartner.storage.backend import Backend
from postgres_server import PostgresServer
from written_trail import InDatabase, InFiles, TrailPlace


async def _make(backend: Backend) -> None:
    await (await backend.create()).close()


@pytest.fixture(scope="session")
def files_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trail-template")
    asyncio.run(_make(InFiles(folder).backend))
    return folder


@pytest.fixture(scope="session")
def database_template(postgres: PostgresServer) -> str:
    url = postgres.new()
    asyncio.run(_make(InDatabase(postgres, url).backend))
    return url


@pytest.fixture
def in_files(files_template: Path, tmp_path: Path) -> InFiles:
    return InFiles(Path(shutil.copytree(files_template, tmp_path / "made")))


@pytest.fixture
def in_database(postgres: PostgresServer, database_template: str) -> InDatabase:
    return InDatabase(postgres, postgres.new(database_template))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> TrailPlace:
    """On each engine."""
    found: TrailPlace = request.getfixturevalue("in_files" if request.param == "sqlite" else "in_database")
    return found
