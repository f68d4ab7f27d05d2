"""How SQLAlchemy's connections to SQLite begin their transactions, and one that is opened for a single purpose."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

READING: Final = "multipartner_reading"
"""Execution option of a connection whose transactions only read."""


def begin_ourselves(engine: sa.Engine) -> None:
    """Begin each transaction of an SQLite engine with the write lock, unless the connection's option `READING` is set."""

    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get(READING) else "BEGIN IMMEDIATE")

    sa.event.listen(engine, "begin", begin)


@contextmanager
def core_on(connect: Callable[[], sqlite3.Connection]) -> Iterator[sa.Connection]:
    """Give Core what `connect` opens, for something rare. Raises what SQLAlchemy and the driver raise."""
    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool, hide_parameters=True)
    begin_ourselves(engine)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
