"""`audit`: does the trail still say what was written, and what does it say."""

import difflib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from multipartner.cli.calling import Call, command, fail, noun

if TYPE_CHECKING:
    from multipartner.storage.audit import Report

_Anchor = Annotated[
    Path | None, typer.Option("--anchor", help="Anchor to check the ends against, from `audit anchor`.", show_default=False)
]
_Out = Annotated[Path | None, typer.Argument(help="New file to write; default: standard output.", show_default=False)]
_App = Annotated[str, typer.Option(help="Only events of this app.", show_default=False)]
_Solution = Annotated[str, typer.Option(help="Only events of this solution.", show_default=False)]
_Business = Annotated[str, typer.Option(help="Only events of this business.", show_default=False)]
_Credential = Annotated[
    str, typer.Option(help="Only what this caller token was answered: its id, as `credential list` shows it.", show_default=False)
]
_Kinds = Annotated[
    list[str], typer.Option("--kind", help="Only this kind, such as token.issued; give it once for each.", show_default=False)
]
_Since = Annotated[int, typer.Option(min=0, help="Only events from this second on (Unix time).", show_default=False)]
_Count = Annotated[int, typer.Option("--lines", "-n", min=1, max=100_000, help="How many events.")]
_Days = Annotated[
    int | None, typer.Option(min=1, help="Days to keep; default: the setting trail_retention_days.", show_default=False)
]

_DAY_S = 86_400
_ALL_KINDS: list[str] = []


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = noun(app, "audit", "The audit trail: verify, read, anchor, prune.")
    command(group, "verify")(verify)
    command(group, "anchor")(anchor)
    command(group, "export")(export)
    command(group, "tail")(tail)
    command(group, "prune")(prune)


def verify(call: Call, anchor: _Anchor = None) -> None:
    """Check every link of every chain, and against an anchor every end. Exit code 1 if anything is wrong."""
    from multipartner.storage import audit  # noqa: PLC0415 - not for --help

    _, backend = call.deployed()
    known = None
    if anchor is not None:
        try:
            known = audit.read_anchor(anchor.read_bytes())
        except ValueError as error:
            raise fail(f"{anchor}: {error}") from None
    report = audit.verify(backend, known)
    call.tell(msgspec.to_builtins(report) | {"whole": report.whole}, _told(report))
    if not report.whole:
        raise typer.Exit(1)


def anchor(call: Call, file: _Out = None) -> None:
    """Write the head of every chain: keep it where nobody who can write the trail can."""
    from multipartner.storage import audit  # noqa: PLC0415 - not for --help

    heads = audit.heads(call.deployed()[1])
    text = json.dumps(msgspec.to_builtins(heads), indent=2)
    if file is None:
        call.tell(msgspec.to_builtins(heads), text)
        return
    with file.open("x", encoding="utf-8") as out:
        out.write(text + "\n")
    call.tell({"file": str(file), "chains": len(heads)}, f"written: {file} ({len(heads)} chains)")


def export(  # noqa: PLR0913 - one for each option
    call: Call,
    file: _Out = None,
    *,
    app: _App = "",
    solution: _Solution = "",
    business: _Business = "",
    credential: _Credential = "",
    kind: _Kinds = _ALL_KINDS,
    since_s: _Since = 0,
) -> None:
    """Write events as JSON lines, oldest first. Tokens are not in it, only their ids."""
    from multipartner.storage import trail_reading  # noqa: PLC0415 - not for --help

    only = _Only(f"credential:{credential}" if credential else "", frozenset(map(_kind, kind)))
    wanted = trail_reading.Filter(app, solution, business, since_s)
    _, backend = call.deployed()

    def write(to: Callable[[str], object]) -> int:
        count = 0

        def pick(line: str) -> None:
            nonlocal count
            if only.wants(line):
                to(line)
                count += 1

        trail_reading.export(backend, wanted, pick)
        return count

    if file is None:
        write(typer.echo)
        return
    with file.open("x", encoding="utf-8") as out:
        count = write(lambda line: out.write(line + "\n"))
    call.tell({"file": str(file), "events": count}, f"written: {file} ({count} events)")


def tail(call: Call, count: _Count = 20) -> None:
    """Print the last events as JSON lines, oldest first."""
    from multipartner.storage.trail_reading import tail as last  # noqa: PLC0415 - not for --help

    for line in last(call.deployed()[1], count):
        typer.echo(line)


def prune(call: Call, days: _Days = None) -> None:
    """Take out events older than the retention; what stays can still be verified.

    Nothing else prunes, but `serve`: once a day, where the setting trail_retention_days says how long to keep events.
    """
    from multipartner.storage.retention import prune as pruned  # noqa: PLC0415 - not for --help

    settings, backend = call.deployed()
    kept_days = days or settings.trail_retention_days
    if kept_days is None:
        raise fail("nothing says how long to keep events: give --days, or set MULTIPARTNER_TRAIL_RETENTION_DAYS")
    before_s = call.now_s - kept_days * _DAY_S
    count = pruned(backend, before_s=before_s, at_s=call.now_s, actor=call.act.actor)
    call.tell({"pruned": count}, f"{count} events older than {kept_days} days taken out")


class _Only(msgspec.Struct, frozen=True):
    """Which events are wanted; empty: all. What cannot be read is always wanted: it must not be missed."""

    actor: str
    kinds: frozenset[str]

    def wants(self, line: str) -> bool:
        if not self.actor and not self.kinds:
            return True
        event = json.loads(line)
        if "kind" not in event:
            return True
        return self.actor in ("", event.get("actor")) and (not self.kinds or event["kind"] in self.kinds)


def _kind(text: str) -> str:
    from multipartner.domain.events import EventKind  # noqa: PLC0415 - not for --help

    kinds = [kind.value for kind in EventKind]
    if text in kinds:
        return text
    near = difflib.get_close_matches(text, kinds, 1)
    meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(kinds)}"
    raise fail(f"--kind: no such kind of event; {meant}")


def _told(report: "Report") -> str:
    lines = [f"{finding.chain} {finding.seq or ''}: {finding.text}" for finding in report.findings]
    lines.append(f"{'whole' if report.whole else 'NOT WHOLE'}: {report.events} events in {report.chains} chains")
    if report.pruned:
        lines.append(f"retention took the beginning of {len(report.pruned)} chains")
    if report.pending:
        lines.append(f"{report.pending} events wait in the database to be moved")
    return "\n".join(lines)
