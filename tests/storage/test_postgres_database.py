"""PostgreSQL: what the migrations make, who may migrate, what stops a start, and what a writer meets."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from deployment import ACT, NOW_S, Deployment
from multipartner.domain.events import Event, EventKind
from multipartner.domain.model import BusinessId, SolutionId
from multipartner.operating import backend_of
from multipartner.partnering.lives import revoke_share
from multipartner.settings import SettingsError, load
from multipartner.storage import tables as t
from multipartner.storage.audit import verify
from multipartner.storage.change_ports import ChangeStore
from multipartner.storage.migrate import FACTS, TRAIL, DatabaseVersionError, History
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.postgres import Postgres
from multipartner.storage.postgres_backend import PostgresBackend
from multipartner.storage.postgres_engine import PostgresDatabase, migrate
from postgres_server import PostgresServer, database_of, execute, fetch, holding
from serving import run

Result = TypeVar("Result")

PASSWORD = "s3kr3t-marker"
SHARE = SolutionId("8249170987505988"), BusinessId("2991847208473997")


@pytest.fixture(scope="session")
def engine() -> str:
    """All of this file is about one engine."""
    return "postgresql"


def on_database(deployment: Deployment, use: Callable[[PostgresDatabase], Awaitable[Result]]) -> Result:
    async def opened() -> Result:
        database = PostgresDatabase(Postgres(deployment.url))
        try:
            return await use(database)
        finally:
            await database.close()

    return asyncio.run(opened())


@pytest.mark.parametrize(("history", "metadata"), [(FACTS, t.metadata), (TRAIL, t.trail_metadata)], ids=["facts", "trail"])
def test_migrations_make_the_schema(deployment: Deployment, history: History, metadata: sa.MetaData) -> None:
    """What the revisions build on PostgreSQL is what the statements are written against."""
    others = {table.name for table in (*t.metadata.sorted_tables, *t.trail_metadata.sorted_tables)} - set(metadata.tables)

    def differences(connection: sa.Connection) -> list[object]:
        options = {
            "version_table": history.version_table,
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _: kind != "table" or not (name in others or name.startswith("version_")),
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    assert deployment.backend.in_facts(differences) == []


def test_two_migrations_at_once_make_one_database(postgres: PostgresServer) -> None:
    """Attack 41: of processes that create the same tables at the same time, one does and the others find it done."""
    place = Postgres(postgres.new())
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(asyncio.run, migrate(place)) for _ in range(3)]:
            done.result()

    PostgresBackend(place).check_version()


@pytest.mark.parametrize(
    ("version", "fix"),
    [("9999", "use a newer multipartner"), ("0000", "run `multipartner migrate`"), (None, "run `multipartner init`")],
)
@pytest.mark.parametrize("history", ["facts", "trail"])
def test_another_version_stops_the_start(demo: Deployment, history: str, version: str | None, fix: str) -> None:
    """A missing, older or newer schema is told in one line with the fix, by every command, and `migrate` lowers nothing."""
    table = f"version_{history}"
    demo.execute(f"DROP TABLE {table}" if version is None else f"UPDATE {table} SET version_num = '{version}'")  # noqa: S608 - a test's own words

    for check in (demo.backend.check_version, lambda: asyncio.run(demo.backend.open())):
        with pytest.raises(DatabaseVersionError) as caught:
            check()
        assert fix in str(caught.value)
        assert "\n" not in str(caught.value)
    if version != "0000":
        with pytest.raises(DatabaseVersionError):
            asyncio.run(demo.backend.upgrade())


def test_a_waba_of_another_business_cannot_be_shared(demo: Deployment) -> None:
    """Attack 35: a deliberately broken query that forgets the tenant cannot pair a share with somebody else's WABA or grant."""
    for broken in (
        "INSERT INTO share_waba SELECT s.business_id, solution_id, id FROM share s, waba w WHERE s.business_id <> w.business_id",
        "UPDATE share_waba SET waba_id = (SELECT id FROM waba WHERE business_id <> share_waba.business_id LIMIT 1)",
        "UPDATE share_waba SET business_id = (SELECT id FROM business WHERE id <> share_waba.business_id ORDER BY id LIMIT 1)",
        "INSERT INTO app_grant SELECT '869452005598175', s.solution_id, a.id, 'ACTIVE', 'AAAAAAAAAAA', 1 FROM share s, app a",
        "INSERT INTO phone_number SELECT w.id, w.id, b.id, '+1' FROM waba w, business b WHERE b.id <> w.business_id",
    ):

        async def use(database: PostgresDatabase, broken: str = broken) -> None:
            async with database.transaction() as connection:
                await connection.execute(sa.text(broken))

        with pytest.raises(sa.exc.IntegrityError):
            on_database(demo, use)


