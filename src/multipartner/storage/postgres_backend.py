"""A deployment in one PostgreSQL database: facts and trail."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, TypeVar

import sqlalchemy as sa

from multipartner.storage import postgres_backup, postgres_engine
from multipartner.storage.backend import Database
from multipartner.storage.backups import Backup, Taken
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.postgres import Postgres
from multipartner.storage.postgres_engine import PostgresDatabase
from multipartner.storage.postgres_reader import PostgresReader
from multipartner.storage.postgres_trail import PostgresTrail
from multipartner.storage.rows import LimitDefaults
from multipartner.storage.tables import deployment, metadata, trail_metadata

_WRITES: Final = ("INSERT", "UPDATE", "DELETE")

Result = TypeVar("Result")


class PostgresBackend:
    """See `backend.Backend`. `readers`: connections of one serving process that read facts, at most."""

    def __init__(self, place: Postgres, readers: int = 8) -> None:
        self.place = place
        self._readers = readers

    @property
    def name(self) -> str:
        """Host and database."""
        return self.place.name

    @property
    def trail_name(self) -> str:
        """The trail lies in the same database."""
        return self.place.name

    def check_version(self) -> None:
        """See the port."""
        asyncio.run(postgres_engine.check(self.place))

    def check_writable(self) -> None:
        """See the port: the server is the primary, and the role may write every table."""
        asyncio.run(postgres_engine.in_database(self.place, self._check_writable))

    def exists(self) -> bool:
        """See the port. Tables without a deployment are what an interrupted `init` leaves: not in the way of the next."""

        def found(connection: sa.Connection) -> bool:
            inspector = sa.inspect(connection)
            return inspector.has_table(deployment.name) and connection.scalar(sa.select(deployment.c.id)) is not None

        return bool(asyncio.run(postgres_engine.in_database(self.place, found)))

    async def open(self) -> PostgresDatabase:
        """See the port."""
        await postgres_engine.check(self.place)
        return PostgresDatabase(self.place)

    async def create(self) -> PostgresDatabase:
        """See the port."""
        await postgres_engine.migrate(self.place)
        return PostgresDatabase(self.place)

    async def upgrade(self) -> None:
        """See the port."""
        await postgres_engine.migrate(self.place, only_upgrade=True)

    def reader(self, limits: LimitDefaults, *, stale_for_s: float, boot_ns: Callable[[], int]) -> PostgresReader:
        """See the port."""
        return PostgresReader(self.place, limits=limits, stale_for_s=stale_for_s, boot_ns=boot_ns, connections=self._readers)

    def trail(self, *, explain_kept: int) -> PostgresTrail:
        """See the port."""
        return PostgresTrail(self.place, explain_kept=explain_kept)

    def in_facts(self, ask: Callable[[sa.Connection], Result]) -> Result:
        """See the port."""
        result: Result = asyncio.run(postgres_engine.in_database(self.place, ask))
        return result

    def in_trail(self, ask: Callable[[sa.Connection], Result], *, write: bool = False) -> Result:
        """See the port."""
        result: Result = asyncio.run(postgres_engine.in_database(self.place, ask, write=write))
        return result

    def take_backup(self, folder: Path) -> Taken:
        """See the port: `pg_dump` does it."""
        return asyncio.run(postgres_backup.take(self.place, folder))

    def restoring(self, backup: Backup, *, aside: str, keep_trail: bool) -> AbstractAsyncContextManager[Database]:
        """See the port: `pg_restore` does it. Neither can be moved aside or kept: facts and trail are one database."""
        return postgres_backup.restoring(self.place, backup, replace=bool(aside), keep_trail=keep_trail)

    def tidy(self) -> None:
        """See the port: nothing; a copy is made by the server's own tools."""

    def _check_writable(self, connection: sa.Connection) -> None:
        if connection.scalar(sa.func.pg_is_in_recovery()):
            raise StorageUnavailable(
                f"{self.name}: the server is a standby; name the primary, or all hosts and target_session_attrs=read-write"
            )
        tables = (*metadata.sorted_tables, *trail_metadata.sorted_tables)
        asked = [(table.name, verb) for table in tables for verb in _WRITES]
        granted = connection.execute(sa.select(*(sa.func.has_table_privilege(*one) for one in asked))).one()
        for (table, verb), may in zip(asked, granted, strict=True):
            if not may:
                raise StorageUnavailable(f"{self.name}: the role may not {verb} in table {table}; grant it")
