"""`world apply` and `world export`."""

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from multipartner.cli.calling import Call, command, fail, noun

if TYPE_CHECKING:
    from multipartner.partnering.applying import Applied

_File = Annotated[Path, typer.Argument(help="World file (YAML).", show_default=False)]
_SecretsOut = Annotated[
    Path | None,
    typer.Option(help="Write new app secrets to this new file (0600, JSON) instead of printing them.", show_default=False),
]
_Out = Annotated[Path | None, typer.Argument(help="File to write; default: standard output.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = noun(app, "world", "Declare businesses, apps, solutions and shares in one file.")
    command(group, "apply")(apply)
    command(group, "export")(export)


def apply(call: Call, file: _File, secrets_out: _SecretsOut = None) -> None:
    """Bring the facts to what FILE declares: add and update, delete nothing. The second time changes nothing.

    What was ended stays so unless FILE says otherwise: a `status` or `revoked_apps` that is left out leaves it as it is.
    """
    from multipartner.operating import open_operator  # noqa: PLC0415 - not for --help
    from multipartner.partnering import worldfile  # noqa: PLC0415 - as above
    from multipartner.partnering.applying import WorldContradicted, apply_world  # noqa: PLC0415 - as above
    from multipartner.partnering.yamltree import MAX_BYTES  # noqa: PLC0415 - as above

    with file.open("rb") as opened:
        declared = worldfile.read_file(opened.read(MAX_BYTES + 1), str(file))
    settings = call.settings()

    async def applied() -> "Applied":
        async with open_operator(settings) as operator:
            try:
                return await apply_world(operator.store, operator.master, call.act, declared.world, declared.unsaid)
            except WorldContradicted as refused:
                raise declared.refusal(refused.contradictions) from None

    if secrets_out is None:
        done = asyncio.run(applied())
        secrets = {str(app): secret.reveal() for app, secret in done.secrets.items()}
        _tell(call, done, secrets, None)
        return
    # Made before anything is changed: a secret that cannot be kept must not be made.
    with open(os.open(secrets_out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as out:  # noqa: PTH123 - os.open gives the mode at birth
        try:
            done = asyncio.run(applied())
        except BaseException:
            secrets_out.unlink(missing_ok=True)
            raise
        json.dump({app: secret.reveal() for app, secret in done.secrets.items()}, out, indent=2)
        out.write("\n")
    _tell(call, done, {}, secrets_out)


def _tell(call: Call, done: "Applied", secrets: dict[str, str], secrets_out: Path | None) -> None:
    facts: dict[str, object] = {"changes": done.lines, "stays": done.stays, "secrets": secrets}
    text = "\n".join((*(done.lines or ("nothing to change",)), *done.stays))
    if secrets:
        text += "\n\nApp secrets, shown this once:\n" + "\n".join(f"  {app}  {secret}" for app, secret in secrets.items())
    if secrets_out is not None:
        facts["secrets_file"] = str(secrets_out)
        text += f"\n\nApp secrets: {secrets_out}"
    call.tell(facts, text)


def export(call: Call, file: _Out = None) -> None:
    """Write the facts as a world file. It holds no secrets, and applied again it changes nothing."""
    from multipartner.domain.world import World  # noqa: PLC0415 - not for --help
    from multipartner.operating import open_store  # noqa: PLC0415 - as above
    from multipartner.partnering import worldfile  # noqa: PLC0415 - as above
    from multipartner.partnering.applying import export_world  # noqa: PLC0415 - as above

    settings = call.settings()

    async def exported() -> World:
        async with open_store(settings) as store:
            return await export_world(store)

    world = asyncio.run(exported())
    if file is None:
        call.tell(msgspec.to_builtins(world), worldfile.dump(world).rstrip("\n"))
        return
    if file.exists():
        raise fail(f"{file}: exists already; name a new file")
    file.write_text(worldfile.dump(world), "utf-8")
    call.tell({"file": str(file)}, f"written: {file}")
