"""Where one deployment's facts and trail lie, on whatever engine: what wiring and the operators' verbs hold on to."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import sqlalchemy as sa

from multipartner.domain.events import Event
from multipartner.storage.compiled import Question
from multipartner.storage.ports import Reader, Trail
from multipartner.storage.rows import LimitDefaults

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from multipartner.storage.backups import Backup, Taken

Result = TypeVar("Result")


class Database(Protocol):
    """Facts of one deployment, open for writing. One per process and event loop."""

    def transaction(self) -> "AbstractAsyncContextManager[AsyncConnection]":
        """Hold the write lock; commit on a clean exit, roll back on an exception.

        Raises StorageUnavailable; then nothing was changed, or the text says that this is not known. IntegrityError passes.
        """
        ...

    def reading(self) -> "AbstractAsyncContextManager[AsyncConnection]":
        """See one moment of the facts without keeping writers waiting; raises StorageUnavailable."""
        ...

    async def put_events(self, connection: "AsyncConnection", events: Sequence[Event]) -> None:
        """Put trail events into the transaction of the changes that they tell of."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class ServingReader(Reader, Protocol):
    """The read side of one serving process."""

    async def open(self) -> None:
        """Begin, in the process and event loop that serve. Raises StorageUnavailable."""
        ...

    async def close(self) -> None:
        """Let go of everything; does not raise."""
        ...

    def lag_s(self, boot_ns: int) -> float:
        """How long ago the feed was confirmed, in seconds; infinite before the first time."""
        ...

    async def confirmation(self) -> None:
        """Wait until `poll` tells of everything that was committed before this call. Raises StorageUnavailable."""
        ...

    async def ask(self, question: Question, values: Mapping[str, str | int]) -> Sequence[tuple[Any, ...]]:
        """All rows that one statement finds, of one moment. Raises StorageUnavailable."""
        ...

    def take_lags_s(self) -> Sequence[float]:
        """Seconds from hearing of changes to being ready to obey them, since the last call; none where that is no question."""
        ...


class ServingTrail(Trail, Protocol):
    """The trail of one serving process."""

    @property
    def dropped(self) -> int:
        """Refusals that were not kept."""
        ...

    @property
    def refusals_waiting(self) -> int:
        """Refusals that are not stored yet."""
        ...

    def is_writable(self) -> bool:
        """Tell, without waiting, whether an event would have a chance."""
        ...

    async def open(self, at_s: int) -> None:
        """Begin a chain; `at_s` is Unix seconds. Raises TrailUnavailable."""
        ...

    async def close(self, at_s: int) -> None:
        """Write what waits and say where the chain ends; never raises."""
        ...


class Backend(Protocol):
    """One deployment's place. Making one opens nothing."""

    @property
    def name(self) -> str:
        """The place of the facts as people know it; never a password."""
        ...

    @property
    def trail_name(self) -> str:
        """The place of the trail as people know it."""
        ...

    def check_version(self) -> None:
        """Return if facts and trail are at the version this program knows; writes nothing. Not for a running event loop.

        Raises DatabaseVersionError otherwise, StorageUnavailable when they cannot be read now.
        """
        ...

    def check_writable(self) -> None:
        """Return if this process may write both; writes nothing. Raises StorageUnavailable. Not for a running event loop."""
        ...

    def exists(self) -> bool:
        """Tell whether there is something already where a new deployment would go. Not for a running event loop."""
        ...

    async def open(self) -> Database:
        """Open what is there. Raises DatabaseVersionError, StorageUnavailable."""
        ...

    async def create(self) -> Database:
        """Make the tables, or bring them to this program's version under a lock; then open. Raises as `open` does."""
        ...

    async def upgrade(self) -> None:
        """Bring what is there to this program's version under a lock. Raises as `open` does, also when there is nothing."""
        ...

    def reader(self, limits: LimitDefaults, *, stale_for_s: float, boot_ns: Callable[[], int]) -> ServingReader:
        """Make the read side of one process; `boot_ns` reads the clock of requests. Raises StorageUnavailable."""
        ...

    def trail(self, *, explain_kept: int) -> ServingTrail:
        """Make the trail of one process."""
        ...

    def in_facts(self, ask: Callable[[sa.Connection], Result]) -> Result:
        """Run a question on one moment of the facts, read-only; raises StorageUnavailable. Not for a running event loop."""
        ...

    def in_trail(self, ask: Callable[[sa.Connection], Result], *, write: bool = False) -> Result:
        """Run something on the trail; raises StorageUnavailable. Not for a running event loop.

        Read-only it is one moment. With `write` no transaction is open: `chain.locked` begins one.
        """
        ...

    def take_backup(self, folder: Path) -> "Taken":
        """Copy facts and trail, as they are at one moment, into an empty folder; who serves or changes goes on meanwhile.

        Raises StorageUnavailable. Not for a running event loop.
        """
        ...

    def restoring(self, backup: "Backup", *, aside: str, keep_trail: bool) -> AbstractAsyncContextManager[Database]:
        """Bring a backup to where nothing is, so that nobody can serve from it before the block has ended well.

        In the block one transaction must make it a deployment of its own: with another generation. With `aside`, what is there
        now is moved away at the end: its names end so from then on. `keep_trail`: only facts come back, and the trail that is
        there goes on. Raises BackupRefused and StorageUnavailable; then what was there still is, or the text says what is left.
        """
        ...

    def tidy(self) -> None:
        """Do what makes a copy taken after a stop complete; never raises."""
        ...
