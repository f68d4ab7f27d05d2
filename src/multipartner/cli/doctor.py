"""`doctor`: is everything there that serving needs."""

import asyncio
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from multipartner.cli.calling import Call, command, lines_of

if TYPE_CHECKING:
    from multipartner.settings import Settings

_SKEW_S = 60


class Finding(msgspec.Struct, frozen=True):
    """One check: its name, whether all is well, and one line."""

    name: str
    ok: bool
    text: str


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "doctor")(doctor)


def doctor(call: Call) -> None:
    """Check settings, key file, databases, keys, trail, clock, shared limits. Changes nothing; exit code 1 if one is wrong."""
    findings = list(_findings(call))
    warned = _warnings(call) if findings[0].ok else ()
    lines = [f"{'ok    ' if f.ok else 'WRONG '} {f.name:9} {f.text}" for f in findings]
    lines += [f"warns  settings  {warning}" for warning in warned]
    well = all(f.ok for f in findings)
    call.tell({"ok": well, "checks": [msgspec.to_builtins(f) for f in findings], "warnings": warned}, "\n".join(lines))
    if not well:
        raise typer.Exit(1)


def _findings(call: Call) -> Iterator[Finding]:
    settings, finding = _tried("settings", call.settings)
    yield finding
    if settings is None:
        return
    for name, check in (
        ("key file", _key_file),
        ("database", _database),
        ("files", _files),
        ("keys", _keys),
        ("trail", _trail),
        ("clock", _clock),
        ("limits", _limits),
    ):
        yield _tried(name, lambda check=check: check(settings, call.now_s))[1]  # type: ignore[misc]  # it sees no type in a default


def _warnings(call: Call) -> tuple[str, ...]:
    from multipartner.settings import warnings  # noqa: PLC0415 - a third of a second

    return warnings(call.settings())


def _tried(name: str, check: "Callable[[], Settings | str]") -> "tuple[Settings | None, Finding]":
    try:
        found = check()
    except Exception as error:
        lines = lines_of(error)
        if lines is None:
            raise
        return None, Finding(name, ok=False, text=" ".join(lines))
    if isinstance(found, str):
        return None, Finding(name, ok=True, text=found)
    return found, Finding(name, ok=True, text="can be read")


def _key_file(settings: "Settings", _now_s: int) -> str:
    from multipartner import keyfile  # noqa: PLC0415 - not for --help

    keyfile.read(settings.master_key_file)
    return f"{settings.master_key_file}: 0600, as it should be"


def _database(settings: "Settings", _now_s: int) -> str:
    from multipartner.operating import backend_of  # noqa: PLC0415 - not for --help
    from multipartner.storage.migrate import FACTS  # noqa: PLC0415 - as above

    backend = backend_of(settings)
    backend.check_version()
    return f"{backend.name}: version {FACTS.head}"


def _files(settings: "Settings", _now_s: int) -> str:
    from multipartner.operating import backend_of  # noqa: PLC0415 - not for --help
    from multipartner.partnering.acting import ChangeRefused  # noqa: PLC0415 - as above

    if not isinstance(settings.database, Path):
        backend_of(settings).check_writable()
        return "the database can be written"
    for path in (settings.database, settings.trail_file):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise ChangeRefused(f"{path}: open to others (mode {mode:04o}); run `chmod 600 {path}`")
    return "databases are closed to others"


def _keys(settings: "Settings", now_s: int) -> str:
    from multipartner.operating import open_operator  # noqa: PLC0415 - not for --help
    from multipartner.partnering.keys import check_keys  # noqa: PLC0415 - as above

    async def checked() -> str:
        async with open_operator(settings) as operator:
            return await check_keys(operator.store, operator.master, now_s)

    return f"{asyncio.run(checked())} signs, and every key opens under the master key"


def _trail(settings: "Settings", _now_s: int) -> str:
    from multipartner.operating import backend_of  # noqa: PLC0415 - not for --help
    from multipartner.partnering.acting import ChangeRefused  # noqa: PLC0415 - as above
    from multipartner.storage import audit  # noqa: PLC0415 - as above

    report = audit.verify(backend_of(settings))
    if not report.whole:
        raise ChangeRefused(f"{len(report.findings)} findings; run `multipartner audit verify`")
    if report.pending:
        raise ChangeRefused(f"{report.pending} events wait to be moved to the trail; can it be written?")
    return f"whole: {report.events} events in {report.chains} chains"


def _clock(settings: "Settings", now_s: int) -> str:
    from multipartner.operating import backend_of  # noqa: PLC0415 - not for --help
    from multipartner.partnering.acting import ChangeRefused  # noqa: PLC0415 - as above
    from multipartner.storage.trail_reading import tail  # noqa: PLC0415 - as above

    last = tail(backend_of(settings), 1)
    ahead_s = json.loads(last[0]).get("at_s", 0) - now_s if last else 0
    if ahead_s > _SKEW_S:
        raise ChangeRefused(f"the clock is {ahead_s} s behind the newest event of the trail: set it, tokens expire by it")
    return "not behind the trail"


def _limits(settings: "Settings", _now_s: int) -> str:
    if settings.limits_url is None:
        return "counted in this host alone"
    from multipartner.partnering.acting import ChangeRefused  # noqa: PLC0415 - not for --help
    from multipartner.sharing import check_limits  # noqa: PLC0415 - as above
    from multipartner.storage.shared_limits import SharedLimitsRefused  # noqa: PLC0415 - as above

    try:
        warned = asyncio.run(check_limits(settings))
    except SharedLimitsRefused as error:
        raise ChangeRefused(str(error)) from None
    if warned:
        raise ChangeRefused(warned[0])
    return "counted together with other hosts; the server answers"
