"""Backups through PostgreSQL's own `pg_dump` and `pg_restore`, of the moment that the manifest tells of.

What makes tables a deployment (the versions of the schema, and the deployment's row) is not restored by `pg_restore`: one later
transaction of ours lays it down, with another generation. A process that dies between the two leaves tables that nobody serves.
"""

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from multipartner.storage import backups
from multipartner.storage.audit import heads_in
from multipartner.storage.backend import Database
from multipartner.storage.backups import Backup, BackupRefused, Taken
from multipartner.storage.migrate import FACTS, TRAIL, History, is_due, judge, upgrade, version_in
from multipartner.storage.postgres import Postgres
from multipartner.storage.postgres_engine import PostgresDatabase, engine_of, in_database, unavailable, writing
from multipartner.storage.tables import change, deployment

_DUMP: Final = backups.PARTS["postgresql"][0]
_HISTORIES: Final = (FACTS, TRAIL)
_LATER: Final = {deployment.name, *(history.version_table for history in _HISTORIES)}
"""Tables whose rows `pg_restore` does not bring."""

_TABLE_DATA: Final = re.compile(r"[0-9]+; [0-9]+ [0-9]+ TABLE DATA (\S+) (\S+) ", re.ASCII)

_OF_LIBPQ: Final = frozenset(
    (
        *("host", "port", "dbname", "user", "passfile", "service", "target_session_attrs", "krbsrvname", "gsslib"),
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslnegotiation", "sslcrl"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version"),
    )
)
"""Parameters of a URL that our driver and libpq understand alike; what else stands there are settings of the session."""

_RELATIONS: Final = sa.text(
    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    r"WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%' AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') "
    "AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"
)
_DISCONNECT: Final = sa.text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND usename = current_user AND application_name LIKE 'multipartner%'"
)
_SERVER: Final = sa.text("SELECT current_setting('server_version_num')::int / 10000")


async def take(place: Postgres, folder: Path) -> Taken:
    """Dump facts and trail as they are at one moment into a folder. Raises StorageUnavailable, DatabaseVersionError."""
    engine = engine_of(place, statement_s=0)
    try:
        with unavailable(place):
            async with engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                async with connection.begin():
                    return await _take(place, connection, folder)
    finally:
        await engine.dispose()


@asynccontextmanager
async def restoring(place: Postgres, backup: Backup, *, replace: bool, keep_trail: bool) -> AsyncIterator[Database]:
    """See `backend.Backend.restoring`."""
    if replace or keep_trail:
        option = "--replace" if replace else "--keep-trail"
        raise BackupRefused(f"{option}: is for files; on PostgreSQL make an empty database, restore into it, and name it then")
    await in_database(place, lambda connection: _check_empty(place, connection, backup))
    tool = await _tool("pg_restore", backup.manifest.tool, "the pg_dump that made the backup")
    await _load(place, tool, backup)
    database = _Renewing(place, backup.manifest.histories)
    try:
        yield database
    except Exception as error:
        if database.is_done:
            raise
        left = "the backup's tables are there, but no deployment: make the database anew, then restore again"
        raise BackupRefused(f"{error}; {left}") from error
    finally:
        await database.close()


class _Renewing(PostgresDatabase):
    """Its one transaction also lays down the versions that were held back, and brings them to this program's."""

    def __init__(self, place: Postgres, histories: Mapping[str, str]) -> None:
        super().__init__(place)
        self._histories = histories
        self.is_done = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """See `backend.Database`."""
        engine = engine_of(self._place, statement_s=0)
        try:
            async with writing(self._place, engine) as connection:
                await connection.run_sync(self._lay_down)
                yield connection
            self.is_done = True
        finally:
            await engine.dispose()

    def _lay_down(self, connection: sa.Connection) -> None:
        for history in _HISTORIES:
            self._lay_down_one(connection, history)
        # Whoever has known other tables under this name drops what it remembers of them, and connects anew: a trail's writer
        # then goes on from the head that was restored.
        connection.execute(_DISCONNECT)
        connection.execute(sa.insert(change), {"kind": "everything", "key1": "", "key2": ""})

    def _lay_down_one(self, connection: sa.Connection, history: History) -> None:
        version = self._histories[history.name]
        insert = sa.text(f"INSERT INTO {history.version_table} (version_num) VALUES (:version)")  # noqa: S608 - our name
        connection.execute(insert, {"version": version})
        if is_due(history, self._place.name, version):
            upgrade(history, connection)


async def _take(place: Postgres, connection: AsyncConnection, folder: Path) -> Taken:
    moment = await connection.scalar(sa.text("SELECT pg_export_snapshot()"))
    server = int(await connection.scalar(_SERVER) or 0)
    versions = await connection.run_sync(lambda at: {history: version_in(history, at) for history in _HISTORIES})
    for history, version in versions.items():
        judge(history, place.name, version)
    generation, sealed = await connection.run_sync(lambda at: backups.keys_in(at, place.name))
    heads = await connection.run_sync(heads_in)
    tool = await _tool("pg_dump", server, "the server")
    backups.new_file(folder / _DUMP).close()
    await _run(
        place,
        [tool, "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={moment}", f"--file={folder / _DUMP}"],
    )
    return Taken(
        engine="postgresql",
        histories={history.name: version or "" for history, version in versions.items()},
        generation=generation,
        sealed=sealed,
        heads=heads,
        server=server,
        tool=await _version_of(tool),
    )


