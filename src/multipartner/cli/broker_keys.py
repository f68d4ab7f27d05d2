"""`multipartner broker keys`: the keys that seal a broker's token store. A running broker uses what it read at its start."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from multipartner.cli.broker import DEFAULT_CONFIG, Config, configuration_at, told
from multipartner.cli.calling import Json, noun, table, tell

if TYPE_CHECKING:
    from multipartner.client.store_keys import KeyUse

_Id = Annotated[str, typer.Argument(help="Id, as `list` shows it.", show_default=False)]
_Leaked = Annotated[bool, typer.Option("--leaked", help="Drop it though tokens are sealed under it: they are fetched anew.")]


def register(group: typer.Typer) -> None:
    """Add the commands below `broker`."""
    keys = noun(group, "keys", "Keys that seal the token store.")
    keys.command("list")(list_)
    keys.command("rotate")(rotate)
    keys.command("drop")(drop)


def list_(*, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """List the keys, how many tokens are sealed under each, and when the last of them ends."""
    from multipartner.broker.keeping import key_use  # noqa: PLC0415 - not for --help

    with told():
        uses = key_use(configuration_at(config))
    rows = [{"id": use.key_id, "state": _state(use), "tokens": use.rows, "last_end_s": use.last_end_s or None} for use in uses]
    columns = ("id", "state", "tokens", "last_end_s")
    tell(rows, table(rows, columns, "no keys"), as_json=as_json)


def rotate(*, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Make a new key. Tokens are sealed under it from the broker's next start, as they are refreshed; the others still open."""
    from multipartner.broker.keeping import rotate_key  # noqa: PLC0415 - not for --help

    with told():
        made = rotate_key(configuration_at(config))
    text = f"key {made}: seals from the broker's next start; the keys before it open until they are dropped"
    tell({"id": made, "text": text}, text, as_json=as_json)


def drop(key: _Id, *, leaked: _Leaked = False, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Take an old key out of the key file, once no token is sealed under it any more."""
    from multipartner.broker.keeping import drop_old_key  # noqa: PLC0415 - not for --help

    with told():
        lost = drop_old_key(configuration_at(config), key, int(time.time()), leaked=leaked)
    again = f"; up to {lost} tokens are fetched anew" if lost else ""
    text = f"key {key}: dropped; a running broker forgets it when it is restarted{again}"
    tell({"id": key, "fetched_anew_at_most": lost, "text": text}, text, as_json=as_json)


def _state(use: "KeyUse") -> str:
    return "seals" if use.seals else "opens" if use.opens else "dropped"
