"""`multipartner demo`: a whole deployment in a temporary folder, served until it is stopped."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multipartner.cli.calling import fail

if TYPE_CHECKING:
    from multipartner.cli.demo_world import Demo
    from multipartner.settings import Settings


def register(app: typer.Typer) -> None:
    """Add `demo` to the commands."""
    app.command("demo")(demo)


def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="Walk one token through its life, print each step, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print who is who as a line of JSON, for scripts; then serve.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
) -> None:
    """Serve a demo world from a temporary folder: two partners, a solution, and a customer for each answer there is."""
    from multipartner.cli.listening import PortTaken  # noqa: PLC0415 - slow to import, and not for --help
    from multipartner.settings import SettingsError, load  # noqa: PLC0415 - as above

    # Until the server has its own handlers, a stop must still clean the folder up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with tempfile.TemporaryDirectory(prefix="multipartner-demo-", ignore_cleanup_errors=True) as folder:
            settings = load(_settings(Path(folder), workers))
            status = _serve(settings, "once" if once else "json" if as_json else "page")
    except (SettingsError, PortTaken) as error:
        raise fail(str(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    raise typer.Exit(status)


def _settings(folder: Path, workers: int) -> dict[str, object]:
    return {
        "database": folder / "facts.db",
        "master_key_file": folder / "master.key",
        "host": "127.0.0.1",
        "port": 0,
        "operations_port": 0,
        "workers": workers,
        "accept_query_token": True,
        "log_level": "warning",
    }


def _serve(settings: "Settings", form: str) -> int:
    from multipartner.cli.demo_world import make_demo  # noqa: PLC0415 - slow to import, and not for --help
    from multipartner.cli.serve import run  # noqa: PLC0415 - as above
    from multipartner.partnering.acting import Act  # noqa: PLC0415 - as above

    made = asyncio.run(make_demo(settings, Act("operator:demo", int(time.time()))))
    failures: list[str] = []

    def announce(running: "Settings") -> None:
        try:
            _FORMS[form](made, running)
        except Exception as error:  # noqa: BLE001 - whatever it was, the demo did not do what it should
            failures.append(f"demo: {type(error).__name__}: {error}")
        if form == "once" or failures:
            os.kill(os.getpid(), signal.SIGTERM)

    run(settings, announce)
    for failure in failures:
        fail(failure)
    return 1 if failures else 0


def _print_json(made: "Demo", running: "Settings") -> None:
    from multipartner.cli.serve import address_of  # noqa: PLC0415 - as above

    files = {"database": running.database, "trail": running.trail_file, "master_key_file": running.master_key_file}
    facts = {
        "url": address_of(running),
        "operations_url": f"http://127.0.0.1:{running.operations_port}",
        **made.facts(),
        "issuer": running.issuer_url,
        "audience": running.audience or running.issuer_url,
        "versions": running.versions,
        **{name: str(path) for name, path in files.items()},
    }
    typer.echo(json.dumps(facts))
    sys.stdout.flush()


def _print_page(made: "Demo", running: "Settings") -> None:
    from multipartner.cli.demo_caller import DemoCaller  # noqa: PLC0415 - as above
    from multipartner.cli.demo_page import print_page  # noqa: PLC0415 - as above
    from multipartner.cli.serve import address_of  # noqa: PLC0415 - as above

    operations_url = f"http://127.0.0.1:{running.operations_port}"
    print_page(DemoCaller(made, address_of(running)), operations_url, str(running.database))


def _walk_once(made: "Demo", running: "Settings") -> None:
    from multipartner.cli.demo_caller import DemoCaller  # noqa: PLC0415 - as above
    from multipartner.cli.demo_round import round_trip  # noqa: PLC0415 - as above
    from multipartner.cli.serve import address_of  # noqa: PLC0415 - as above

    round_trip(DemoCaller(made, address_of(running)), running)


_FORMS = {"json": _print_json, "page": _print_page, "once": _walk_once}
