"""`backup` and `restore`: a deployment as it was at one moment, and back."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multipartner.cli.calling import Call, command, when

if TYPE_CHECKING:
    from multipartner.backing_up import Restored
    from multipartner.settings import Settings

_New = Annotated[Path, typer.Argument(metavar="FOLDER", help="New folder to write.", show_default=False)]
_Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A backup, as `backup` wrote it.", show_default=False)]
_Replace = Annotated[bool, typer.Option("--replace", help="Files: move aside what is there now. Stop what serves first.")]
_KeepTrail = Annotated[
    bool,
    typer.Option("--keep-trail", help="Files: restore only the facts; the trail that is there goes on."),
]

_MOST_SHOWN = 100


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "backup")(backup)
    command(app, "restore")(restore)


def backup(call: Call, folder: _New) -> None:
    """Write facts and trail, as they are at one moment, into a new folder, while it serves. The master key is not in it."""
    from multipartner.backing_up import back_up  # noqa: PLC0415 - not for --help

    settings = call.settings()
    made = back_up(settings, folder, call.now_s)
    size = sum(part.bytes for part in made.parts.values())
    facts = {"folder": str(folder), "engine": made.engine, "made_at_s": made.made_at_s, "bytes": size}
    text = (
        f"written: {folder} ({', '.join(made.parts)}; {size} bytes), as of {when(made.made_at_s)}\n"
        f"The master key is not in it: keep {settings.master_key_file} apart."
    )
    call.tell(facts | {"changes_seq": made.changes.seq}, text)


def restore(call: Call, folder: _Folder, *, replace: _Replace = False, keep_trail: _KeepTrail = False) -> None:
    """Make a deployment of a backup, where nothing is yet. Every token issued before is dead; later changes are undone."""
    from multipartner.backing_up import Wish  # noqa: PLC0415 - not for --help
    from multipartner.backing_up import restore as restored  # noqa: PLC0415 - as above
    from multipartner.operating import backend_of  # noqa: PLC0415 - as above

    settings = call.settings()
    done = restored(settings, folder, call.act, Wish(replace=replace, keep_trail=keep_trail))
    facts = {
        "database": (place := backend_of(settings).name),
        "backup_at_s": done.manifest.made_at_s,
        "aside": done.aside,
        "undone": None if done.undone is None else [json.loads(line) for line in done.undone],
    }
    lines = [f"restored: {place}, as of {when(done.manifest.made_at_s)}; every token issued before is dead"]
    call.tell(facts, "\n".join([*lines, *_moved(settings, done), *_undone(done)]))


def _moved(settings: "Settings", done: "Restored") -> list[str]:
    if not done.aside:
        return []
    return [f"what was there: {settings.database}{done.aside} (and the trail, unless kept; -wal and -shm belong to them)"]


def _undone(done: "Restored") -> list[str]:
    """Say what is again as it was: nothing in the backup can know it."""
    warning = "What was revoked, withdrawn, suspended or dropped after the backup is active again: do it again before you serve."
    if done.undone is None:
        since_s = done.manifest.made_at_s
        return [f"{warning} If the old place can be read, it tells what: multipartner audit export --since-s {since_s}"]
    if not done.undone:
        return ["nothing was changed after the backup"]
    more = len(done.undone) - _MOST_SHOWN
    left = [f"... and {more} more: see `audit export` of the trail"] if more > 0 else []
    return [warning, f"changed after the backup ({len(done.undone)}):", *done.undone[:_MOST_SHOWN], *left]
