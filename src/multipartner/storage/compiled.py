"""SQLAlchemy Core statements as plain SQL text, compiled once.

Executing the text on a raw connection costs a tenth of what Core's own execution costs; the statement is still written once
for every database.
"""

import functools
import re
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

_SQLITE: Final = sqlite.dialect(paramstyle="named")


class Text(msgspec.Struct, frozen=True):
    """A statement with `$1`, `$2`, ... (SQLite: `?1`, `?2`, ...) for the values of `names`, in their order."""

    sql: str
    names: tuple[str, ...]


class Question:
    """A statement that either engine is asked, compiled when it first is."""

    def __init__(self, statement: "sa.Select[Any] | sa.CompoundSelect[Any]") -> None:
        self.statement = statement

    @functools.cached_property
    def sqlite(self) -> str:
        """See `sqlite_text`."""
        return sqlite_text(self.statement)

    @functools.cached_property
    def postgres(self) -> Text:
        """See `postgres_text`."""
        return postgres_text(self.statement)


def sqlite_text(statement: sa.ClauseElement) -> str:
    """Return SQL whose parameters are the statement's own `bindparam`s, as `:name`; its literals stand in the text.

    Raises ValueError for a literal that is neither int nor a word or space: values are given at execution.
    """
    return _text(statement, _SQLITE)[0]


def sqlite_array_text(statement: sa.Select[Any]) -> Text:
    """Return SQL with numbered places, whose rows have one column: a JSON array of the statement's columns. Raises as above.

    Python's driver lets go of the interpreter's lock for each column of a row and for each value that has a name, and with
    threads that wait for it each time may be a change of threads: 31 times in a read of 21 columns by three values, 8 so.
    """
    columns = list(statement.selected_columns)
    array = statement.with_only_columns(sa.func.json_array(*columns), maintain_column_froms=True)
    return _numbered(*_text(array, _SQLITE), place="?")


def postgres_text(statement: sa.ClauseElement) -> Text:
    """Return SQL with numbered places for the statement's own `bindparam`s; its literals stand in the text. Raises as above."""
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - a service on SQLite starts without it

    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call] # the library's own
    return _numbered(*_text(statement, dialect), place="$")


def _numbered(text: str, names: tuple[str, ...], place: str) -> Text:
    for number, name in enumerate(names, 1):
        text = re.sub(rf"(?<!:):{name}\b", f"{place}{number}", text)
    return Text(text, names)


def _text(statement: sa.ClauseElement, dialect: sa.Dialect) -> tuple[str, tuple[str, ...]]:
    compiled = statement.compile(dialect=dialect)
    text = str(compiled)
    for name, value in compiled.params.items():
        if value is not None:
            text = re.sub(rf"(?<!:):{name}\b|__\[POSTCOMPILE_{name}\]", _literal(value), text)
    return text, tuple(name for name, value in compiled.params.items() if value is None)


def _literal(value: object) -> str:
    if type(value) is int:
        return str(value)
    if isinstance(value, str) and re.fullmatch(r"[a-zA-Z_ ]*", value):
        return f"'{value}'"
    raise ValueError(f"a {type(value).__name__} is written into a statement: make it a bindparam")
