"""The feed's triggers: whoever changes a fact, through us or not, leaves a row in `change`.

`system_user`, `business`, `waba` and `phone_number` have none: no cached answer holds a column of theirs. What they decide
(which WABA may be shared, whose credential it is) is decided by foreign keys when a row that has a trigger is written.
`migration_intent` neither: what an answer changes is the shares, and they are fed.
`sealed_key` has none either: a key is written before the first row that names it, and whoever meets an unknown id reads again.

The PostgreSQL half has the same kinds and keys, one function per table, and wakes listeners with `pg_notify`. There a statement
first takes the lock that our own writers hold: revisions become visible in their order, or a reader would step over one that is
committed late, and of two foreign writers none waits for the other while it holds rows that the other wants. Emptying a table
(`TRUNCATE`) touches no rows, so it is told as everything.
"""

from collections.abc import Iterator
from typing import Final

import msgspec
import sqlalchemy as sa

CHANNEL: Final = "multipartner_change"
"""PostgreSQL: the channel that is notified at commit."""

_APP_COLUMNS: Final = (
    "id",
    "status",
    "proof_required",
    "secret_sealed",
    "calls_per_hour",
    "calls_per_business_per_hour",
    "generation",
    "changed_at_s",
)
"""What of an app decides something; `connected_businesses` moves with every connection, which has a row of its own."""


class Fed(msgspec.Struct, frozen=True):
    """One table's part in the feed: the kind its changes have, its key columns, and the columns that matter (none: all)."""

    table: str
    kind: str
    keys: tuple[str, ...]
    columns: tuple[str, ...] = ()


FED: Final = (
    Fed("deployment", "deployment", ()),
    Fed("app", "app", ("id",), _APP_COLUMNS),
    Fed("credential", "credential", ("id",)),
    Fed("solution", "solution", ("id",)),
    Fed("connection", "connection", ("app_id", "business_id")),
    Fed("share", "share", ("solution_id", "business_id")),
    Fed("share_waba", "share", ("solution_id", "business_id")),
    Fed("app_grant", "share", ("solution_id", "business_id")),
    Fed("signing_key", "signing_key", ("kid",)),
    Fed("resource_server", "resource_server", ("id",)),
)

_ROWS_OF: Final = {"INSERT": ("NEW",), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD",)}


def install(connection: sa.Connection) -> None:
    """Lay all triggers anew, in the caller's transaction. Done after every migration: rebuilding a table drops its triggers."""
    statements = _sqlite() if connection.dialect.name == "sqlite" else _postgresql()
    for statement in statements:
        connection.exec_driver_sql(statement)


def _sqlite() -> Iterator[str]:
    for fed in FED:
        for verb in _ROWS_OF:
            name = f"feed_{fed.table}_{verb.lower()}"
            moved = _moved(fed.columns, "IS NOT") if verb == "UPDATE" else ""
            when = f" WHEN {moved}" if moved else ""
            yield f"DROP TRIGGER IF EXISTS {name}"
            yield f"CREATE TRIGGER {name} AFTER {verb} ON {fed.table} FOR EACH ROW{when} BEGIN {_body(fed, verb, 'IS NOT')} END"


def _postgresql() -> Iterator[str]:
    from multipartner.storage.postgres import WRITERS_LOCK  # noqa: PLC0415 - its driver is not there on every SQLite host

    # Whoever writes may have another search path (a restored dump has none): the one of the migration is written down.
    head, tail = "RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $feed$ BEGIN", "END $feed$"
    told = f"PERFORM pg_notify('{CHANNEL}', ''); RETURN NULL;"
    yield f"CREATE OR REPLACE FUNCTION feed_lock() {head} PERFORM pg_advisory_xact_lock({WRITERS_LOCK}); RETURN NULL; {tail}"
    for fed in FED:
        # Again in the row's function: a writer that disabled or lacks the first trigger still feeds in order.
        yield (
            f"CREATE OR REPLACE FUNCTION feed_{fed.table}() {head} PERFORM pg_advisory_xact_lock({WRITERS_LOCK}); "
            f"{_by_verb(fed)} {told} {tail}"
        )
        yield f"CREATE OR REPLACE FUNCTION feed_{fed.table}_emptied() {head} {_emptied(fed)} {told} {tail}"
        for name, when, function in (
            (f"feed_{fed.table}_lock", "BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE", "feed_lock"),
            (f"feed_{fed.table}", "AFTER INSERT OR UPDATE OR DELETE", f"feed_{fed.table}"),
            (f"feed_{fed.table}_emptied", "AFTER TRUNCATE", f"feed_{fed.table}_emptied"),
        ):
            each = "ROW" if name == f"feed_{fed.table}" else "STATEMENT"
            yield f"CREATE OR REPLACE TRIGGER {name} {when} ON {fed.table} FOR EACH {each} EXECUTE FUNCTION {function}()"


def _by_verb(fed: Fed) -> str:
    differs = "IS DISTINCT FROM"
    inserted, updated, deleted = (_body(fed, verb, differs) for verb in _ROWS_OF)
    moved = _moved(fed.columns, differs)
    if moved:
        updated = f"IF {moved} THEN {updated} ELSE RETURN NULL; END IF;"
    return f"IF TG_OP = 'INSERT' THEN {inserted} ELSIF TG_OP = 'UPDATE' THEN {updated} ELSE {deleted} END IF;"


def _emptied(fed: Fed) -> str:
    counted = " UPDATE app SET connected_businesses = 0;" if fed.table == "connection" else ""
    return "INSERT INTO change (kind, key1, key2) VALUES ('everything', '', '');" + counted  # noqa: S608 - our own words


def _moved(columns: tuple[str, ...], differs: str) -> str:
    """Tell that one of the columns has another value, in the dialect's comparison that knows NULL."""
    return " OR ".join(f"OLD.{column} {differs} NEW.{column}" for column in columns)


def _body(fed: Fed, verb: str, differs: str) -> str:
    statements = [_feeding(fed, _ROWS_OF[verb][-1])]
    if verb == "UPDATE" and fed.keys:
        statements.append(f"{_feeding(fed, 'OLD')} WHERE {_moved(fed.keys, differs)}")
    if fed.table == "connection":
        statements += [_counting(row) for row in _ROWS_OF[verb]]
    return " ".join(f"{statement};" for statement in statements)


def _feeding(fed: Fed, row: str) -> str:
    key1, key2 = [*(f"{row}.{key}" for key in fed.keys), "''", "''"][:2]
    return f"INSERT INTO change (kind, key1, key2) SELECT '{fed.kind}', {key1}, {key2}"


def _counting(row: str) -> str:
    step = "- 1" if row == "OLD" else "+ 1"
    return f"UPDATE app SET connected_businesses = connected_businesses {step} WHERE id = {row}.app_id"  # noqa: S608 - names of FED only
