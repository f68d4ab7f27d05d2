"""`init` and `migrate`: the files of a deployment."""

import asyncio

import typer

from multipartner.cli.calling import Call, command


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "init")(init)
    command(app, "migrate")(migrate)


def init(call: Call) -> None:
    """Make a new deployment: master key file, databases, first keys. Nothing that exists is overwritten."""
    from multipartner.operating import backend_of, begin_deployment  # noqa: PLC0415 - not for --help

    settings = call.settings()
    backend = backend_of(settings)
    kid = begin_deployment(settings, call.act)
    facts = {
        "database": backend.name,
        "trail": backend.trail_name,
        "master_key_file": str(settings.master_key_file),
        "signing_key": kid,
    }
    text = (
        f"database     {backend.name}\ntrail        {backend.trail_name}\nmaster key   {settings.master_key_file}\n"
        f"signing key  {kid}\nKeep a copy of the master key apart from the database: without it nothing here can be read again."
    )
    call.tell(facts, text)


def migrate(call: Call) -> None:
    """Bring the databases to this program's version. Does nothing if they are."""
    from multipartner.operating import backend_of, migrate_deployment  # noqa: PLC0415 - not for --help

    settings = call.settings()
    asyncio.run(migrate_deployment(settings))
    backend = backend_of(settings)
    call.tell({"database": backend.name, "trail": backend.trail_name}, f"{backend.name}: up to date")
