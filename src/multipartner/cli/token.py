"""`multipartner token get`: a granular token for a script, from a broker, the service or the API."""

import datetime as dt
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from multipartner.cli.calling import fail, noun

if TYPE_CHECKING:
    from multipartner.client import AccessToken, Account, HttpTransport, Secret, TokenUnavailable

_Solution = Annotated[str, typer.Option("--solution", help="Id of the solution.", show_default=False)]
_Business = Annotated[str, typer.Option("--business", help="Id of the customer's business.", show_default=False)]
_Broker = Annotated[
    str | None, typer.Option(metavar="URL|unix:PATH", help="Ask a broker: its address or its unix socket.", show_default=False)
]
_Origin = Annotated[str | None, typer.Option(metavar="URL", help="Ask the service or the API itself.", show_default=False)]
_Store = Annotated[
    Path | None,
    typer.Option(metavar="CONFIG", help="Look into a broker's store, by the broker's configuration.", show_default=False),
]
_Account = Annotated[str | None, typer.Option(help="With --store: the account; default: the only one.", show_default=False)]
_App = Annotated[str | None, typer.Option(help="With --origin: id of the app that asks.", show_default=False)]
_TokenFile = Annotated[Path | None, typer.Option(help="File (0600) with the caller token.", show_default=False)]
_TokenVariable = Annotated[
    str | None, typer.Option(metavar="NAME", help="Environment variable with the caller token.", show_default=False)
]
_TokenStdin = Annotated[bool, typer.Option("--token-stdin", help="Read the caller token from stdin.")]
_SecretFile = Annotated[
    Path | None, typer.Option(help="File (0600) with the app's secret, for appsecret_proof.", show_default=False)
]
_Version = Annotated[str, typer.Option(help="Graph API version to ask in.")]
_MinTtl = Annotated[float, typer.Option("--min-ttl", min=0, help="Seconds that the token must live at least.")]
_Timeout = Annotated[float, typer.Option("--timeout", min=0.1, max=120, help="Seconds to wait at most.")]
_Json = Annotated[bool, typer.Option("--json", help="Print access_token, expires_at and fetched_from as one JSON value.")]

EXIT_CODES: Final = {
    "TenantNotShared": 3,
    "TenantDenied": 4,
    "CredentialRejected": 5,
    "Throttled": 6,
    "UpstreamTransient": 7,
    "WaitTimedOut": 7,
    "LifetimeTooShort": 8,
    "CallRefused": 9,
}
"""Exit code by the client's class of error; 2 for what is wrong with the call itself."""

NOT_STORED: Final = 10
"""Exit code when the store has no token that lives long enough."""

_MARGIN_S: Final = 15.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun(app, "token", "Granular tokens for scripts.").command("get")(get)


def get(  # noqa: PLR0913 - its options
    *,
    solution: _Solution,
    business: _Business,
    broker: _Broker = None,
    origin: _Origin = None,
    app: _App = None,
    store: _Store = None,
    account: _Account = None,
    token_file: _TokenFile = None,
    token_variable: _TokenVariable = None,
    token_stdin: _TokenStdin = False,
    app_secret_file: _SecretFile = None,
    api_version: _Version = "v23.0",
    min_ttl_s: _MinTtl = 0.0,
    timeout_s: _Timeout = 10.0,
    as_json: _Json = False,
) -> None:
    """Print a granular token, and nothing else, on stdout. The caller token is never an argument: those are seen by others."""
    if sum(way is not None for way in (broker, origin, store)) != 1:
        raise fail("name where to ask, and once: --broker URL|unix:PATH, --origin URL with --app ID, or --store CONFIG")
    if store is not None:
        given = (app, token_file, token_variable, app_secret_file)
        if token_stdin or any(one is not None for one in given):
            raise fail("--store takes caller token, app and secret from the broker's configuration; leave them out")
        _print(*_stored(store, account, (solution, business), min_ttl_s), "store", as_json=as_json)
        return
    if account is not None:
        raise fail("--account goes with --store")
    if (origin is None) != (app is None):
        raise fail("--app ID goes with --origin, and --origin needs it")
    caller = _caller_token(token_file, token_variable, from_stdin=token_stdin)
    secret = None if app_secret_file is None else _secret_in(app_secret_file, "app secret")
    try:
        asking, transport = _way(broker, origin, app, caller, api_version, secret)
        key = asking.key(solution, business)
    except ValueError as error:
        raise fail(str(error)) from None
    token = _fetched(asking, transport, (key.solution_id, key.business_id), min_ttl_s, timeout_s)
    _print(token.reveal(), token.expires_at_s, "origin" if broker is None else "broker", as_json=as_json)


