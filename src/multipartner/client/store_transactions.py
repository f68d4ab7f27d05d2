"""How the store's connection writes, deletes for good, and survives a fork."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing; with the write lock from the beginning."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


@contextmanager
def durable(connection: sqlite3.Connection) -> Iterator[None]:
    """Transactions begun within are on disk when they end: a power failure takes nothing back."""
    connection.execute("PRAGMA synchronous = FULL")
    try:
        yield
    finally:
        connection.execute("PRAGMA synchronous = NORMAL")


def truncate(connection: sqlite3.Connection) -> bool:
    """Empty the write-ahead log, so that nothing of what was deleted stands in it. False when somebody reads in it just now."""
    ((wait_ms,),) = connection.execute("PRAGMA busy_timeout").fetchall()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        ((busy, _, _),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error:
        return False
    finally:
        connection.execute(f"PRAGMA busy_timeout = {wait_ms}")
    return not busy


def never_close(connection: sqlite3.Connection) -> None:
    """Keep a parent's connection from being closed in a child, even at its exit: SQLite forbids that after a fork."""
    import ctypes  # noqa: PLC0415 - only after a fork

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
