"""The read side: what it answers, on both engines."""

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from multipartner.domain.model import ALL_PERMISSIONS, MANAGEMENT_ONLY, BusinessId, CredentialId, SolutionStatus, Tenant
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.rows import LimitDefaults
from multipartner.storage.sqlite import SqliteReader
from storage.engines import on_reader

if TYPE_CHECKING:
    from storage.conftest import World
    from storage.engines import Engine


def test_facts_of_a_tenant_are_all_there(engine: "Engine") -> None:
    """One question answers everything that decides about a tenant, the latest change among it."""
    world = engine.world
    facts = on_reader(engine, lambda reader: reader.facts(world.tenant))

    assert facts.tenant == world.tenant
    assert not facts.app_suspended
    assert facts.solution is not None
    assert facts.solution.status is SolutionStatus.ACTIVE
    assert facts.solution.permissions_of(world.owner_app) == ALL_PERMISSIONS
    assert facts.solution.permissions_of(world.partner_app) == MANAGEMENT_ONLY
    assert facts.connected
    assert facts.share is not None
    assert facts.share.active
    assert facts.share.permissions == MANAGEMENT_ONLY
    assert facts.share.waba_ids == (world.shared_waba,)
    assert facts.grant_active
    assert facts.changed_at_s == 1500


def test_wabas_come_in_ascending_text_order(engine: "Engine") -> None:
    """The same share always lists its WABAs in the same order, or two replicas would sign two tokens."""

    async def use(reader: Any) -> Any:
        await engine.write(
            "INSERT INTO waba VALUES ('9', :customer, ''), ('10', :customer, '')",
            "INSERT INTO share_waba VALUES (:customer, :solution, '9'), (:customer, :solution, '10')",
        )
        return (await reader.facts(engine.world.tenant)).share

    assert on_reader(engine, use).waba_ids == ("10", engine.world.shared_waba, "9")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE solution SET status = 'DEACTIVATED', generation = 'another', changed_at_s = 9000",
        "UPDATE app SET status = 'SUSPENDED', generation = 'another', changed_at_s = 9000",
        "UPDATE deployment SET generation = 'another', changed_at_s = 9000",
        "UPDATE share SET generation = 'another', changed_at_s = 9000",
    ],
    ids=["solution", "app", "deployment", "share"],
)
def test_facts_are_of_one_moment_before_the_change_is_told(engine: "Engine", statement: str) -> None:
    """What customers have in common is never older than what is their own, although the feed was not asked in between."""
    world = engine.world

    async def use(reader: Any) -> Any:
        before = await reader.facts(world.tenant)
        await engine.write(
            statement, "INSERT INTO waba VALUES ('9', :customer, '')", "INSERT INTO share_waba VALUES (:customer, :solution, '9')"
        )
        return before, await reader.facts(world.tenant), await reader.facts(world.tenant)

    before, after, again = on_reader(engine, use)

    assert after == again
    assert "9" in after.share.waba_ids
    assert after.changed_at_s == 9000
    assert "another" in msgspec.structs.astuple(after.generations)
    assert "another" not in msgspec.structs.astuple(before.generations)


def test_what_customers_have_in_common_is_read_once(world: "World") -> None:
    """On SQLite the next customer of an app and a solution costs no look at either, until anything changes."""
    statements: list[str] = []

    async def use(reader: SqliteReader) -> None:
        await reader.facts(world.tenant)
        reader._connection.set_trace_callback(statements.append)
        await reader.facts(Tenant(world.owner_app, world.solution, BusinessId("999")))
        await reader.facts(msgspec.structs.replace(world.tenant, app_id=world.partner_app))
        await reader.close()

    asyncio.run(use(SqliteReader(world.facts)))

    assert ["JOIN solution" in statement for statement in statements] == [False, True]


def test_facts_of_a_stranger_are_empty(engine: "Engine") -> None:
    """A business that never dealt with the app has no connection, share or grant."""
    world = engine.world
    facts = on_reader(engine, lambda reader: reader.facts(Tenant(world.owner_app, world.solution, BusinessId("999"))))

    assert (facts.connected, facts.share, facts.grant_active) == (False, None, False)
    assert facts.generations.share == facts.generations.grant == ""


