"""The read side: what it answers."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from multipartner.domain.model import ALL_PERMISSIONS, MANAGEMENT_ONLY, BusinessId, CredentialId, SolutionStatus, Tenant
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.rows import LimitDefaults
from multipartner.storage.sqlite import SqliteReader

if TYPE_CHECKING:
    from storage.conftest import World
START = 10**12


@pytest.fixture
def reader(world: "World") -> Iterator[SqliteReader]:
    opened = SqliteReader(world.facts)
    assert opened.poll(START) == ()
    yield opened
    opened.close()


def foreign(world: "World", *statements: str) -> None:
    """Write as the sqlite3 shell would: no bell, and foreign keys off as by default. Parameters: the world's ids."""
    with closing(sqlite3.connect(world.facts, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement, world._asdict() | {"facts": "", "trail": ""})


def test_facts_of_a_tenant_are_all_there(world: "World", reader: SqliteReader) -> None:
    """One question answers everything that decides about a tenant, the latest change among it."""
    facts = asyncio.run(reader.facts(world.tenant))

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


def test_wabas_come_in_ascending_text_order(world: "World", reader: SqliteReader) -> None:
    """The same share always lists its WABAs in the same order, or two replicas would sign two tokens."""
    foreign(
        world,
        "INSERT INTO waba VALUES ('9', :customer, ''), ('10', :customer, '')",
        "INSERT INTO share_waba VALUES (:customer, :solution, '9'), (:customer, :solution, '10')",
    )

    share = asyncio.run(reader.facts(world.tenant)).share

    assert share is not None
    assert share.waba_ids == ("10", world.shared_waba, "9")


def test_facts_of_a_stranger_are_empty(world: "World", reader: SqliteReader) -> None:
    """A business that never dealt with the app has no connection, share or grant."""
    facts = asyncio.run(reader.facts(Tenant(world.owner_app, world.solution, BusinessId("999"))))

    assert (facts.connected, facts.share, facts.grant_active) == (False, None, False)
    assert facts.generations.share == facts.generations.grant == ""


def test_an_empty_database_answers_nothing(world: "World", reader: SqliteReader) -> None:
    """Facts without a deployment are not facts."""
    foreign(world, "DELETE FROM deployment")

    with pytest.raises(StorageUnavailable, match="no deployment"):
        asyncio.run(reader.facts(world.tenant))


@pytest.mark.parametrize(
    ("row", "defaults", "expected"),
    [
        ((None, None, 0), LimitDefaults(), (200, 5000)),
        ((None, None, 7), LimitDefaults(), (1400, 5000)),
        ((None, None, 7), LimitDefaults(50, 60), (50, 60)),
        ((10, 20, 7), LimitDefaults(50, 60), (10, 20)),
    ],
)
def test_limits_of_a_caller(
    world: "World", row: tuple[int | None, int | None, int], defaults: LimitDefaults, expected: tuple[int, int]
) -> None:
    """The app's own limit goes before the setting's, and that before 200 for each connected business."""
    with closing(sqlite3.connect(world.facts, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE app SET calls_per_hour = ?, calls_per_business_per_hour = ?, connected_businesses = ? WHERE id = ?",
            (*row, world.owner_app),
        )
    with closing(SqliteReader(world.facts, limits=defaults)) as reader:
        record = asyncio.run(reader.caller(CredentialId(world.credential)))

    assert record is not None
    assert (record.caller.calls_per_hour, record.caller.calls_per_business_per_hour) == expected
    assert record.caller.permissions == ALL_PERMISSIONS


def test_caller_without_app_is_none(world: "World", reader: SqliteReader) -> None:
    """A credential is worth nothing once its app is gone."""
    assert asyncio.run(reader.caller(CredentialId("999"))) is None
    foreign(world, "DELETE FROM app WHERE id = :owner_app")

    assert asyncio.run(reader.caller(CredentialId(world.credential))) is None


def test_ids_are_text(world: "World", reader: SqliteReader) -> None:
    """Attack 1: an id with a leading zero is another id."""
    assert asyncio.run(reader.caller(CredentialId("0" + world.credential))) is None


def test_keys_come_oldest_first(world: "World", reader: SqliteReader) -> None:
    """The last sealed key of a purpose is the one to use; signing keys come in the order in which they sign."""
    foreign(
        world,
        "INSERT INTO sealed_key VALUES ('k0', 'mac', x'00', 999)",
        "INSERT INTO signing_key VALUES ('b', x'01', x'02', 5, 20, NULL), ('a', x'01', x'02', 6, 10, 20)",
        "INSERT INTO resource_server VALUES ('801', 'Server', x'01', 'k1', 1, NULL)",
    )

    assert [key.id for key in asyncio.run(reader.sealed_keys())] == ["k0", "k1"]
    assert [key.kid for key in asyncio.run(reader.signing_keys())] == ["a", "b"]
    server = asyncio.run(reader.resource_server("801"))
    assert server is not None
    assert server.name == "Server"
    assert asyncio.run(reader.resource_server("802")) is None


def test_reading_holds_no_snapshot(world: "World", reader: SqliteReader) -> None:
    """Every read sees the newest commit: no read transaction lingers after the one before."""
    for statement, active in (
        ("UPDATE share SET status = 'WITHDRAWN'", False),
        ("UPDATE share SET status = 'ACTIVE'", True),
    ):
        foreign(world, statement)
        share = asyncio.run(reader.facts(world.tenant)).share
        assert share is not None
        assert share.active is active


def test_the_reader_writes_nothing(reader: SqliteReader) -> None:
    """The corridor's connection cannot change a fact, whatever statement it were made to run."""
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("DELETE FROM share")


def test_a_missing_database_is_unavailable(empty: "World") -> None:
    """A reader of nothing says so."""
    with pytest.raises(StorageUnavailable):
        SqliteReader(empty.facts)
