"""`multipartner broker`: the client behind the contract's own path, and the caller tokens that it takes."""

import contextlib
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from multipartner.cli.calling import fail, noun
from multipartner.cli.listening import PortTaken, SocketTaken, claim_socket, hold, listen_on_loopback

if TYPE_CHECKING:
    from multipartner.broker.configuration import Configuration

Config = Annotated[Path, typer.Option("--config", help="The broker's configuration, a TOML file.")]
DEFAULT_CONFIG = Path("broker.toml")


def register(app: typer.Typer) -> None:
    """Add `broker` and what is below it."""
    from multipartner.cli import broker_credentials, broker_keys  # noqa: PLC0415 - they take the options from here

    group = noun(app, "broker", "Serve fresh tokens on this machine, on the contract's own path, to programs in any language.")
    group.callback(invoke_without_command=True)(broker)
    broker_credentials.register(group)
    broker_keys.register(group)


def broker(context: typer.Context, config: Config = DEFAULT_CONFIG) -> None:
    """Serve fresh tokens on this machine, on the contract's own path, to programs in any language, until SIGTERM or SIGINT."""
    if context.invoked_subcommand is None:
        with told():
            run(config)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What the broker refuses is one line on stderr, and ends with 2."""
    from multipartner.broker.configuration import ConfigurationRefused  # noqa: PLC0415 - not for --help
    from multipartner.broker.credentials import CredentialsRefused  # noqa: PLC0415 - as above
    from multipartner.client.ports import StoreUnavailable  # noqa: PLC0415 - as above

    try:
        yield
    except (ConfigurationRefused, CredentialsRefused, StoreUnavailable, PortTaken, SocketTaken) as error:
        raise fail(str(error)) from None


def configuration_at(config: Path) -> "Configuration":
    """Read and check a configuration. Raises ConfigurationRefused."""
    from multipartner.broker.configuration import read  # noqa: PLC0415 - not for --help

    return read(config, os.environ)


def account_named(configuration: "Configuration", name: str | None) -> str:
    """Return the account that an option means; without one the only account there is."""
    names = sorted(configuration.upstreams)
    if name is None and len(names) == 1:
        return names[0]
    if name not in names:
        raise fail(f"--account: must name one of {', '.join(names)}")
    return name


def run(config: Path) -> None:
    """Check everything, then serve. Raises ConfigurationRefused, CredentialsRefused, PortTaken, SocketTaken."""
    from multipartner.broker.keeping import check_store  # noqa: PLC0415 - not for --help

    configuration = configuration_at(config)
    # Whatever is made from here on, sockets included, is this user's alone from its first moment.
    os.umask(0o077)
    with ExitStack() as held:
        where, address = _taken(configuration, held)
        operations = held.enter_context(listen_on_loopback(configuration.operations_port, in_worker=True))
        _check_no_loop(configuration, address)
        check_store(configuration)
        _serve(configuration, where, address, operations)


def _taken(configuration: "Configuration", held: ExitStack) -> tuple[dict[str, Any], str]:
    """Take the address; returns how the server names it, and how people do."""
    listen = configuration.listen
    if listen.socket is not None:
        held.callback(os.close, claim_socket(listen.socket))
        return {"uds": listen.socket, "uds_permissions": 0o600}, str(listen)
    public = held.enter_context(hold(listen.host, listen.port))
    port = public.getsockname()[1]
    return {"address": listen.host, "port": port}, str(type(listen)(listen.host, port))


def _check_no_loop(configuration: "Configuration", address: str) -> None:
    """Refuse an upstream that is this broker: by address, and by a caller token of its own, which no other name hides."""
    from multipartner.broker.configuration import ConfigurationRefused, account_of, caller_token_of  # noqa: PLC0415 - not for --help
    from multipartner.broker.credentials import Credentials  # noqa: PLC0415 - as above

    credentials, file = Credentials(configuration.credentials_file), configuration.file
    for name, upstream in configuration.upstreams.items():
        # Made here so that a secret that cannot be read stops the start, and not the worker.
        account_of(configuration, name, os.environ)
        if _is_at(upstream.origin, address):
            raise ConfigurationRefused(f"{file}: accounts.{name}.origin: is this broker itself; name the API or the service")
        if credentials.is_own(caller_token_of(configuration, name, os.environ)):
            raise ConfigurationRefused(
                f"{file}: accounts.{name}.caller_token_file: holds a caller token of this broker itself; "
                "it needs one that the API or the service takes"
            )


def _is_at(origin: str, address: str) -> bool:
    there, here = urlsplit(origin), urlsplit(address)
    if there.scheme != "http" or (there.port or 80) != here.port:
        return False
    return there.hostname in ("localhost", here.hostname) or ipaddress.ip_address(here.hostname or "").is_unspecified


def _serve(configuration: "Configuration", where: dict[str, Any], address: str, operations: socket.socket) -> None:
    from multipartner.cli.broker_worker import load  # noqa: PLC0415 - not for --help
    from multipartner.cli.http_server import http_server  # noqa: PLC0415 - as above

    server = http_server(where, 1, configuration.log_level, configuration.log_format)
    port = operations.getsockname()[1]
    names = ", ".join(sorted(configuration.upstreams))
    line = f"multipartner broker serves {address} for {names}; operations: http://127.0.0.1:{port}"
    server.on_startup(partial(_announce_when_up, line, where, port))
    server.serve(target_loader=partial(load, configuration.file.absolute(), operations, os.getpid()), wrap_loader=False)


def _announce_when_up(line: str, where: dict[str, Any], operations_port: int) -> None:
    threading.Thread(target=_announce, args=(line, where, operations_port), name="announce", daemon=True).start()


def _announce(line: str, where: dict[str, Any], operations_port: int) -> None:
    # Bare sockets, and nothing that could be importing something at the moment of a fork: the worker would inherit that lock.
    family = socket.AF_UNIX if "uds" in where else socket.AF_INET6 if ":" in where["address"] else socket.AF_INET
    public = str(where["uds"]) if "uds" in where else (where["address"], where["port"])
    while True:
        with contextlib.suppress(OSError), socket.socket() as operations, socket.socket(family) as probe:
            operations.settimeout(30)
            operations.connect(("127.0.0.1", operations_port))
            operations.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            probe.connect(public)
            if b" 200 " in operations.recv(64):
                break
        time.sleep(0.05)
    print(line, flush=True)  # noqa: T201 - the CLI
