"""The write side: transactions that ring the bell, and the outbox that brings their events to the trail."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from multipartner.domain.events import Event
from multipartner.storage import queries
from multipartner.storage.doorbell import Doorbell, bell_path
from multipartner.storage.migrate import check_version, migrate
from multipartner.storage.ports import StorageUnavailable, TrailUnavailable
from multipartner.storage.sqlite_connections import READING, begin_ourselves
from multipartner.storage.tables import change, outbox
from multipartner.storage.trail_file import OutboxRow, TrailFile

_BUSY_S: Final = 5.0
_MOVED_AT_ONCE: Final = 1000
_CHANGES_KEPT: Final = 100_000


class Database:
    """Facts and trail of one deployment, for writing. Made by `open` or `create`; one per process and event loop.

    A transaction's events are durable with it in the outbox. They are moved to the trail right after the commit; if the trail
    cannot take them now the change still stands, and they are moved after the next transaction or by the next `open`.
    """

    def __init__(self, facts_path: Path, trail_path: Path) -> None:
        self.facts_path = facts_path
        self.trail_path = trail_path
        self.outbox_waiting = False
        self._engine = _sqlite_engine(facts_path)
        self._trail = TrailFile(trail_path)
        self._bell: Doorbell | None = None
        self._moving = asyncio.Lock()

    @classmethod
    async def open(cls, facts_path: Path, trail_path: Path) -> "Database":
        """Open existing files and move what waits in the outbox; raises DatabaseVersionError, StorageUnavailable."""
        check_version(facts_path, trail_path)
        database = cls(facts_path, trail_path)
        try:
            await database.move_outbox()
        except BaseException:
            await database.close()
            raise
        return database

    @classmethod
    async def create(cls, facts_path: Path, trail_path: Path) -> "Database":
        """Create the files, or bring them to this program's version; then open them. Raises as `open` does."""
        database = cls(facts_path, trail_path)
        try:
            await migrate(database)
        finally:
            await database.close()
        return await cls.open(facts_path, trail_path)

    async def close(self) -> None:
        """Let go of the files."""
        await self._engine.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Hold the write lock; commit on a clean exit, roll back on an exception.

        Raises StorageUnavailable when the database cannot be written (nothing was changed); IntegrityError passes. Do not nest.
        """
        with _unavailable():
            bell = self._open_bell()
            try:
                async with self._engine.begin() as connection:
                    yield connection
            finally:
                # Also when the commit was interrupted: it may have happened.
                bell.ring()
        await self.move_outbox()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """See one moment of the facts without keeping writers of other processes waiting; raises StorageUnavailable."""
        with _unavailable():
            async with self._engine.connect() as connection:
                await connection.execution_options(**{READING: True})
                async with connection.begin():
                    yield connection

    async def put_events(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
        """See `backend.Database`: they wait in the outbox, durable with the change."""
        if events:
            await connection.execute(sa.insert(outbox), [{"event": msgspec.json.encode(event)} for event in events])

    async def move_outbox(self) -> None:
        """Move waiting events to the trail's chain `changes`, each once.

        If trail or database cannot be written now, `outbox_waiting` is true and the events stay where they are.
        """
        async with self._moving:
            try:
                while await self._move_some():
                    pass
                self.outbox_waiting = False
            except (StorageUnavailable, TrailUnavailable):
                self.outbox_waiting = True

    async def migrate_file(self, path: Path, upgrade: Callable[[sa.Connection], None]) -> None:
        """Run `upgrade` in one transaction on one of the files, foreign keys checked at its end. Raises StorageUnavailable."""
        # Rebuilding a table drops it, and with foreign keys on that would cascade.
        engine = _sqlite_engine(path, foreign_keys=False)
        try:
            with _unavailable():
                async with engine.begin() as connection:
                    await connection.run_sync(upgrade)
                    broken = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).first()
                    if broken is not None:
                        raise StorageUnavailable(f"{path.name}: rows of {broken[0]} refer to rows that do not exist")
        finally:
            await engine.dispose()

    async def _move_some(self) -> bool:
        async with self.reading() as connection:
            waiting = (await connection.execute(queries.OUTBOX, {"most": _MOVED_AT_ONCE})).all()
        if not waiting:
            return False
        rows = [OutboxRow(id_, body) for id_, body in waiting]
        moved = await asyncio.to_thread(self._trail.take, rows)
        with _unavailable():
            async with self._engine.begin() as connection:
                await _forget(connection, moved)
                if len(moved) < len(rows):
                    await _renumber(connection)
        return True

    def _open_bell(self) -> Doorbell:
        try:
            if self._bell is None:
                self._bell = Doorbell(bell_path(self.facts_path))
            self._bell.refresh()
        except OSError as error:
            raise StorageUnavailable(f"the bell cannot be rung: {error.strerror or error}") from error
        return self._bell


async def _forget(connection: AsyncConnection, moved: Sequence[OutboxRow]) -> None:
    """Drop moved events, and of the feed what no reader needs: one that far behind drops its caches anyway."""
    if moved:
        await connection.execute(sa.delete(outbox).where(outbox.c.id.in_([row.id for row in moved])))
    newest = sa.select(sa.func.max(change.c.revision)).scalar_subquery()
    await connection.execute(sa.delete(change).where(change.c.revision <= newest - _CHANGES_KEPT))


async def _renumber(connection: AsyncConnection) -> None:
    """Move the waiting rows out of the way of ids that the trail knows from another life of this database (a restored backup)."""
    offset = secrets.randbits(52)
    await connection.execute(sa.update(outbox).values(id=outbox.c.id + offset))
    await connection.execute(sa.text("UPDATE sqlite_sequence SET seq = seq + :offset WHERE name = 'outbox'"), {"offset": offset})


def _sqlite_engine(path: Path, *, foreign_keys: bool = True) -> AsyncEngine:
    """One connection: writers of this process queue here, fairly, and those of other processes at the file's lock."""
    engine = create_async_engine(
        sa.URL.create("sqlite+aiosqlite", database=str(path)),
        hide_parameters=True,
        pool_size=1,
        max_overflow=0,
        pool_timeout=2 * _BUSY_S,
        connect_args={"timeout": _BUSY_S},
    )

    def connect(dbapi_connection: Any, _record: object) -> None:  # noqa: ANN401 - SQLAlchemy's own type for it
        # The driver's own transactions begin late and read-then-write would lose updates: we begin them ourselves.
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        for pragma in ("journal_mode = WAL", "synchronous = FULL", f"foreign_keys = {int(foreign_keys)}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    sa.event.listen(engine.sync_engine, "connect", connect)
    begin_ourselves(engine.sync_engine)
    return engine


@contextmanager
def _unavailable() -> Iterator[None]:
    """Tell a driver's inability as StorageUnavailable, without statement or parameters in the text."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        raise StorageUnavailable(f"the database cannot be used: {error.orig}") from None
    except sa.exc.TimeoutError:
        raise StorageUnavailable("the database is busy: another transaction of this process did not end") from None
    except sa.exc.DatabaseError as error:
        if type(error) is not sa.exc.DatabaseError:
            raise
        raise StorageUnavailable(f"the database cannot be read: {error.orig}") from None
