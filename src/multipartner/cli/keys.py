"""`keys`: the ring of signing keys."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from multipartner.cli.calling import Call, command, noun, table, when

if TYPE_CHECKING:
    from multipartner.partnering.keys import Dropped
    from multipartner.storage.change_ports import ChangeStore

_Kid = Annotated[str, typer.Argument(metavar="KID", help="Id of the key, as `keys list` shows it.", show_default=False)]
_Now = Annotated[
    bool, typer.Option("--now", help="Sign at once: verifiers that keep the key set refuse its tokens for some minutes.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = noun(app, "keys", "The ring of signing keys: published, signing, verifying, gone.")
    command(group, "list")(list_)
    command(group, "rotate")(rotate)
    command(group, "retire", takes_dashes=True)(retire)
    command(group, "drop", takes_dashes=True)(drop)


def list_(call: Call) -> None:
    """List the keys, oldest first, and what each does now."""
    from multipartner.partnering.keys import list_keys  # noqa: PLC0415 - not for --help

    lifetime_s = call.settings().token_lifetime_s
    rows = [msgspec.structs.asdict(key) for key in call.read(lambda store: list_keys(store, call.now_s, lifetime_s))]
    call.tell(rows, table(rows, ("kid", "state", "published_at_s", "signs_from_s", "retired_at_s"), "no keys"))


def rotate(call: Call, *, now: _Now = False) -> None:
    """Publish a new key. It signs as soon as every verifier can have fetched it; the keys before it verify until retired."""
    from multipartner.operating import open_operator  # noqa: PLC0415 - not for --help
    from multipartner.partnering.keys import rotate as rotate_  # noqa: PLC0415 - as above

    settings = call.settings()

    async def rotated() -> tuple[str, int]:
        async with open_operator(settings) as operator:
            return await rotate_(operator.store, operator.master, call.act, at_once=now)

    kid, signs_from_s = asyncio.run(rotated())
    warning = "\nWarning: a verifier that fetched the key set before refuses its tokens until it fetches it again." if now else ""
    call.tell({"kid": kid, "signs_from_s": signs_from_s}, f"key {kid}: published, signs from {when(signs_from_s)}{warning}")


def retire(call: Call, kid: _Kid) -> None:
    """Stop a key from signing windows that begin from now on; its tokens live on. Refused if no other key signs.

    It goes on signing for the windows that had begun, until they end; how long that can be it says.
    """
    from multipartner.domain.lifetime import Lifetime  # noqa: PLC0415 - not for --help
    from multipartner.partnering.keys import Retired, retire_from  # noqa: PLC0415 - as above

    settings = call.settings()
    lifetime = Lifetime(settings.token_lifetime_s, settings.reissue_s)

    async def retired(store: "ChangeStore") -> Retired:
        return await retire_from(store, call.act, kid, lifetime)

    done = call.read(retired)
    text = (
        f"{done.text}. It signs for windows that began before {when(done.retired_at_s)}, until {when(done.signs_until_s)} "
        f"at the latest; their tokens verify until {when(done.verifies_until_s)} at the latest."
    )
    call.tell(msgspec.to_builtins(done) | {"text": text}, text)


def drop(call: Call, kid: _Kid) -> None:
    """Delete a compromised key: every token issued before is dead at once, and another key signs in its place."""
    from multipartner.operating import open_operator  # noqa: PLC0415 - not for --help
    from multipartner.partnering.keys import drop as drop_  # noqa: PLC0415 - as above

    settings = call.settings()

    async def dropped() -> "Dropped":
        async with open_operator(settings) as operator:
            return await drop_(operator.store, operator.master, call.act, kid)

    done = asyncio.run(dropped())
    call.tell({"dropped": kid, "replacement": done.replacement, "text": done.text}, done.text)
