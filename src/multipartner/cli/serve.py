"""`multipartner serve`: check everything, then start the workers and watch over them."""

import inspect
import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typer

from multipartner.cli.calling import fail
from multipartner.cli.listening import PortTaken, hold, listen_on_loopback
from multipartner.settings import Settings, SettingsError, load, warnings

if TYPE_CHECKING:
    from multipartner.web.operations import Operations


def register(app: typer.Typer) -> None:
    """Add `serve` to the commands."""
    app.command("serve")(_as_options(serve))


def serve(**given: object) -> None:
    """Serve granular tokens. Every option is a setting, and can come as MULTIPARTNER_<NAME> from the environment as well."""
    from multipartner.starting import StartRefused  # noqa: PLC0415 - what serving needs takes most of a second to import

    try:
        run(load(given))
    except (SettingsError, StartRefused, PortTaken) as error:
        raise fail(str(error)) from None


def run(settings: Settings, announce: Callable[[Settings], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. `announce` is called once requests are answered, with the ports in force.

    Raises StartRefused, PortTaken; then nothing was written.
    """
    from multipartner.starting import check_start  # noqa: PLC0415 - as above

    with ExitStack() as held:
        # Ports first: SQLite makes its side files as soon as a database is looked at, and a taken port shall leave no trace.
        public = held.enter_context(hold(settings.host, settings.port))
        operations = held.enter_context(listen_on_loopback(settings.operations_port))
        for warning in check_start(settings):
            print(f"warning: {warning}", file=sys.stderr, flush=True)  # noqa: T201 - the CLI
        settings = settings.model_copy(
            update={"port": public.getsockname()[1], "operations_port": operations.getsockname()[1]},
        )
        folder = _metrics_folder(settings)
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        _serve(settings, folder, operations, announce or _print_start)


def _metrics_folder(settings: Settings) -> Path:
    """Make an empty folder for the workers' counts: beside the database, where whoever cleans up after a kill finds it."""
    if not isinstance(settings.database, Path):
        return Path(tempfile.mkdtemp(prefix="multipartner-metrics-"))
    folder = settings.database.with_name(f"{settings.database.name}.metrics-{settings.port}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def _serve(settings: Settings, folder: Path, listener: socket.socket, announce: Callable[[Settings], None]) -> None:
    from multipartner.cli.http_server import http_server  # noqa: PLC0415 - after PROMETHEUS_MULTIPROC_DIR is set
    from multipartner.cli.worker import load as load_worker  # noqa: PLC0415 - as above
    from multipartner.web.operations import Operations, Readings, Workers  # noqa: PLC0415 - as above

    where = {"address": settings.host, "port": settings.port}
    server = http_server(where, settings.workers, settings.log_level, settings.log_format)

    def alive() -> list[int]:
        return [worker.inner.pid for worker in list(server.wrks) if worker.is_alive()]  # type: ignore[no-untyped-call] # of its base class

    operations = Operations(listener, Readings(folder, Workers(settings.workers, alive)))
    server.on_startup(partial(_start_watching, operations, settings, announce))
    try:
        server.serve(target_loader=partial(load_worker, settings, os.getpid()), wrap_loader=False)
    finally:
        operations.stop()


def _start_watching(operations: "Operations", settings: Settings, announce: Callable[[Settings], None]) -> None:
    operations.start()
    threading.Thread(target=_announce_when_up, args=(settings, announce), name="announce", daemon=True).start()


def _announce_when_up(settings: Settings, announce: Callable[[Settings], None]) -> None:
    pause = threading.Event()
    while True:
        try:
            socket.create_connection((settings.host, settings.port), timeout=1).close()
        except OSError:
            pause.wait(0.01)
        else:
            announce(settings)
            return


def _print_start(settings: Settings) -> None:
    for warning in warnings(settings):
        print(f"warning: {warning}", file=sys.stderr, flush=True)  # noqa: T201 - the CLI
    operations = f"http://127.0.0.1:{settings.operations_port}"
    workers = f"{settings.workers} worker{'s' if settings.workers > 1 else ''}"
    print(f"multipartner serves {address_of(settings)} with {workers}; operations: {operations}", flush=True)  # noqa: T201 - the CLI


def address_of(settings: Settings) -> str:
    """The URL that is served on."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def _as_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each setting, with its help and no default: what is not given is left to the environment."""
    parameters = []
    for name, field in Settings.model_fields.items():
        flag = f"--{name.replace('_', '-')}"
        form = bool if field.annotation is bool else str
        names = f"{flag}/--no-{flag[2:]}" if form is bool else flag
        text = f"{field.description} [default: {_shown(field.default)}]"
        option = typer.Option(names, help=text, show_default=False, metavar=None if form is bool else _metavar(field.annotation))
        annotation = Annotated[form | None, option]  # type: ignore[valid-type] # made at run time
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # typer reads it
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function


def _shown(default: Any) -> str:  # noqa: ANN401 - any setting's
    if default is None:
        return "none"
    return (
        ",".join(default) if isinstance(default, tuple) else str(default).lower() if isinstance(default, bool) else str(default)
    )


def _metavar(annotation: Any) -> str:  # noqa: ANN401 - any setting's
    kinds = [kind for kind in (get_args(annotation) or (annotation,)) if kind is not type(None)]
    if all(isinstance(kind, str) for kind in kinds):
        return "|".join(kinds)
    first = get_origin(kinds[0]) or kinds[0]
    if Path in kinds and len(kinds) > 1:
        return "FILE|URL"
    return {int: "INTEGER", float: "NUMBER", Path: "FILE"}.get(first, "TEXT")
