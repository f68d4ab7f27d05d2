"""A deployment for tests: its three files, and an operator's hands on it. Every action takes the test's own time."""

import asyncio
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from multipartner.domain.model import ALL_PERMISSIONS, AppId, Permissions, Secret, SystemUserId
from multipartner.domain.world import World
from multipartner.operating import Operator, open_operator
from multipartner.partnering import worldfile
from multipartner.partnering.acting import Act
from multipartner.partnering.applying import Applied, apply_world
from multipartner.partnering.credentials import Wanted, create_credential
from multipartner.settings import Settings, load
from multipartner.storage.trail_reading import export

NOW_S = 1_760_000_000
"""When all test deployments were made (Unix seconds; October 2025): before any real clock that runs a test."""

ACT = Act("operator:test", NOW_S)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Deployment:
    """Where one deployment lies. Nothing is held open between calls."""

    directory: Path

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
    def arguments(self) -> list[str]:
        """Options for the command line."""
        return [f"--database={self.database}", f"--trail={self.trail}", f"--master-key-file={self.master_key_file}"]

    @property
    def environment(self) -> dict[str, str]:
        """The same for a child process."""
        return {
            "MULTIPARTNER_DATABASE": str(self.database),
            "MULTIPARTNER_TRAIL": str(self.trail),
            "MULTIPARTNER_MASTER_KEY_FILE": str(self.master_key_file),
        }

    def settings(self, **overrides: object) -> Settings:
        files = {"database": self.database, "trail": self.trail, "master_key_file": self.master_key_file}
        return load(files | overrides)

    def operate(self, action: Callable[[Operator], Awaitable[Result]]) -> Result:
        """Run one action of an operator: `deployment.operate(lambda o: revoke_share(o.store, ACT, business, solution))`."""

        async def run() -> Result:
            async with open_operator(self.settings()) as operator:
                return await action(operator)

        return asyncio.run(run())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Look into the facts."""
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    def events(self) -> list[dict[str, Any]]:
        """The trail of changes, oldest first."""
        return [json.loads(line) for line in export(self.trail)]

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


@dataclass(frozen=True)
class DemoDeployment(Deployment):
    """A deployment with the demo world: the world, and its apps' secrets."""

    world: World
    secrets: dict[AppId, Secret]


@contextmanager
def copy_of(template: Deployment) -> Iterator[Deployment]:
    """A copy in a folder of its own, for the examples of a property."""
    with tempfile.TemporaryDirectory() as folder:
        yield Deployment(Path(shutil.copytree(template.directory, Path(folder) / "copy")))


def demo_text() -> str:
    return resources.files("multipartner.worlds").joinpath("demo.yaml").read_text("utf-8")