def test_an_empty_database_answers_nothing(engine: "Engine") -> None:
    """Facts without a deployment are not facts."""

    async def use(reader: Any) -> None:
        await engine.write("DELETE FROM deployment")
        with pytest.raises(StorageUnavailable, match="no deployment"):
            await reader.facts(engine.world.tenant)

    on_reader(engine, use)


@pytest.mark.parametrize(
    ("row", "defaults", "expected"),
    [
        (("NULL", "NULL", 0), LimitDefaults(), (200, 5000)),
        (("NULL", "NULL", 7), LimitDefaults(), (1400, 5000)),
        (("NULL", "NULL", 7), LimitDefaults(50, 60), (50, 60)),
        ((10, 20, 7), LimitDefaults(50, 60), (10, 20)),
    ],
)
def test_limits_of_a_caller(
    engine: "Engine", row: tuple[object, ...], defaults: LimitDefaults, expected: tuple[int, int]
) -> None:
    """The app's own limit goes before the setting's, and that before 200 for each connected business."""
    columns = zip(("calls_per_hour", "calls_per_business_per_hour", "connected_businesses"), row, strict=True)

    async def use(reader: Any) -> Any:
        assignments = ", ".join(f"{column} = {value}" for column, value in columns)
        await engine.write(f"UPDATE app SET {assignments} WHERE id = :owner_app")  # noqa: S608 - a test's own words
        return await reader.caller(CredentialId(engine.world.credential))

    record = on_reader(engine, use, limits=defaults)

    assert (record.caller.calls_per_hour, record.caller.calls_per_business_per_hour) == expected
    assert record.caller.permissions == ALL_PERMISSIONS


def test_caller_without_app_is_none(engine: "Engine") -> None:
    """A credential is worth nothing once its app is gone."""

    async def use(reader: Any) -> None:
        assert await reader.caller(CredentialId("999")) is None
        assert await reader.caller(CredentialId(engine.world.credential)) is not None
        await engine.write("DELETE FROM app WHERE id = :owner_app", unchecked=True)
        assert await reader.caller(CredentialId(engine.world.credential)) is None

    on_reader(engine, use)


def test_ids_are_text(engine: "Engine") -> None:
    """Attack 1: an id with a leading zero is another id."""
    assert on_reader(engine, lambda reader: reader.caller(CredentialId("0" + engine.world.credential))) is None


def test_keys_come_oldest_first(engine: "Engine") -> None:
    """The last sealed key of a purpose is the one to use; signing keys come in the order in which they sign."""

    async def use(reader: Any) -> tuple[Any, ...]:
        await engine.write(
            "INSERT INTO sealed_key VALUES ('k0', 'mac', h'00', 999)",
            "INSERT INTO signing_key VALUES ('b', h'01', h'02', 5, 20, NULL), ('a', h'01', h'02', 6, 10, 20)",
            "INSERT INTO resource_server VALUES ('801', 'Server', h'01', 'k1', 1, NULL)",
        )
        servers = [await reader.resource_server(id_) for id_ in ("801", "802")]
        return await reader.sealed_keys(), await reader.signing_keys(), *servers

    sealed, signing, server, nobody = on_reader(engine, use)

    assert [key.id for key in sealed] == ["k0", "k1"]
    assert [key.kid for key in signing] == ["a", "b"]
    assert (signing[0].public_key, signing[0].retired_at_s) == (b"\x01", 20)
    assert (server.name, server.mac) == ("Server", b"\x01")
    assert nobody is None


def test_reading_holds_no_snapshot(engine: "Engine") -> None:
    """Every read sees the newest commit: no read transaction lingers after the one before."""

    async def use(reader: Any) -> None:
        for statement, active in (
            ("UPDATE share SET status = 'WITHDRAWN'", False),
            ("UPDATE share SET status = 'ACTIVE'", True),
        ):
            await engine.write(statement)
            assert (await reader.facts(engine.world.tenant)).share.active is active

    on_reader(engine, use)


def test_the_sqlite_reader_writes_nothing(world: "World") -> None:
    """The corridor's connection cannot change a fact, whatever statement it were made to run."""
    reader = SqliteReader(world.facts)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("DELETE FROM share")
    asyncio.run(reader.close())


def test_a_missing_database_is_unavailable(empty: "World") -> None:
    """A reader of nothing says so."""
    with pytest.raises(StorageUnavailable):
        SqliteReader(empty.facts)
