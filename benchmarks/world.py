"""Deployments to measure: one solution, and as many customers who share with it as wanted, loaded in bulk and kept."""

import asyncio
import getpass
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from benchmarks import bulk

from multipartner import keyfile
from multipartner.domain.model import ALL_PERMISSIONS, AppId, SystemUserId
from multipartner.operating import create_deployment, open_operator
from multipartner.partnering import worldfile
from multipartner.partnering.acting import Act
from multipartner.partnering.applying import apply_world
from multipartner.partnering.credentials import Wanted, create_credential
from multipartner.settings import Settings, load
from multipartner.storage import triggers

WITHOUT_LIMIT = 1_000_000_000
"""Limits are counted as always; they are set so high because a real one is used up within the first second."""

VERSION = "v23.0"
SOLUTION = "6400219875531021"

_ACT = Act("operator:bench", bulk.CHANGED_AT_S)
OWNER, USER = "6100219875531011", "6200219875531031"
OWNER_AND_PARTNER = f"""
version: 1
businesses:
  - {{id: "6000219875531001", name: Owner}}
  - {{id: "6000219875531002", name: Partner}}
apps:
  - {{id: "{OWNER}", business: "6000219875531001", name: Owner app}}
  - {{id: "6100219875531012", business: "6000219875531002", name: Partner app}}
system_users:
  - {{id: "{USER}", business: "6000219875531001", name: Owner's backend}}
solutions:
  - id: "{SOLUTION}"
    name: Solution
    status: ACTIVE
    owner: {{app: "{OWNER}", messaging: true}}
    partner: {{app: "6100219875531012", messaging: false}}
"""
"""All but the customers."""

_KEPT = 3
"""Worlds of one size: other checkouts make theirs another way, and may be measuring."""


class World(msgspec.Struct, frozen=True):
    """A deployment's folder and who asks there. `url`: of the PostgreSQL database; without it facts and trail are files."""

    directory: Path
    shares: int
    token: str
    url: str = ""

    @property
    def businesses(self) -> Path:
        """A file of customers' ids, one a line, in random order."""
        return self.directory / "businesses.txt"

    def ids(self) -> list[str]:
        return self.businesses.read_text().split()

    def target(self, business: str) -> tuple[str, str]:
        """Path and query that ask for a customer's token."""
        return f"/{VERSION}/{SOLUTION}/access_token", f"business_id={business}"

    def options(self, trail: Path, **more: object) -> dict[str, object]:
        """Settings of a service on this world, with a trail of its own where it is a file."""
        place = {"database": self.url} if self.url else {"database": self.directory / "facts.db", "trail": trail}
        limits = {"calls_per_hour": WITHOUT_LIMIT, "calls_per_business_per_hour": WITHOUT_LIMIT}
        return {**place, "master_key_file": self.directory / "master.key", **limits, **more}

    def settings(self, trail: Path, **more: object) -> Settings:
        return load(self.options(trail, **more))


def world_of(shares: int) -> World:
    """The world with so many shares, made once and kept in the system's folder for temporary files."""
    form = _form()
    folder = Path(tempfile.gettempdir()) / f"multipartner-bench-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.owner() != getpass.getuser():
        raise RuntimeError(f"{folder} belongs to somebody else")
    directory = folder / f"{shares}-{form}"
    if not (directory / "token").exists():
        made = Path(tempfile.mkdtemp(prefix=f"{shares}-made-", dir=folder))
        token = make(World(made, shares, ""))
        # A gigabyte on its way to the disk would hold up each commit of the trail for a minute.
        os.sync()
        (made / "token").write_text(token)
        _put(made, directory)
    os.utime(directory)
    for old in sorted(folder.glob(f"{shares}-*"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
        shutil.rmtree(old)
    _read_through(directory / "facts.db")
    return World(directory, shares, (directory / "token").read_text())


def _put(made: Path, directory: Path) -> None:
    """Give a whole world its name, unless another run was first."""
    if not (directory / "token").exists():
        shutil.rmtree(directory, ignore_errors=True)
        made.rename(directory)
    else:
        shutil.rmtree(made)


def _form() -> str:
    """A name for how worlds are made: another schema, another world."""
    storage = Path(triggers.__file__).parent
    sources = [Path(bulk.__file__), Path(triggers.__file__), *sorted(storage.glob("migrations/**/*.py"))]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources) + OWNER_AND_PARTNER.encode()).hexdigest()[:12]


def _read_through(database: Path) -> None:
    """Have the file in the system's memory, as that of a service that runs for a while is; a cold disk is another figure."""
    with database.open("rb") as file:
        while file.read(1 << 24):
            pass


def make(world: World) -> str:
    """Make a deployment with its customers where the world says, and return a caller token."""
    return asyncio.run(_make(world))


async def _make(world: World) -> str:
    settings = world.settings(world.directory / "trail.db")
    keyfile.create(settings.master_key_file)
    await create_deployment(settings, _ACT)
    async with open_operator(settings) as operator:
        await apply_world(operator.store, operator.master, _ACT, worldfile.parse(OWNER_AND_PARTNER.encode(), "bench.yaml"))
        wanted = Wanted(SystemUserId(USER), AppId(OWNER), ALL_PERMISSIONS)
        made = await create_credential(operator.store, operator.master, _ACT, wanted)
    businesses = bulk.random_ids(world.shares, seed=world.shares)
    permissions = " ".join(sorted(permission.value for permission in ALL_PERMISSIONS))
    if world.url:
        await bulk.load_shares_on_postgres(world.url, SOLUTION, permissions, businesses)
    else:
        bulk.load_shares(world.directory / "facts.db", SOLUTION, permissions, businesses)
    world.businesses.write_text("\n".join(businesses) + "\n")
    return made.text.reveal()


@contextmanager
def fresh_trail(world: World) -> Iterator[Path]:
    """A trail as it was when the deployment was made. In PostgreSQL it just goes on."""
    with tempfile.TemporaryDirectory(prefix="multipartner-bench-") as folder:
        trail = Path(folder) / "trail.db"
        if not world.url:
            shutil.copy(world.directory / "trail.db", trail)
        yield trail


def flags(options: Mapping[str, object]) -> list[str]:
    """The same settings as options of the command line."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
