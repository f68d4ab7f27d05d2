"""The write side on PostgreSQL: transactions that hold the writers' lock, with their trail events in them; and migrations."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from multipartner.domain.events import Event
from multipartner.storage import chain
from multipartner.storage.migrate import FACTS, TRAIL, is_due, judge, upgrade, version_in
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.postgres import MIGRATION_LOCK, STATEMENT_S, WRITERS_LOCK, Postgres, reason
from multipartner.storage.tables import change

_CHANGES_KEPT: Final = 100_000
_PRUNED_EVERY: Final = 1_000
_OF_THE_MOMENT: Final = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

# A word of PostgreSQL 16 that SQLAlchemy does not know yet; it is the name of a table of ours.
RESERVED_WORDS.add("system_user")


class PostgresDatabase:
    """Facts and trail of one deployment, for writing: `backend.Database`. One per process and event loop."""

    def __init__(self, place: Postgres) -> None:
        self._place = place
        self._engine = engine_of(place)
        self._until_pruning = 0

    async def close(self) -> None:
        """Let go of the connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """See `backend.Database`. The lock is taken before anything is read: so revisions are committed in their order."""
        async with writing(self._place, self._engine) as connection:
            yield connection
            await self._forget_some(connection)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """See `backend.Database`."""
        with unavailable(self._place):
            async with self._engine.connect() as connection:
                await connection.execution_options(**_OF_THE_MOMENT)
                async with connection.begin():
                    yield connection

    async def put_events(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
        """See `backend.Database`: they are appended to the shared chain in the same transaction."""
        if events:
            await connection.run_sync(chain.append_events, events)

    async def _forget_some(self, connection: AsyncConnection) -> None:
        """Now and then drop of the feed what no reader needs: one that far behind drops its caches anyway."""
        self._until_pruning -= 1
        if self._until_pruning < 0:
            self._until_pruning = _PRUNED_EVERY
            newest = sa.select(sa.func.max(change.c.revision)).scalar_subquery()
            await connection.execute(sa.delete(change).where(change.c.revision <= newest - _CHANGES_KEPT))


def engine_of(place: Postgres, *, statement_s: float | None = None) -> AsyncEngine:
    """One connection: writers of this process queue here, those of others at the lock. Nothing is connected yet."""
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: place.connect(application="multipartner writer", statement_s=statement_s),
        hide_parameters=True,
        pool_size=1,
        max_overflow=0,
        pool_timeout=2 * STATEMENT_S,
        # A connection that died while it lay idle is found out before it is used: a change is never tried twice.
        pool_pre_ping=True,
    )


@asynccontextmanager
async def writing(place: Postgres, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that holds the writers' lock. Raises StorageUnavailable, and says so if a commit's end is not known."""
    with unavailable(place):
        async with engine.connect() as connection:
            transaction = await connection.begin()
            try:
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(WRITERS_LOCK)))
                yield connection
            except BaseException:
                await transaction.rollback()
                raise
            with unavailable(place, "the connection was lost while committing; look whether the change was made"):
                await transaction.commit()


async def check(place: Postgres) -> None:
    """Return if facts and trail are at the version this program knows. Raises DatabaseVersionError, StorageUnavailable."""

    def judged(connection: sa.Connection) -> None:
        for history in (FACTS, TRAIL):
            judge(history, place.name, version_in(history, connection))

    await in_database(place, judged)


async def migrate(place: Postgres, *, only_upgrade: bool = False) -> None:
    """Make or upgrade the tables, in one transaction and under a lock: of two at once, the second finds it done.

    Raises DatabaseVersionError when the database is newer than this program (or, with `only_upgrade`, when there is nothing to
    upgrade), StorageUnavailable.
    """

    def migrated(connection: sa.Connection) -> None:
        # The second lock too: whoever writes meanwhile would do so by the old tables.
        for lock in (MIGRATION_LOCK, WRITERS_LOCK):
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))
        for history in (FACTS, TRAIL):
            version = version_in(history, connection)
            if version is None and only_upgrade:
                judge(history, place.name, version)
            if is_due(history, place.name, version):
                upgrade(history, connection)

    with unavailable(place):
        # Without a time-out for statements: a migration of many rows takes as long as it takes. That for locks stays.
        engine = engine_of(place, statement_s=0)
        try:
            async with engine.begin() as connection:
                await connection.run_sync(migrated)
        finally:
            await engine.dispose()


async def in_database(place: Postgres, ask: Callable[[sa.Connection], Any], *, write: bool = False) -> Any:  # noqa: ANN401 - what `ask` returns
    """Run something on a connection of its own; reading, on one moment. Raises StorageUnavailable."""
    engine = engine_of(place, statement_s=0)
    try:
        with unavailable(place):
            async with engine.connect() as connection:
                if write:
                    return await connection.run_sync(ask)
                await connection.execution_options(**_OF_THE_MOMENT)
                async with connection.begin():
                    return await connection.run_sync(ask)
    finally:
        await engine.dispose()


@contextmanager
def unavailable(place: Postgres, unknown: str = "") -> Iterator[None]:
    """Tell a driver's or server's inability as StorageUnavailable, without statement or parameters. Broken constraints pass.

    `unknown` is told instead of a lost connection's own text.
    """
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except sa.exc.DBAPIError as error:
        driver = error.orig.__cause__ if error.orig is not None else None
        text = unknown if unknown and error.connection_invalidated else reason(driver or error)
        raise StorageUnavailable(f"{place.name}: {text}") from None
    except sa.exc.TimeoutError:
        raise StorageUnavailable(f"{place.name}: another transaction of this process did not end") from None
    except (OSError, TimeoutError) as error:
        raise StorageUnavailable(f"{place.name}: {unknown or reason(error)}") from None
