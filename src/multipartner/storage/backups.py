"""A backup on disk: a folder of parts and the manifest that makes it one, written last."""

import base64
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import sqlalchemy as sa

from multipartner.domain.events import EventKind
from multipartner.storage.audit import AnchorHead
from multipartner.storage.chain import CHANGES, read_line
from multipartner.storage.migrate import FACTS, TRAIL, DatabaseVersionError
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.tables import deployment, sealed_key, signing_key, trail_event
from multipartner.storage.trail_reading import line_of

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
PARTS: Final[Mapping[str, tuple[str, ...]]] = {"sqlite": ("facts.db", "trail.db"), "postgresql": ("database.dump",)}
"""The files of a backup, by engine: no other name is ever opened, whatever a manifest says."""

_MAX_MANIFEST_BYTES: Final = 64 * 2**20  # a chain is named in 150 bytes, and each start of a worker makes one
_CHUNK_BYTES: Final = 2**20
_NOT_TOLD: Final = {EventKind.WRITER_OPENED.value, EventKind.WRITER_CLOSED.value, EventKind.TRAIL_PRUNED.value}
_VERSION: Final = re.compile(r"[0-9]{4}", re.ASCII)


class BackupRefused(StorageUnavailable):
    """A backup cannot be taken or put back so; the text is one line. Nothing was changed, or the text says what is left."""


class Part(msgspec.Struct, frozen=True):
    """One file of a backup: its size, and its SHA-256 in hex."""

    bytes: int
    sha256: str


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What the parts of a backup hold, all of one moment.

    `histories`: schema versions by history. `sealed`: every sealed key, base64, by the row it lies in (`table/id`). `heads`: the
    last link of each chain of the trail, as an anchor. `server`, `tool`: major versions of PostgreSQL and of `pg_dump`, or 0.
    """

    engine: str
    histories: dict[str, str]
    generation: str
    sealed: dict[str, str]
    heads: dict[str, AnchorHead]
    server: int = 0
    tool: int = 0


class Manifest(Taken, frozen=True, kw_only=True):
    """What a backup says of itself. `made_at_s` is Unix seconds; `program` is the version that made it."""

    format: int
    program: str
    made_at_s: int
    parts: dict[str, Part]

    @property
    def changes(self) -> AnchorHead:
        """The last change that the backup knows."""
        return self.heads.get(CHANGES, AnchorHead(0, ""))

    @property
    def heads_sha256(self) -> str:
        """SHA-256 of all heads, in hex: one chain a line, `chain seq hash`, sorted."""
        lines = (f"{chain} {head.seq} {head.hash}\n" for chain, head in sorted(self.heads.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


class _Format(msgspec.Struct, frozen=True):
    format: int


class Backup(msgspec.Struct, frozen=True):
    """A finished backup."""

    folder: Path
    manifest: Manifest

    def part(self, name: str) -> Path:
        """Where a part lies."""
        return self.folder / name

    def check(self) -> None:
        """Read every part, and compare it with the manifest. Raises BackupRefused."""
        for name in self.manifest.parts:
            self.copy_part(name, lambda _chunk: None)

    def copy_part(self, name: str, write: Callable[[bytes], object]) -> None:
        """Give a part to `write`, piece by piece; raises BackupRefused when in the end it is not what the manifest says."""
        known, path, hashed, size = self.manifest.parts[name], self.part(name), hashlib.sha256(), 0
        with _plain_file(path) as file:
            while chunk := file.read(_CHUNK_BYTES):
                hashed.update(chunk)
                size += len(chunk)
                write(chunk)
        if size != known.bytes:
            raise BackupRefused(f"{path}: has {size} bytes instead of {known.bytes}: the backup is damaged, use another")
        if hashed.hexdigest() != known.sha256:
            raise BackupRefused(f"{path}: its SHA-256 is not the manifest's: the backup is damaged, use another")


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make the folder (0700) that a backup comes into, and take it back if what is done meanwhile fails. Raises BackupRefused."""
    try:
        folder.mkdir(0o700)
    except FileExistsError:
        raise BackupRefused(f"{folder}: exists already; a backup is a new folder, name another") from None
    except OSError as error:
        raise BackupRefused(f"{folder}: cannot be made: {error.strerror}") from None
    try:
        folder.chmod(0o700)
        yield
    except BaseException:
        with suppress(OSError):
            for name in (*sum(PARTS.values(), ()), MANIFEST):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
        raise


