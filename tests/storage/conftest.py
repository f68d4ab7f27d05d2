"""A database with a small world in it, made by our own migrations."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from multipartner.domain.model import AppId, BusinessId, SolutionId, Tenant
from multipartner.storage import tables as t
from multipartner.storage.engine import Database
from postgres_server import PostgresServer

if TYPE_CHECKING:
    from storage.engines import Engine, OnPostgres

Result = TypeVar("Result")


class World(NamedTuple):
    """The ids of the seeded world: two apps, one solution, one customer with two WABAs who shares one of them."""

    facts: Path
    trail: Path
    owner_business: str = "101"
    customer: str = "201"
    stranger: str = "202"
    owner_app: AppId = AppId("301")
    partner_app: AppId = AppId("302")
    solution: SolutionId = SolutionId("401")
    shared_waba: str = "501"
    kept_waba: str = "502"
    strange_waba: str = "503"
    credential: str = "601"

    @property
    def tenant(self) -> Tenant:
        return Tenant(self.owner_app, self.solution, BusinessId(self.customer))


async def seed(c: AsyncConnection, w: World) -> None:
    gen = {"generation": "A" * 11, "changed_at_s": 1000}
    app = {"status": "ACTIVE", "proof_required": False, "secret_sealed": b"sealed", **gen}
    owner, customer, stranger = w.owner_business, w.customer, w.stranger
    rows: list[tuple[sa.Table, list[dict[str, Any]]]] = [
        (t.deployment, [{"id": 1, **gen}]),
        (t.business, [{"id": i, "name": f"Business {i}"} for i in (owner, customer, stranger)]),
        (t.app, [{"id": i, "business_id": owner, "name": f"App {i}", **app} for i in (w.owner_app, w.partner_app)]),
        (t.system_user, [{"id": "701", "business_id": owner, "name": "Robot"}]),
        (t.sealed_key, [{"id": "k1", "purpose": "mac", "sealed": b"sealed", "created_at_s": 1000}]),
        (
            t.credential,
            [
                {
                    "id": w.credential,
                    "system_user_id": "701",
                    "app_id": w.owner_app,
                    "permissions": "whatsapp_business_management whatsapp_business_messaging",
                    "mac": b"mac",
                    "mac_key_id": "k1",
                    "created_at_s": 1000,
                }
            ],
        ),
        (t.waba, [{"id": i, "business_id": customer, "name": "WABA"} for i in (w.kept_waba, w.shared_waba)]),
        (t.waba, [{"id": w.strange_waba, "business_id": stranger, "name": "WABA"}]),
        (
            t.solution,
            [
                {
                    "id": w.solution,
                    "name": "Solution",
                    "status": "ACTIVE",
                    "owner_app_id": w.owner_app,
                    "partner_app_id": w.partner_app,
                    "owner_messaging": True,
                    "partner_messaging": False,
                    **gen,
                }
            ],
        ),
        (t.connection, [{"app_id": w.owner_app, "business_id": customer, "connected_at_s": 1000}]),
        (
            t.share,
            [
                {
                    "business_id": customer,
                    "solution_id": w.solution,
                    "status": "ACTIVE",
                    "permissions": "whatsapp_business_management",
                    **gen,
                }
            ],
        ),
        (t.share_waba, [{"business_id": customer, "solution_id": w.solution, "waba_id": w.shared_waba}]),
        (
            t.app_grant,
            [
                {
                    "business_id": customer,
                    "solution_id": w.solution,
                    "app_id": w.owner_app,
                    "status": "ACTIVE",
                    **(gen | {"changed_at_s": 1500}),
                }
            ],
        ),
    ]
    for table, values in rows:
        await c.execute(sa.insert(table), values)


async def _make(world: World) -> None:
    database = await Database.create(world.facts, world.trail)
    async with database.transaction() as connection:
        await seed(connection, world)
    await database.close()


@pytest.fixture
def empty(tmp_path: Path) -> World:
    """Paths of a database that is not there yet."""
    return World(tmp_path / "facts.db", tmp_path / "facts.trail.db")


@pytest.fixture
def world(empty: World) -> World:
    asyncio.run(_make(empty))
    return empty


Run = Callable[[Callable[[Database], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture
def on_database(world: World) -> Run:
    """Run an async function on the opened database."""

    def run(use: Callable[[Database], Awaitable[Result]]) -> Result:
        async def opened() -> Result:
            database = await Database.open(world.facts, world.trail)
            try:
                return await use(database)
            finally:
                await database.close()

        return asyncio.run(opened())

    return run


@pytest.fixture(scope="session")
def postgres_world(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a PostgreSQL database with the small world in it, to copy."""
    from multipartner.storage.postgres import Postgres  # noqa: PLC0415 - slow to import, and not every test's
    from multipartner.storage.postgres_engine import PostgresDatabase, migrate  # noqa: PLC0415 - as above

    url = postgres.new()
    folder = tmp_path_factory.mktemp("nowhere")

    async def make() -> None:
        await migrate(Postgres(url))
        database = PostgresDatabase(Postgres(url))
        async with database.transaction() as connection:
            await seed(connection, World(folder, folder))
        await database.close()

    asyncio.run(make())
    return url


@pytest.fixture
def on_postgres(postgres: PostgresServer, postgres_world: str) -> "OnPostgres":
    """The small world in a PostgreSQL database of its own."""
    from storage.engines import OnPostgres  # noqa: PLC0415 - it imports this module

    return OnPostgres(postgres.new(postgres_world))


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> "Engine":
    """The small world on each of the engines."""
    from storage.engines import OnSqlite  # noqa: PLC0415 - it imports this module

    if request.param == "sqlite":
        return OnSqlite(request.getfixturevalue("world"))
    made: OnPostgres = request.getfixturevalue("on_postgres")
    return made
