"""What all commands share: where the deployment lies, who asks and when, how results are told and refusals end."""

import asyncio
import datetime as dt
import functools
import getpass
import inspect
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import typer

if TYPE_CHECKING:
    from rich.text import Text

    from multipartner.partnering.acting import Act, Outcome
    from multipartner.settings import Settings
    from multipartner.storage.backend import Backend
    from multipartner.storage.change_ports import ChangeStore

Result = TypeVar("Result")
Option = tuple[object, object]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value, for scripts.")]

COMMON: dict[str, Option] = {
    "database": (
        Annotated[
            str | None,
            typer.Option(
                help="Where the facts are: an SQLite file, or a postgresql:// URL.", metavar="FILE|URL", show_default=False
            ),
        ],
        None,
    ),
    "trail": (Annotated[Path | None, typer.Option(help="SQLite file of the audit trail.", show_default=False)], None),
    "master_key_file": (Annotated[Path | None, typer.Option(help="File with the master key.", show_default=False)], None),
    "as_json": (Json, False),
}


def tell(facts: object, text: str, *, as_json: bool) -> None:
    """Print `facts` as one line of JSON, or `text` for people."""
    typer.echo(json.dumps(facts) if as_json else text)


class Call(msgspec.Struct, frozen=True):
    """One call of a command: the deployment it means, and how it answers."""

    database: str | None
    trail: Path | None
    master_key_file: Path | None
    as_json: bool
    now_s: int

    def settings(self) -> "Settings":
        """Read the settings, with the options of the call on top. Raises SettingsError."""
        from multipartner import settings  # noqa: PLC0415 - a third of a second

        return settings.load({"database": self.database, "trail": self.trail, "master_key_file": self.master_key_file})

    def deployed(self) -> "tuple[Settings, Backend]":
        """The settings of a deployment that is at this program's version, and the place of its facts and trail.

        Raises DatabaseVersionError, StorageUnavailable, SettingsError.
        """
        from multipartner.operating import backend_of  # noqa: PLC0415 - not for --help

        settings = self.settings()
        backend = backend_of(settings)
        backend.check_version()
        return settings, backend

    @property
    def act(self) -> "Act":
        """Who acts: the operator, by login name."""
        from multipartner.partnering.acting import Act  # noqa: PLC0415 - not for --help

        return Act(f"operator:{_login_name()}", self.now_s)

    def tell(self, facts: object, text: str) -> None:
        """Print a result: `facts` as one line of JSON if that was asked for, `text` otherwise."""
        tell(facts, text, as_json=self.as_json)

    def change(self, action: "Callable[[ChangeStore], Awaitable[Outcome]]") -> None:
        """Make one change that needs no key, and print what became of it."""
        outcome = self.read(action)
        self.tell({"changed": outcome.changed, "text": outcome.text}, outcome.text)

    def read(self, action: "Callable[[ChangeStore], Awaitable[Result]]") -> "Result":
        """Do one thing with the open store."""
        from multipartner.operating import open_store  # noqa: PLC0415 - not for --help

        settings = self.settings()

        async def done() -> "Result":
            async with open_store(settings) as store:
                return await action(store)

        return asyncio.run(done())


Function = TypeVar("Function", bound=Callable[..., None])


def command(group: typer.Typer, name: str, *, takes_dashes: bool = False) -> Callable[[Function], Function]:
    """Register a function of a `Call` as a command: its other parameters and the common options; its docstring is the help.

    With `takes_dashes` an argument may begin with a dash, as the id of a key does one time in 64.
    """

    def register(function: Function) -> Function:
        @functools.wraps(function)
        def run(*, database: str | None, trail: Path | None, master_key_file: Path | None, as_json: bool, **own: object) -> None:
            call = Call(database, trail, master_key_file, as_json, int(time.time()))
            _answering(functools.partial(function, call, **own))

        # The parser reads names, types and defaults from here.
        own = list(inspect.signature(function).parameters.values())[1:]
        common = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, annotation=a, default=d) for n, (a, d) in COMMON.items()]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + common
        vars(run).update(__signature__=inspect.Signature(parameters), __annotations__={p.name: p.annotation for p in parameters})
        group.command(name, context_settings={"ignore_unknown_options": takes_dashes})(run)
        return function

    return register


def noun(app: typer.Typer, name: str, text: str) -> typer.Typer:
    """Add a group of commands."""
    group = typer.Typer(help=text, pretty_exceptions_enable=False)
    app.add_typer(group, name=name)
    return group


def when(at_s: int) -> str:
    """An instant (Unix seconds) for people: ISO 8601 in UTC. In JSON it stays Unix seconds."""
    try:
        return dt.datetime.fromtimestamp(at_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # after the year 9999
        return f"{at_s} (Unix time)"


def table(rows: Sequence[Mapping[str, object]], columns: tuple[str, ...], empty: str) -> str:
    """Lay rows out for people: ids are never cut, and a column of Unix seconds (its name ends in `_s`) is told by `when`."""
    from rich.console import Console  # noqa: PLC0415 - not for --help, nor for --json
    from rich.table import Table  # noqa: PLC0415 - as above

    if not rows:
        return empty
    laid_out = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        laid_out.add_column(column.removesuffix("_s"), no_wrap=True)
    for row in rows:
        laid_out.add_row(*(_cell(column, row[column]) for column in columns))
    console = Console(width=240)
    with console.capture() as captured:
        console.print(laid_out, soft_wrap=True, markup=False)
    return captured.get().rstrip("\n")


def _cell(column: str, value: object) -> "Text":
    from rich.text import Text  # noqa: PLC0415 - as `table`

    if column.endswith("_s") and isinstance(value, int):
        return Text(when(value))
    return Text("-" if value is None else " ".join(map(str, value)) if isinstance(value, list) else str(value))


def fail(line: str, code: int = 2) -> typer.Exit:
    """Print one line to stderr; raise what this returns to end with the code."""
    sys.stderr.write(f"multipartner: {line}\n")
    return typer.Exit(code)


def _answering(function: Callable[[], None]) -> None:
    """Run it; what it cannot do is told in one line, and ends with 2."""
    try:
        function()
    except typer.Exit:
        raise
    except Exception as error:
        lines = lines_of(error)
        if lines is None:
            raise
        for line in lines[:-1]:
            fail(line)
        raise fail(lines[-1]) from None


def lines_of(error: Exception) -> list[str] | None:
    """The lines that tell a refusal; None for an error that we did not foresee."""
    from multipartner.crypto.sealing import SealBroken  # noqa: PLC0415 - only when something is wrong
    from multipartner.keyfile import KeyFileError  # noqa: PLC0415 - as above
    from multipartner.partnering.acting import ChangeRefused  # noqa: PLC0415 - as above
    from multipartner.partnering.worldfile import WorldFileRefused  # noqa: PLC0415 - as above
    from multipartner.settings import SettingsError  # noqa: PLC0415 - as above
    from multipartner.storage.migrate import DatabaseVersionError  # noqa: PLC0415 - as above
    from multipartner.storage.ports import StorageUnavailable, TrailUnavailable  # noqa: PLC0415 - as above

    told = (
        SettingsError,
        KeyFileError,
        DatabaseVersionError,
        StorageUnavailable,
        TrailUnavailable,
        ChangeRefused,
        WorldFileRefused,
    )
    if isinstance(error, SealBroken):
        return [f"the master key file does not fit this database ({error}); name the file it was made with"]
    if isinstance(error, told):
        return str(error).splitlines()
    if isinstance(error, OSError):
        return [f"{error.filename or 'file'}: {error.strerror or error}"]
    return None


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