def new_file(path: Path) -> BinaryIO:
    """Open a new file (0600) for writing; raises OSError, also when there is something at the path."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o600)
    return open(descriptor, "wb")  # noqa: PTH123 - a descriptor is no path


def finish(folder: Path, taken: Taken, *, program: str, made_at_s: int) -> Manifest:
    """Make the parts in a folder a backup: durably, the manifest last. Raises OSError."""
    manifest = Manifest(
        **msgspec.structs.asdict(taken),
        format=FORMAT,
        program=program,
        made_at_s=made_at_s,
        parts={name: _measure(folder / name) for name in PARTS[taken.engine]},
    )
    with new_file(folder / MANIFEST) as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    for made in (folder, folder.absolute().parent):
        sync_folder(made)
    return manifest


def sync_folder(folder: Path) -> None:
    """Make names in a folder outlast a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(folder: Path) -> Backup:
    """Read a backup's manifest, not yet its parts. Raises BackupRefused, and DatabaseVersionError for what is too new."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise BackupRefused(f"{folder}: there is no such folder; name one that `multipartner backup` made")
    if not path.exists():
        raise BackupRefused(f"{folder}: holds no {MANIFEST}: no backup, or one that was interrupted; use another")
    with _plain_file(path) as file:
        data = file.read(_MAX_MANIFEST_BYTES)
    try:
        if (found := msgspec.json.decode(data, type=_Format).format) > FORMAT:
            raise DatabaseVersionError(f"{path}: format {found}, newer than {FORMAT}; use a newer multipartner")
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BackupRefused(f"{path}: cannot be read: the backup is damaged, use another") from None
    if tuple(manifest.parts) != PARTS.get(manifest.engine):
        raise BackupRefused(f"{path}: names other parts than a backup has: it is damaged, use another")
    _judge(path, manifest)
    return Backup(folder, manifest)


def sealed_rows(manifest: Manifest) -> Iterator[tuple[bytes, str, str]]:
    """Every sealed key of a backup: sealed value, table, id. Raises BackupRefused when there is none, or no such thing."""
    if not manifest.sealed:
        raise BackupRefused("the backup holds no keys: it is no deployment's")
    for row, text in manifest.sealed.items():
        table, _, row_id = row.partition("/")
        try:
            yield base64.b64decode(text, validate=True), table, row_id
        except ValueError:
            raise BackupRefused("the manifest's keys cannot be read: the backup is damaged, use another") from None


def keys_in(connection: sa.Connection, place: str) -> tuple[str, dict[str, str]]:
    """Read the deployment's generation, and its sealed keys as `Taken` has them. Raises BackupRefused."""
    generation = connection.scalar(sa.select(deployment.c.generation))
    if generation is None:
        raise BackupRefused(f"{place}: has no deployment; run `multipartner init`")
    rows = [
        (table.name, *row)
        for table, key, value in (
            (sealed_key, sealed_key.c.id, sealed_key.c.sealed),
            (signing_key, signing_key.c.kid, signing_key.c.private_sealed),
        )
        for row in connection.execute(sa.select(key, value).order_by(key))
    ]
    return generation, {f"{table}/{row_id}": base64.b64encode(value).decode() for table, row_id, value in rows}


def knows(connection: sa.Connection, head: AnchorHead) -> bool:
    """Tell whether a trail goes on from this change: it is the one the backup was taken of, later."""
    c = trail_event.c
    found = connection.scalar(sa.select(c.hash).where(c.chain == CHANGES, c.seq == head.seq))
    return found is not None and bytes(found).hex() == head.hash


def changed_since(connection: sa.Connection, head: AnchorHead) -> list[str]:
    """Return what was changed after this change, oldest first, as `audit export` writes it; nothing of another's trail."""
    if not knows(connection, head):
        return []
    c = trail_event.c
    rows = connection.execute(sa.select(c.seq, c.body).where(c.chain == CHANGES, c.seq > head.seq).order_by(c.seq))
    lines = ((line_of(CHANGES, seq, body), read_line(body)) for seq, body in rows)
    return [text for text, line in lines if line is None or line.kind not in _NOT_TOLD]


def _judge(path: Path, manifest: Manifest) -> None:
    for history in (FACTS, TRAIL):
        version = manifest.histories.get(history.name, "")
        if _VERSION.fullmatch(version) is None:
            raise BackupRefused(f"{path}: tells no version of the {history.name}: the backup is damaged, use another")
        if version > history.head:
            raise DatabaseVersionError(
                f"{path}: {history.name} of version {version}, newer than {history.head}; use a newer multipartner"
            )


def _measure(path: Path) -> Part:
    size, hashed = 0, hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hashed.update(chunk)
            size += len(chunk)
        os.fsync(file.fileno())
    return Part(size, hashed.hexdigest())


@contextmanager
def _plain_file(path: Path) -> Iterator[BinaryIO]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise BackupRefused(f"{path}: cannot be read: {error.strerror}") from None
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor is no path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BackupRefused(f"{path}: is no plain file; use another backup")
        yield file
