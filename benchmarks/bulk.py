"""A million shares in a minute: rows made by the database itself, in one transaction, past the feed.

On SQLite triggers are taken down and put up again as they were, on PostgreSQL they are switched off for the transaction: a feed
of eight million rows would make every reader drop its caches once, which is what it does at the start anyway.
"""

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import asyncpg

CHANGED_AT_S = 1_760_000_000
"""Long ago, so that no measured window is younger than its facts."""

_SQLITE_GENERATION = "substr(hex(randomblob(6)), 1, 11)"
_POSTGRES_GENERATION = "substr(md5(random()::text), 1, 11)"

_ROWS = (
    "INSERT INTO business (id, name) SELECT business, 'Customer ' || business FROM fresh ORDER BY business",
    "INSERT INTO waba (id, business_id, name) SELECT waba, business, 'WABA' FROM fresh ORDER BY waba",
    """INSERT INTO connection (app_id, business_id, connected_at_s)
       SELECT app.id, business, {at_s} FROM app CROSS JOIN fresh ORDER BY app.id, business""",
    """INSERT INTO share (business_id, solution_id, status, permissions, generation, changed_at_s)
       SELECT business, '{solution}', 'ACTIVE', '{permissions}', {generation}, {at_s} FROM fresh ORDER BY business""",
    """INSERT INTO share_waba (business_id, solution_id, waba_id)
       SELECT business, '{solution}', waba FROM fresh ORDER BY business""",
    """INSERT INTO app_grant (business_id, solution_id, app_id, status, generation, changed_at_s)
       SELECT business, '{solution}', app.id, 'ACTIVE', {generation}, {at_s} FROM fresh CROSS JOIN app
       ORDER BY business, app.id""",
    "UPDATE app SET connected_businesses = (SELECT count(*) FROM fresh)",
)


def random_ids(count: int, seed: int) -> list[str]:
    """Different ids of 16 digits in random order, the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - ids of a bench
    return [str(number) for number in chance.sample(range(10**15, 10**16), count)]


def load_shares(database: Path, solution: str, permissions: str, businesses: Sequence[str]) -> None:
    """Give each business one WABA and share it with the solution, whose apps are the only ones there are."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = -262144")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("CREATE TEMP TABLE fresh (business TEXT NOT NULL, waba TEXT NOT NULL)")
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO fresh VALUES (?, ?)", _fresh(businesses))
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in _statements(solution, permissions, _SQLITE_GENERATION):
            connection.execute(statement)
        for _, text in triggers:
            connection.execute(text)
        connection.execute("COMMIT")
        broken = connection.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            raise RuntimeError(f"the bulk load broke a foreign key of {broken[0]}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def load_shares_on_postgres(url: str, solution: str, permissions: str, businesses: Sequence[str]) -> None:
    """Do the same in a PostgreSQL database; its role is a superuser. Foreign keys go unchecked: the rows are those of SQLite."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute("SET LOCAL work_mem = '256MB'")
            await connection.execute("CREATE TEMP TABLE fresh (business text, waba text) ON COMMIT DROP")
            await connection.copy_records_to_table("fresh", records=_fresh(businesses))
            for statement in _statements(solution, permissions, _POSTGRES_GENERATION):
                await connection.execute(statement)
        # What it would do by itself within minutes, and not in the middle of a measurement.
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def _fresh(businesses: Sequence[str]) -> Iterator[tuple[str, str]]:
    wabas = random_ids(len(businesses), seed=len(businesses) + 1)
    return zip(businesses, wabas, strict=True)


def _statements(solution: str, permissions: str, generation: str) -> Iterator[str]:
    told = {"solution": solution, "permissions": permissions, "generation": generation, "at_s": CHANGED_AT_S}
    return (statement.format_map(told) for statement in _ROWS)
