"""The broker's configuration: one TOML file, checked as a whole before anything is opened."""

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from multipartner import private_file
from multipartner.client import Account, Secret
from multipartner.private_file import PrivateFileError

_MOST_SECRET_BYTES: Final = 8192
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_ID: Final = re.compile("[0-9]{1,32}")
_FROM_ENVIRONMENT: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)(/.*)?")


class ConfigurationRefused(Exception):  # noqa: N818 - a verdict
    """The configuration cannot be used; the text is one line: file, setting, shape, fix. Never a secret."""


class Prefetch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Customers of one solution whose tokens are fetched at the start."""

    solution: str
    businesses: tuple[str, ...]


class Upstream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One app's way to the API. Paths are relative to the file's folder; in `$NAME/...` the environment has the start."""

    origin: str
    app_id: str
    caller_token_file: str
    version: str = "v23.0"
    app_secret_file: str | None = None
    prefetch: tuple[Prefetch, ...] = ()
    prefetch_per_s: float = 20.0


class _Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    file: str = "tokens/tokens.db"
    key_file: str = "token-store.keys"


class StoreFiles(msgspec.Struct, frozen=True):
    """Where tokens outlive the broker: the sealed store, and the key that opens it."""

    file: Path
    key_file: Path


class Listen(msgspec.Struct, frozen=True):
    """Where the broker answers: a host and port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    socket: Path | None = None

    def __str__(self) -> str:
        if self.socket is not None:
            return f"unix:{self.socket}"
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    accounts: dict[str, Upstream]
    store: _Store | None = None
    listen: str = "127.0.0.1:8084"
    operations_port: int = 8085
    credentials_file: str = "broker-credentials.json"
    tls_terminated: bool = False
    accept_query_token: bool = False
    wait_s: float = 10.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    log_successes_per_s: int = 10


class Configuration(msgspec.Struct, frozen=True):
    """What the file says, with paths and addresses resolved; holds no secret. `wait_s`: how long a caller waits for a token."""

    file: Path
    upstreams: Mapping[str, Upstream]
    listen: Listen
    operations_port: int
    credentials_file: Path
    store: StoreFiles | None
    accept_query_token: bool
    wait_s: float
    log_level: Literal["debug", "info", "warning", "error"]
    log_format: Literal["json", "console"]
    log_successes_per_s: int


Environment = Mapping[str, str]
_CHOICES: Final = {"log_level": "debug, info, warning, error", "log_format": "json, console"}


def read(file: Path, environment: Environment) -> Configuration:
    """Read and check a configuration; secrets are left where they are. Raises ConfigurationRefused."""
    try:
        document = msgspec.convert(tomllib.loads(file.read_text("utf-8")), _Document)
    except FileNotFoundError:
        raise ConfigurationRefused(f"{file}: there is no such file; name one with --config, docs/broker.md shows one") from None
    except OSError as error:
        raise ConfigurationRefused(f"{file}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationRefused(f"{file}: is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigurationRefused(f"{file}: {_shape(str(error))}") from None

    def refused(setting: str, text: str) -> ConfigurationRefused:
        return ConfigurationRefused(f"{file}: {setting}: {text}")

    _check_accounts(document.accounts, refused)
    _check_numbers(document, refused)
    listen = _listen(document, refused)
    if listen.socket is None and listen.port == document.operations_port != 0:
        raise refused("operations_port", "must be another than the port in `listen`")
    return Configuration(
        file,
        document.accounts,
        listen,
        document.operations_port,
        _path(document.credentials_file, file, environment, "credentials_file"),
        None if document.store is None else _store(document.store, file, environment),
        document.accept_query_token,
        document.wait_s,
        document.log_level,
        document.log_format,
        document.log_successes_per_s,
    )


def caller_token_of(configuration: Configuration, name: str, environment: Environment) -> Secret:
    """Read the caller token of an account. Raises ConfigurationRefused."""
    where, text = f"accounts.{name}.caller_token_file", configuration.upstreams[name].caller_token_file
    return secret_in(_path(text, configuration.file, environment, where), "caller token")


def account_of(configuration: Configuration, name: str, environment: Environment) -> Account:
    """Read an account's secrets and make it. Raises ConfigurationRefused."""
    upstream, file = configuration.upstreams[name], configuration.file
    token, secret = caller_token_of(configuration, name, environment), None
    if upstream.app_secret_file is not None:
        path = _path(upstream.app_secret_file, file, environment, f"accounts.{name}.app_secret_file")
        secret = secret_in(path, "app secret")
    try:
        return Account(upstream.origin, upstream.app_id, token, version=upstream.version, app_secret=secret)
    except ValueError as error:
        raise ConfigurationRefused(f"{file}: accounts.{name}: {error}") from None