def _check_empty(place: Postgres, connection: sa.Connection, backup: Backup) -> None:
    if connection.scalar(sa.func.pg_is_in_recovery()):
        raise BackupRefused(f"{place.name}: the server is a standby; name the primary")
    server = int(connection.scalar(_SERVER) or 0)
    if server < backup.manifest.server:
        raise BackupRefused(
            f"{place.name}: PostgreSQL {server} cannot take a backup of {backup.manifest.server}; use a newer one"
        )
    if connection.scalar(_RELATIONS):
        raise BackupRefused(f"{place.name}: is not empty; a backup comes into an empty database: make one, and name it")


async def _load(place: Postgres, tool: str, backup: Backup) -> None:
    """Bring everything but the rows of `_LATER`, in one transaction."""
    dump = str(backup.part(_DUMP))
    listed = await _ask([tool, "--list", dump], _environment({}))
    held, lines = 0, []
    for line in listed.splitlines():
        found = _TABLE_DATA.match(line)
        held += (later := found is not None and found[2] in _LATER)
        lines.append(f";{line}" if later else line)
    if held != len(_LATER):
        raise BackupRefused(f"{dump}: is not the dump of one deployment; use another backup")
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="multipartner-", suffix=".list") as chosen:
        chosen.write("\n".join(lines) + "\n")
        chosen.flush()
        options = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", f"--use-list={chosen.name}"]
        await _run(place, [tool, *options], dump)


async def _run(place: Postgres, command: Sequence[str], *more: str) -> None:
    """Run a tool on the database. Raises BackupRefused with the tool's own first complaint."""
    url, environment = for_libpq(place.url)
    try:
        await _ask([*command, f"--dbname={url}", *more], _environment(environment))
    except BackupRefused as error:
        raise BackupRefused(f"{place.name}: {error}") from None


async def _ask(command: Sequence[str], environment: Mapping[str, str]) -> str:
    child = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await child.communicate()
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if child.returncode:
        lines = err.decode("utf-8", "replace").splitlines()
        wrong = [line for line in lines if "error:" in line] or lines
        raise BackupRefused((wrong[0] if wrong else f"{Path(command[0]).name}: ended with {child.returncode}")[:500])
    return out.decode("utf-8", "replace")


async def _tool(name: str, least: int, of_what: str) -> str:
    """Find a tool on the PATH that knows PostgreSQL's version `least`. Raises BackupRefused."""
    path = shutil.which(name)
    if path is None:
        raise BackupRefused(f"{name} is not on the PATH; install PostgreSQL's client programs, version {least} or newer")
    if (version := await _version_of(path)) < least:
        raise BackupRefused(
            f"{path}: version {version}, older than {of_what} ({least}); put {name} {least} or newer first on the PATH"
        )
    return path


async def _version_of(path: str) -> int:
    found = re.search(r"\(PostgreSQL\) ([0-9]+)", await _ask([path, "--version"], _environment({})))
    if found is None:
        raise BackupRefused(f"{path}: does not tell its version")
    return int(found[1])


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """What a child is to know: not our settings, which may hold the password."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("MULTIPARTNER_")}
    return kept | {"LC_ALL": "C", **more}


def for_libpq(url: str) -> tuple[str, dict[str, str]]:
    """Split a URL into one without password, for arguments, and the environment that brings the rest. Raises BackupRefused.

    Everybody can read a process's arguments, nobody else its environment.
    """
    parts = urlsplit(url)
    who, at, hosts = parts.netloc.rpartition("@")
    user, _, password = who.partition(":")
    known: list[tuple[str, str]] = []
    environment, session = {"PGPASSWORD": unquote(password)} if password else {}, []
    for name, value in parse_qsl(parts.query, strict_parsing=bool(parts.query)):
        if name == "password":
            environment.setdefault("PGPASSWORD", value)
        elif name == "sslpassword":
            raise BackupRefused("sslpassword: cannot be handed to PostgreSQL's programs unseen; name an sslkey that needs none")
        elif name == "database" or name in _OF_LIBPQ:
            known.append(("dbname" if name == "database" else name, value))
        elif name == "options":
            session.append(value)
        else:
            escaped = value.replace("\\", "\\\\").replace(" ", "\\ ")
            session.append(f"-c {name}={escaped}")
    if session:
        environment["PGOPTIONS"] = " ".join(session)
    # libpq reads a plus sign as itself.
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in known)
    return f"postgresql://{user}{at}{hosts}{parts.path}{'?' if query else ''}{query}", environment