def test_a_writer_waits_no_longer_than_told(demo: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that another writer holds ends in StorageUnavailable after the lock time-out, and nothing was changed."""
    monkeypatch.setattr("multipartner.storage.postgres.LOCK_S", 0.05)
    before = demo.dump()

    with demo.writing(), pytest.raises(StorageUnavailable, match="lock timeout"):
        demo.operate(lambda o: revoke_share(o.store, ACT, SHARE[1], SHARE[0]))

    assert demo.dump() == before
    assert demo.operate(lambda o: revoke_share(o.store, ACT, SHARE[1], SHARE[0])).changed


def test_a_statement_waits_no_longer_than_told(demo: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that never ends is ended by the server, and the writer says so."""
    monkeypatch.setattr("multipartner.storage.postgres.STATEMENT_S", 0.05)

    async def use(database: PostgresDatabase) -> None:
        async with database.transaction() as connection:
            await connection.execute(sa.text("SELECT pg_sleep(60)"))

    with pytest.raises(StorageUnavailable, match="statement timeout"):
        on_database(demo, use)


def test_a_change_and_its_event_are_one(demo: Deployment) -> None:
    """Attack 77: no change without its event in the trail, and no event without its change, whatever the writer dies of."""
    events = demo.events()

    async def dies(database: PostgresDatabase) -> None:
        async with database.transaction() as connection:
            await connection.execute(sa.update(t.share).values(status="WITHDRAWN"))
            await database.put_events(connection, [Event(EventKind.SHARE_REVOKED, NOW_S, "operator:test")])
            pid = await connection.scalar(sa.text("SELECT pg_backend_pid()"))
            await asyncio.to_thread(execute, demo.url, f"SELECT pg_terminate_backend({pid})")

    with pytest.raises(StorageUnavailable):
        on_database(demo, dies)

    assert demo.events() == events
    assert demo.rows("SELECT DISTINCT status FROM share WHERE business_id = '2991847208473997'") == [("ACTIVE",)]
    assert verify(demo.backend).whole


def test_an_idle_connection_that_died_costs_no_change(demo: Deployment) -> None:
    """A server that was restarted between two changes of one process costs neither of them."""

    async def use(database: PostgresDatabase) -> None:
        for status in ("WITHDRAWN", "ACTIVE"):
            async with database.transaction() as connection:
                await connection.execute(sa.update(t.share).values(status=status))
            name = database_of(demo.url)
            others = (
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"  # noqa: S608 - a test's own words
            )
            await asyncio.to_thread(execute, demo.url, others)

    on_database(demo, use)

    assert demo.rows("SELECT DISTINCT status FROM share") == [("ACTIVE",)]


def test_concurrent_read_then_write_loses_nothing(demo: Deployment) -> None:
    """Writers of several connections that read a number and write it back plus one lose no count."""

    async def use(database: PostgresDatabase) -> None:
        others = [PostgresDatabase(Postgres(demo.url)) for _ in range(3)]

        async def add_one(writer: PostgresDatabase) -> None:
            async with writer.transaction() as connection:
                count = await connection.scalar(sa.select(t.app.c.calls_per_hour).where(t.app.c.id == "5372200989284704"))
                await asyncio.sleep(0)
                await connection.execute(sa.update(t.app).values(calls_per_hour=(count or 0) + 1))

        await asyncio.gather(*(add_one(writer) for writer in (database, *others) * 2))
        for other in others:
            await other.close()

    on_database(demo, use)

    assert demo.rows("SELECT DISTINCT calls_per_hour FROM app") == [(8,)]


def _wrong(deployment: Deployment, kind: str) -> str:
    host = f"?host={deployment.url.partition('host=')[2]}"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    urls = {
        "database": f"postgresql://postgres:{PASSWORD}@/not_there{host}",
        "role": f"postgresql://nobody:{PASSWORD}@/{database_of(deployment.url)}{host}",
        "port": f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/x",
        "host": f"postgresql://postgres:{PASSWORD}@host.invalid/x",
        "certificate": f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/x?sslmode=verify-full&sslrootcert=/not/there.pem",
        "mode": f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/x?sslmode=perhaps",
        "form": f"postgresql://postgres:{PASSWORD}@x@127.0.0.1/x",
        "port form": f"postgresql://postgres:{PASSWORD}@127.0.0.1:{PASSWORD}/x",
        "scheme": f"mysql://postgres:{PASSWORD}@127.0.0.1/x",
        "no name": f"postgresql://postgres:{PASSWORD}@127.0.0.1",
    }
    return urls[kind]


KINDS = ("database", "role", "port", "host", "certificate", "mode", "form", "port form", "scheme", "no name")


@pytest.mark.skipif("MULTIPARTNER_TEST_DATABASE_URL" in os.environ, reason="needs a server behind a socket")
@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_url_is_told_in_one_line_without_its_password(deployment: Deployment, kind: str) -> None:
    """A wrong database, role, host, port, certificate or form of the URL: one line, no password in it."""
    with pytest.raises((StorageUnavailable, SettingsError)) as caught:
        backend_of(load(deployment.places | {"database": _wrong(deployment, kind)})).check_version()

    told = str(caught.value)
    assert PASSWORD not in told
    assert "\n" not in told
    assert len(told) > 20


@pytest.mark.skipif("MULTIPARTNER_TEST_DATABASE_URL" in os.environ, reason="needs a server behind a socket")
def test_a_wrong_url_starts_nothing(deployment: Deployment, tmp_path: Path) -> None:
    """`serve` and `init` with a wrong URL end with one line; no key file and no process is left behind."""
    url = _wrong(deployment, "database")
    key_file = tmp_path / "new.key"

    served = run("serve", **(deployment.environment | {"MULTIPARTNER_DATABASE": url}))
    made = run("init", f"--database={url}", f"--master-key-file={key_file}")

    for ended in (served, made):
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert ended.stderr.count("\n") == 1
        assert 'database "not_there" does not exist' in ended.stderr
        assert PASSWORD not in ended.stderr
    assert not key_file.exists()


def test_a_role_that_may_only_read_cannot_serve(demo: Deployment) -> None:
    """A role without the right to write stops the start, and the line names the table."""
    role = f"reader_of_{database_of(demo.url)}"
    demo.execute(f"CREATE ROLE {role} LOGIN")
    try:
        demo.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        backend = PostgresBackend(Postgres(demo.url.replace("postgres:@", f"{role}@", 1)))
        backend.check_version()
        with pytest.raises(StorageUnavailable, match="may not INSERT in table"):
            backend.check_writable()
    finally:
        demo.execute(f"DROP OWNED BY {role}")
        demo.execute(f"DROP ROLE {role}")


def test_an_interrupted_init_is_not_in_the_way(postgres: PostgresServer, tmp_path: Path) -> None:
    """Tables without a deployment, as an interrupted `init` leaves them, are taken over by the next one; a deployment is not."""
    url = postgres.new()
    asyncio.run(migrate(Postgres(url)))

    first = run("init", f"--database={url}", f"--master-key-file={tmp_path / 'a.key'}")
    second = run("init", f"--database={url}", f"--master-key-file={tmp_path / 'b.key'}")

    assert (first.returncode, second.returncode) == (0, 2), first.stderr
    assert "exists already" in second.stderr
    assert not (tmp_path / "b.key").exists()
    assert fetch(url, "SELECT count(*) FROM deployment") == [(1,)]


def test_old_rows_of_the_feed_are_forgotten(demo: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The feed's table stays bounded: a reader that far behind drops its caches anyway."""
    monkeypatch.setattr("multipartner.storage.postgres_engine._CHANGES_KEPT", 3)

    demo.operate(lambda o: revoke_share(o.store, ACT, SHARE[1], SHARE[0]))

    assert demo.rows("SELECT count(*) FROM change")[0][0] <= 5


def test_readers_and_writers_do_not_wait_for_each_other(demo: Deployment) -> None:
    """What only reads sees one moment and holds up nobody; a writer in the middle of its work holds up no reader."""
    with holding(demo.url, "UPDATE share SET status = 'WITHDRAWN'"):
        assert len(demo.events()) > 0
        assert demo.operate(lambda o: _shares(o.store)) == {"active", "withdrawn"}


async def _shares(store: ChangeStore) -> set[str]:
    async with store.reading() as changes:
        return {share.status.value for share in (await changes.world()).shares}