def secret_in(path: Path, noun: str) -> Secret:
    """Read a file (0600) that holds one secret and perhaps the end of its line. Raises ConfigurationRefused."""
    try:
        content = private_file.read(path, noun, _MOST_SECRET_BYTES, "write the secret into it, with mode 0600")
    except PrivateFileError as error:
        raise ConfigurationRefused(str(error)) from None
    text = content.decode("latin-1").strip()
    if not text or len(content) > _MOST_SECRET_BYTES or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigurationRefused(f"{path}: holds no {noun}; it must be one line of printable ASCII without a space")
    return Secret(text)


Refused = Callable[[str, str], ConfigurationRefused]


def _check_accounts(accounts: Mapping[str, Upstream], refused: Refused) -> None:
    if not accounts:
        raise refused("accounts", "must hold at least one, such as [accounts.main]")
    for name, upstream in accounts.items():
        if _NAME.fullmatch(name) is None:
            raise refused(f"accounts.{name[:40]!r}", "a name has 1 to 32 small letters, digits, - and _")
        try:
            account = Account(upstream.origin, upstream.app_id, Secret("x"), version=upstream.version)
        except ValueError as error:
            raise refused(f"accounts.{name}", str(error)) from None
        for wanted in upstream.prefetch:
            for business in wanted.businesses or ("",):
                try:
                    account.key(wanted.solution, business)
                except ValueError as error:
                    raise refused(f"accounts.{name}.prefetch", str(error)) from None
        if not 0.1 <= upstream.prefetch_per_s <= 1000:
            raise refused(f"accounts.{name}.prefetch_per_s", "must be 0.1 to 1000")


def _check_numbers(document: _Document, refused: Refused) -> None:
    if not 0 <= document.operations_port <= 65535:
        raise refused("operations_port", "must be 0 (a free one) to 65535")
    if not 0.1 <= document.wait_s <= 60:
        raise refused("wait_s", "must be 0.1 to 60 seconds")
    if document.log_successes_per_s < 0:
        raise refused("log_successes_per_s", "must be 0 or more")


def _listen(document: _Document, refused: Refused) -> Listen:
    text = document.listen
    if text.startswith("unix:"):
        path = Path(text.removeprefix("unix:"))
        if not path.is_absolute() or len(bytes(path)) > 100:
            raise refused(
                "listen", "a unix socket needs an absolute path of at most 100 bytes: unix:/run/multipartner/broker.sock"
            )
        return Listen(socket=path)
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
        is_whole = parts.netloc == text and "@" not in text
    except ValueError:
        is_whole, address, port = False, None, None
    if not is_whole or address is None or port is None:
        raise refused("listen", "must be an address and a port such as 127.0.0.1:8084, or unix:/path")
    if not address.is_loopback and not document.tls_terminated:
        raise refused("listen", "plain HTTP on a public address; put a TLS proxy in front and set tls_terminated = true")
    return Listen(str(address), port)


def _store(store: _Store, file: Path, environment: Environment) -> StoreFiles:
    return StoreFiles(
        _path(store.file, file, environment, "store.file"), _path(store.key_file, file, environment, "store.key_file")
    )


def _path(text: str, file: Path, environment: Environment, setting: str) -> Path:
    found = _FROM_ENVIRONMENT.fullmatch(text)
    if found is None:
        return file.absolute().parent / text
    start = environment.get(found[1])
    if not start:
        raise ConfigurationRefused(f"{file}: {setting}: the environment has no {found[1]}; set it, or name the file itself")
    return file.absolute().parent / f"{start}{found[2] or ''}"


def _shape(text: str) -> str:
    """`Expected ..., got ... - at `$.accounts.main.origin`` as `accounts.main.origin: expected ...`."""
    message, _, place = text.partition(" - at `$.")
    place = place.rstrip("`").replace("[...]", ".*") or "top level"
    if place in _CHOICES:
        message = f"must be one of {_CHOICES[place]}"
    return f"{place}: {message[:1].lower()}{message[1:]}"
