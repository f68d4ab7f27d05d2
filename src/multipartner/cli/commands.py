"""The tree of commands: one file for each noun."""

import importlib
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

_MODULES: Final = {
    "deployments": ("init", "migrate"),
    "serve": ("serve",),
    "demo": ("demo",),
    "worlds": ("world",),
    "credentials": ("credential", "resource-server"),
    "lives": ("app", "share", "grant"),
    "solutions": ("solution",),
    "migrations": ("migration",),
    "keys": ("keys",),
    "audit": ("audit",),
    "explain": ("explain",),
    "doctor": ("doctor",),
    "backups": ("backup", "restore"),
    "broker": ("broker",),
    "token": ("token",),
}
"""Which module of this package brings which commands, by `register(app)`."""


def build(noun: str = "") -> typer.Typer:
    """Make the application; with a noun only the part that has it, if one does. So a command waits for no other's imports."""
    app = typer.Typer(
        name="multipartner",
        help="Granular access tokens for multi-partner solutions.",
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    named = [module for module, nouns in _MODULES.items() if noun in nouns]
    for module in named or _MODULES:
        try:
            importlib.import_module(f"multipartner.cli.{module}").register(app)
        except ModuleNotFoundError as error:
            # An installation without the service lists the verbs that it has.
            if named or error.name is None or error.name.partition(".")[0] == "multipartner":
                raise
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code. Whatever is wrong with the arguments is one line on stderr."""
    try:
        app = build(arguments[0] if arguments else "")
        return app(list(arguments) or ["--help"], prog_name="multipartner", standalone_mode=False) or 0
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "multipartner":
            raise
        extra = "broker" if arguments[0] in ("broker", "token") else "server"
        lacking = f"`{arguments[0]}` needs parts that are not installed ({error.name}): pip install 'multipartner[{extra}]'"
        sys.stderr.write(f"multipartner: {lacking}\n")
        return 2
    except Exception as error:
        # The parser's own errors; their class lives elsewhere in each release of the library.
        told = getattr(error, "format_message", None)
        if told is None:
            raise
        sys.stderr.write(f"multipartner: {' '.join(told().split())} (see --help)\n")
        return 2


def _version(wanted: bool) -> None:  # noqa: FBT001 - how the library calls it
    if wanted:
        from multipartner import __version__  # noqa: PLC0415 - rarely needed

        typer.echo(__version__)
        raise typer.Exit


def _options(
    *,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass
