"""The store's tables and its statements. Needs SQLite 3.31; whole seconds are Unix time."""

from typing import Final

SCHEMA: Final = 1
"""`PRAGMA user_version` of what this release writes; it opens nothing newer."""

OLDEST_SQLITE: Final = (3, 31)

APPLICATION_ID: Final = 0x4D505453

MAX_NUMBER: Final = 1 << 53
"""Generations and seconds beyond this are nobody's."""

LONGEST_LEASE_S: Final = 120
"""A lease that ends later than this from now was taken by a clock that has been set back since: nobody holds it."""

_KEPT_S: Final = 86_400
_WHOLE: Final = "typeof({0}) = 'integer' AND {0} BETWEEN 0 AND " + str(MAX_NUMBER)

CREATE: Final = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA}",
    f"""CREATE TABLE store (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        store_id BLOB NOT NULL,
        naming BLOB NOT NULL,
        tripwire BLOB NOT NULL,
        tokens INTEGER NOT NULL,
        floor INTEGER NOT NULL CHECK ({_WHOLE.format("floor")}))""",
    # Without a token `sealed` is empty: somebody fetches the first one. A token that does not expire ends in here all the same:
    # a day after it should have been refreshed.
    f"""CREATE TABLE token (
        name BLOB NOT NULL UNIQUE CHECK (typeof(name) = 'blob' AND length(name) = 32),
        generation INTEGER NOT NULL CHECK ({_WHOLE.format("generation")}),
        expires_at_s INTEGER NOT NULL CHECK ({_WHOLE.format("expires_at_s")}),
        refresh_at_s INTEGER NOT NULL CHECK ({_WHOLE.format("refresh_at_s")}),
        lease_owner BLOB NOT NULL CHECK (typeof(lease_owner) = 'blob'),
        lease_until_s INTEGER NOT NULL CHECK ({_WHOLE.format("lease_until_s")}),
        sealed BLOB NOT NULL CHECK (typeof(sealed) = 'blob'),
        ends_at_s INTEGER AS (CASE expires_at_s WHEN 0 THEN refresh_at_s + {_KEPT_S} ELSE expires_at_s END))""",
    "CREATE INDEX token_end ON token (ends_at_s)",
    "CREATE TABLE tombstone (revision INTEGER PRIMARY KEY, name BLOB NOT NULL, origin BLOB NOT NULL)",
    "CREATE TRIGGER token_comes AFTER INSERT ON token BEGIN UPDATE store SET tokens = tokens + 1; END",
    # Whoever deletes a row raises the floor, so that its key goes on counting where it was, whatever is still under way for it
    # finds another generation, and nobody has to remember that.
    "CREATE TRIGGER token_goes AFTER DELETE ON token BEGIN UPDATE store SET tokens = tokens - 1; END",
    f"""CREATE TRIGGER token_floor AFTER DELETE ON token WHEN {_WHOLE.format("OLD.generation")} AND OLD.generation < {MAX_NUMBER}
        BEGIN UPDATE store SET floor = max(floor, OLD.generation + 1); END""",  # noqa: S608 - constants of this module
)

# One statement: between two another process may have made the store.
WHOSE: Final = """
    SELECT user_version, application_id, (SELECT count(*) FROM sqlite_master) FROM pragma_user_version, pragma_application_id"""
CREATE_STORE: Final = "INSERT INTO store VALUES (1, :store_id, :naming, :tripwire, 0, :floor)"
READ_STORE: Final = "SELECT store_id, naming, tripwire FROM store"
SEAL_ANEW: Final = "UPDATE store SET naming = :naming, tripwire = :tripwire WHERE naming = :before"
COUNT: Final = "SELECT tokens FROM store"

# Nobody holds a lease that has ended (by :now_s), or that ends later than any can (:too_late_s).
LOAD: Final = "SELECT generation, expires_at_s, refresh_at_s, sealed, ends_at_s FROM token WHERE name = ?"
LEASE: Final = """
    INSERT INTO token (name, generation, expires_at_s, refresh_at_s, lease_owner, lease_until_s, sealed)
    SELECT :name, floor, 0, 0, :owner, :until_s, x'' FROM store WHERE true
    ON CONFLICT (name) DO UPDATE SET lease_owner = :owner, lease_until_s = :until_s
    WHERE lease_until_s <= :now_s OR lease_until_s > :too_late_s OR lease_owner = :owner"""
LEASED: Final = "SELECT generation FROM token WHERE name = :name AND lease_owner = :owner"
PUBLISH: Final = """
    UPDATE token SET generation = :generation, expires_at_s = :expires_at_s, refresh_at_s = :refresh_at_s, sealed = :sealed,
        lease_owner = x'', lease_until_s = 0
    WHERE name = :name AND lease_owner = :owner AND generation = :generation - 1"""
RELEASE: Final = (
    "DELETE FROM token WHERE name = :name AND lease_owner = :owner AND sealed = x''",
    "UPDATE token SET lease_owner = x'', lease_until_s = 0 WHERE name = :name AND lease_owner = :owner",
)
DELETE: Final = "DELETE FROM token WHERE name = :name"
PURGE: Final = """
    DELETE FROM token WHERE rowid IN (
        SELECT rowid FROM token
        WHERE ends_at_s <= :now_s AND (lease_until_s <= :now_s OR lease_until_s > :too_late_s) LIMIT :most)"""
EVICT: Final = """
    DELETE FROM token WHERE rowid IN (
        SELECT rowid FROM token WHERE name != :name AND (lease_until_s <= :now_s OR lease_until_s > :too_late_s)
        ORDER BY ends_at_s LIMIT :excess)"""

BURY: Final = "INSERT INTO tombstone (name, origin) VALUES (:name, :owner)"
TRIM: Final = "DELETE FROM tombstone WHERE revision <= (SELECT max(revision) FROM tombstone) - :most"
NEWEST: Final = "SELECT revision, name, origin FROM tombstone ORDER BY revision DESC LIMIT 1"
BURIED_FROM: Final = "SELECT revision, name, origin FROM tombstone WHERE revision >= ? ORDER BY revision"

USE: Final = "SELECT substr(sealed, 3, 4), count(*), max(ends_at_s) FROM token WHERE sealed != x'' GROUP BY 1"