def _print(text: str, expires_at_s: int, fetched_from: str, *, as_json: bool) -> None:
    told = {"access_token": text, "expires_at": expires_at_s, "fetched_from": fetched_from}
    typer.echo(json.dumps(told) if as_json else text)


def _stored(config: Path, name: str | None, tenant: tuple[str, str], min_ttl_s: float) -> tuple[str, int]:
    """Read a token and its expiry (Unix seconds, 0: never) from a broker's store; nothing is fetched."""
    from multipartner.broker.configuration import account_of, read  # noqa: PLC0415 - not for --help
    from multipartner.broker.keeping import store_of  # noqa: PLC0415 - as above
    from multipartner.cli.broker import account_named, told  # noqa: PLC0415 - as above

    with told():
        configuration = read(config, os.environ)
        key_of = account_of(configuration, account_named(configuration, name), os.environ).key
        store = store_of(configuration)
        try:
            stored = store.load(key_of(*tenant), int(time.time()))
        except ValueError as error:
            raise fail(str(error)) from None
        finally:
            store.close()
    left_s = 0.0 if stored is None else stored.expires_at_s - time.time() if stored.expires_at_s else math.inf
    if stored is None or left_s <= max(min_ttl_s, _MARGIN_S):
        raise fail(f"the store has no token for business {tenant[1]} that lives long enough", NOT_STORED)
    return stored.text, stored.expires_at_s


def _caller_token(file: Path | None, variable: str | None, *, from_stdin: bool) -> "Secret":
    from multipartner.client import Secret  # noqa: PLC0415 - not for --help

    if (file is not None) + (variable is not None) + from_stdin != 1:
        raise fail("say where the caller token is, and once: --token-file, --token-variable or --token-stdin")
    if file is not None:
        return _secret_in(file, "caller token")
    text = sys.stdin.readline() if variable is None else os.environ.get(variable, "")
    if not text.strip():
        where = "stdin" if variable is None else f"the environment variable {variable}"
        raise fail(f"there is no caller token in {where}")
    return Secret(text.strip())


def _secret_in(file: Path, what: str) -> "Secret":
    from multipartner.broker.configuration import ConfigurationRefused, secret_in  # noqa: PLC0415 - not for --help

    try:
        return secret_in(file, what)
    except ConfigurationRefused as error:
        raise fail(str(error)) from None


def _way(
    broker: str | None, origin: str | None, app: str | None, caller: "Secret", version: str, secret: "Secret | None"
) -> "tuple[Account, HttpTransport]":
    """Make the account to ask with and the way to it; a broker knows by the caller token which app is meant."""
    from multipartner.client import Account, HttpTransport  # noqa: PLC0415 - not for --help

    if broker is not None and broker.startswith("unix:"):
        transport = HttpTransport(uds=broker.removeprefix("unix:"))
        return Account("http://localhost", "0", caller, version=version, app_secret=secret), transport
    return Account(broker or origin or "", app or "0", caller, version=version, app_secret=secret), HttpTransport()


def _fetched(
    account: "Account", transport: "HttpTransport", tenant: tuple[str, str], min_ttl_s: float, timeout_s: float
) -> "AccessToken":
    from multipartner.client import Options, TokenProvider, TokenUnavailable  # noqa: PLC0415 - not for --help

    with TokenProvider(account, Options(workers=1, sweeps=False), transport=transport) as provider:
        try:
            return provider.get(account.key(*tenant), min_ttl_s=min_ttl_s, timeout_s=timeout_s)
        except TokenUnavailable as error:
            raise fail(_line(error), EXIT_CODES.get(type(error).__name__, 7)) from None


def _line(error: "TokenUnavailable") -> str:
    if error.retry_at_s is None:
        return str(error)
    at = dt.datetime.fromtimestamp(error.retry_at_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{error}; retry_at {at}"
