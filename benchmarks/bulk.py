"""A million shares in a minute: rows made by SQLite itself, in one transaction, past the feed.

Triggers are taken down and put up again as they were: a feed of eight million rows would make every reader drop its caches
once, which is what it does at the start anyway. Foreign keys are checked over the whole at the end.
"""

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

CHANGED_AT_S = 1_760_000_000
"""Long ago, so that no measured window is younger than its facts."""


_ROWS = (
    "INSERT INTO business (id, name) SELECT business, 'Customer ' || business FROM fresh ORDER BY business",
    "INSERT INTO waba (id, business_id, name) SELECT waba, business, 'WABA' FROM fresh ORDER BY waba",
    """INSERT INTO connection (app_id, business_id, connected_at_s)
       SELECT app.id, business, :at_s FROM app CROSS JOIN fresh ORDER BY app.id, business""",
    """INSERT INTO share (business_id, solution_id, status, permissions, generation, changed_at_s)
       SELECT business, :solution, 'ACTIVE', :permissions, substr(hex(randomblob(6)), 1, 11), :at_s FROM fresh
       ORDER BY business""",
    """INSERT INTO share_waba (business_id, solution_id, waba_id)
       SELECT business, :solution, waba FROM fresh ORDER BY business""",
    """INSERT INTO app_grant (business_id, solution_id, app_id, status, generation, changed_at_s)
       SELECT business, :solution, app.id, 'ACTIVE', substr(hex(randomblob(6)), 1, 11), :at_s FROM fresh CROSS JOIN app
       ORDER BY business, app.id""",
    "UPDATE app SET connected_businesses = (SELECT count(*) FROM fresh)",
)


def random_ids(count: int, seed: int) -> list[str]:
    """Different ids of 16 digits in random order, the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - ids of a bench
    return [str(number) for number in chance.sample(range(10**15, 10**16), count)]


def load_shares(database: Path, solution: str, permissions: str, businesses: Sequence[str]) -> None:
    """Give each business one WABA and share it with the solution, whose apps are the only ones there are."""
    wabas = random_ids(len(businesses), seed=len(businesses) + 1)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = -262144")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("CREATE TEMP TABLE fresh (business TEXT NOT NULL, waba TEXT NOT NULL)")
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO fresh VALUES (?, ?)", zip(businesses, wabas, strict=True))
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in _ROWS:
            connection.execute(statement, {"solution": solution, "permissions": permissions, "at_s": CHANGED_AT_S})
        for _, text in triggers:
            connection.execute(text)
        connection.execute("COMMIT")
        broken = connection.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            raise RuntimeError(f"the bulk load broke a foreign key of {broken[0]}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
