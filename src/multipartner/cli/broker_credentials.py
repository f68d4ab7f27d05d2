"""`multipartner broker credential`: the caller tokens that a broker takes. A running broker obeys with its next request."""

import time
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from multipartner.cli.broker import DEFAULT_CONFIG, Config, account_named, configuration_at, told
from multipartner.cli.calling import Json, noun, table, tell, when

if TYPE_CHECKING:
    from multipartner.broker.credentials import Known

_Name = Annotated[str, typer.Option("--name", help="A name for people.", show_default=False)]
_Solutions = Annotated[
    list[str], typer.Option("--solution", help="A solution that it may reach; once for each, or '*' for all.", show_default=False)
]
_Businesses = Annotated[
    list[str], typer.Option("--business", help="A customer that it may reach; once for each, or '*' for all.", show_default=False)
]
_Account = Annotated[
    str | None, typer.Option("--account", help="The account that it uses; default: the only one.", show_default=False)
]
_Lifetime = Annotated[int | None, typer.Option(min=1, help="Seconds until it expires; default: never.", show_default=False)]
_Id = Annotated[str, typer.Argument(help="Id, as shown at its creation.", show_default=False)]


def register(group: typer.Typer) -> None:
    """Add the commands below `broker`."""
    credentials = noun(group, "credential", "Caller tokens of the broker's own: what programs on this machine send.")
    credentials.command("create")(create)
    credentials.command("revoke")(revoke)
    credentials.command("list")(list_)


def create(  # noqa: PLR0913 - its options
    *,
    name: _Name,
    solution: _Solutions,
    business: _Businesses,
    account: _Account = None,
    lifetime_s: _Lifetime = None,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Make a caller token that reaches the named solutions and customers and nothing else, and print it this once."""
    from multipartner.broker.credentials import Wanted  # noqa: PLC0415 - not for --help
    from multipartner.broker.credentials import create as create_  # noqa: PLC0415 - as above

    with told():
        configuration = configuration_at(config)
        wanted = Wanted(name, account_named(configuration, account), solution, business, lifetime_s)
        made, text = create_(configuration.credentials_file, wanted, int(time.time()))
    lives = "never expires" if made.expires_at_s is None else f"expires {when(made.expires_at_s)}"
    reach = f"solutions {' '.join(made.solutions)}, businesses {' '.join(made.businesses)}"
    tell(
        {"token": text.reveal(), **_facts(made)},
        f"{text.reveal()}\n\nbroker credential {made.id} ({name}) of account {made.account}: {reach}; {lives}. "
        "Shown this once; only a fingerprint is kept.",
        as_json=as_json,
    )


def revoke(credential: _Id, *, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """End a caller token. What it fetched lives to its expiry."""
    from multipartner.broker.credentials import revoke as revoke_  # noqa: PLC0415 - not for --help

    with told():
        changed = revoke_(configuration_at(config).credentials_file, credential, int(time.time()))
    text = f"broker credential {credential}: {'revoked' if changed else 'was revoked already'}"
    tell({"changed": changed, "text": text}, text, as_json=as_json)


def list_(*, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """List the caller tokens, the revoked ones too."""
    from multipartner.broker.credentials import listed  # noqa: PLC0415 - not for --help

    with told():
        rows = [_facts(known) for known in listed(configuration_at(config).credentials_file)]
    columns = ("id", "name", "account", "state", "expires_at_s", "solutions", "businesses")
    tell(rows, table(rows, columns, "no caller tokens"), as_json=as_json)


def _facts(known: "Known") -> dict[str, object]:
    facts = msgspec.to_builtins(known)
    del facts["mac"]
    is_expired = known.expires_at_s is not None and known.expires_at_s <= time.time()
    return {**facts, "state": "revoked" if known.revoked_at_s is not None else "expired" if is_expired else "active"}
