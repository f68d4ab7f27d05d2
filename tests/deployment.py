"""A deployment for tests, on either engine, and an operator's hands on it. Every action takes the test's own time."""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from multipartner.domain.model import ALL_PERMISSIONS, AppId, Permissions, Secret, SystemUserId
from multipartner.domain.world import World
from multipartner.operating import Operator, backend_of, open_operator
from multipartner.partnering import worldfile
from multipartner.partnering.acting import Act
from multipartner.partnering.applying import Applied, apply_world
from multipartner.partnering.credentials import Wanted, create_credential
from multipartner.settings import Settings, load
from multipartner.storage.backend import Backend
from multipartner.storage.postgres import WRITERS_LOCK
from multipartner.storage.tables import metadata
from multipartner.storage.trail_reading import Filter, export
from postgres_server import execute, fetch, holding

NOW_S = 1_760_000_000
"""When all test deployments were made (Unix seconds; October 2025): before any real clock that runs a test."""

ACT = Act("operator:test", NOW_S)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Deployment:
    """Where one deployment lies: in files of a folder, or in the database of a `url`. Nothing is held open between calls."""

    directory: Path
    url: str = ""

    @property
    def database(self) -> Path:
        return self.directory / "facts.db"

    @property
    def trail(self) -> Path:
        return self.directory / "trail.db"

    @property
    def master_key_file(self) -> Path:
        return self.directory / "master.key"

    @property
    def places(self) -> dict[str, str]:
        """The settings that name it."""
        key_file = {"master_key_file": str(self.master_key_file)}
        if self.url:
            return {"database": self.url, **key_file}
        return {"database": str(self.database), "trail": str(self.trail), **key_file}

    @property
    def arguments(self) -> list[str]:
        """Options for the command line."""
        return [f"--{name.replace('_', '-')}={value}" for name, value in self.places.items()]

    @property
    def environment(self) -> dict[str, str]:
        """The same for a child process."""
        return {f"MULTIPARTNER_{name.upper()}": value for name, value in self.places.items()}

    def settings(self, **overrides: object) -> Settings:
        return load(self.places | overrides)

    @property
    def backend(self) -> Backend:
        return backend_of(self.settings())

    def operate(self, action: Callable[[Operator], Awaitable[Result]]) -> Result:
        """Run one action of an operator: `deployment.operate(lambda o: revoke_share(o.store, ACT, business, solution))`."""

        async def run() -> Result:
            async with open_operator(self.settings()) as operator:
                return await action(operator)

        return asyncio.run(run())

    @contextmanager
    def held_open(self) -> Iterator["HeldOpen"]:
        """The same deployment with one operator at work throughout: opening takes longer than what most actions do."""
        with asyncio.Runner() as runner:
            opened = open_operator(self.settings())
            operator = runner.run(opened.__aenter__())
            try:
                yield HeldOpen(self.directory, self.url, runner=runner, operator=operator)
            finally:
                runner.run(opened.__aexit__(None, None, None))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Look into the facts."""
        if self.url:
            return fetch(self.url, query)
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    def execute(self, statement: str) -> None:
        """Change the facts by plain SQL, as a tool that is not ours would."""
        if self.url:
            execute(self.url, statement)
            return
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement)

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of the facts, by table."""
        tables = [table.name for table in metadata.sorted_tables]
        return {name: sorted(self.rows(f"SELECT * FROM {name}"), key=repr) for name in tables}  # noqa: S608 - the schema's

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the writers' lock from another connection."""
        if self.url:
            with holding(self.url, f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})"):
                yield
            return
        with closing(sqlite3.connect(self.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield

    def events(self) -> list[dict[str, Any]]:
        """The trail of changes, oldest first."""
        lines: list[str] = []
        export(self.backend, Filter(), lines.append)
        return [json.loads(line) for line in lines]

    def apply(self, text: str) -> Applied:
        """Apply a world file as `world apply` does; the result has the new apps' secrets."""
        world, unsaid = worldfile.read(text.encode(), "test.yaml")
        return self.operate(lambda o: apply_world(o.store, o.master, ACT, world, unsaid))

    def caller_token(
        self, system_user: str, app: str, permissions: Permissions = ALL_PERMISSIONS, expires_at_s: int | None = None
    ) -> str:
        """Make a caller token; returns its text."""
        wanted = Wanted(SystemUserId(system_user), AppId(app), permissions, expires_at_s)
        return self.operate(lambda o: create_credential(o.store, o.master, ACT, wanted)).text.reveal()


@dataclass(frozen=True, kw_only=True)
class HeldOpen(Deployment):
    """A deployment whose operator stays open between calls."""

    runner: asyncio.Runner
    operator: Operator

    def operate(self, action: Callable[[Operator], Awaitable[Result]]) -> Result:
        async def run() -> Result:
            return await action(self.operator)

        return self.runner.run(run())


@dataclass(frozen=True, kw_only=True)
class DemoDeployment(Deployment):
    """A deployment with the demo world: the world, and its apps' secrets."""

    world: World
    secrets: dict[AppId, Secret]


Blank = Callable[[], AbstractContextManager[Deployment]]
"""Makes an empty deployment, for as long as it is held."""


def demo_text() -> str:
    return resources.files("multipartner.worlds").joinpath("demo.yaml").read_text("utf-8")
