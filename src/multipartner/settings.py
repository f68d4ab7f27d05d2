"""The settings: names, defaults, help, checks. The environment is read here and nowhere else.

Every setting is an environment variable `MULTIPARTNER_<NAME>` and, for `serve`, an option `--<name>`. A wrong or unknown
one stops the start.
"""

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from multipartner.setting_types import CommaList, Networks, Place

PREFIX = "MULTIPARTNER_"

FOREIGN = frozenset({"MULTIPARTNER_CONTRACT"})
"""Variables of the project's own tests that are no settings."""


class SettingsError(Exception):
    """A setting is wrong; the text is one line: its name, the value's shape, the fix."""


_MAX_NAME_CHARS: Final = 200
"""Issuer and audience stand in every token, which is at most 2 kB."""

_LIMITS_URL: Final = re.compile(r"(?:(?:valkey|redis)s?|(?:valkey|redis)\+(?:unix|sentinel|cluster))://\S+", re.ASCII)

_HOST_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*", re.ASCII)


class Settings(BaseSettings):
    """All settings of one deployment. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    database: Annotated[Place, Field(description="Where the facts are: an SQLite file, or a postgresql:// URL.")] = Path(
        "multipartner.db"
    )
    database_connections: Annotated[
        int, Field(ge=1, le=100, description="PostgreSQL: connections that read, at most, per worker (three more do the rest).")
    ] = 8
    trail: Annotated[
        Path | None,
        Field(description="SQLite file of the audit trail; default: beside the database. PostgreSQL keeps it itself."),
    ] = None
    master_key_file: Annotated[Path, Field(description="File (0600) with the master key, as `multipartner init` makes it.")] = (
        Path("multipartner.key")
    )
    host: Annotated[str, Field(description="Address to serve on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to serve on.")] = 8080
    operations_port: Annotated[int, Field(ge=0, le=65535, description="Loopback port for /healthz, /readyz and /metrics.")] = 8081
    workers: Annotated[int, Field(ge=1, le=64, description="Worker processes.")] = 1
    issuer: Annotated[str | None, Field(description="`iss` of tokens, an https URL; default: the address served on.")] = None
    audience: Annotated[str | None, Field(description="`aud` of tokens; default: the issuer.")] = None
    tls_terminated: Annotated[
        bool, Field(description="A proxy in front terminates TLS: needed to serve plain HTTP on a public address.")
    ] = False
    trusted_proxies: Annotated[
        Networks, Field(description="Addresses or networks whose X-Forwarded-For is believed, comma-separated.")
    ] = ()
    versions: Annotated[CommaList, Field(description="Served Graph API versions, oldest first, comma-separated.")] = (
        "v21.0",
        "v22.0",
        "v23.0",
        "v24.0",
        "v25.0",
        "v26.0",
    )
    token_lifetime_s: Annotated[int, Field(ge=2, le=86400, description="How long a granular token lives.")] = 3600
    reissue_interval_s: Annotated[
        int | None, Field(ge=1, description="How often a new one is made; default and at most half the lifetime.")
    ] = None
    accept_query_token: Annotated[bool, Field(description="Accept the caller token in the query (RFC 9700 advises against).")] = (
        False
    )
    calls_per_hour: Annotated[
        int | None, Field(ge=1, description="Calls of one app per hour; default: 200 for each connected business.")
    ] = None
    calls_per_business_per_hour: Annotated[int, Field(ge=1, description="Calls of one app for one business per hour.")] = 5000
    failures_per_hour: Annotated[
        int, Field(ge=1, description="Failed authentications from one address (IPv6: /64) per hour.")
    ] = 1000
    limits_url: Annotated[
        SecretStr | None, Field(description="Valkey or Redis in which all hosts count their limits together; extra `valkey`.")
    ] = None
    limits_when_away: Annotated[
        Literal["count", "refuse"], Field(description="Without it: each worker counts its part alone, or calls are refused.")
    ] = "count"
    limits_prefix: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9:._-]{1,64}$", description="How keys in it begin; default: made from the issuer."),
    ] = None
    stale_for_s: Annotated[
        float, Field(ge=0.1, le=3600, description="How old the change feed's confirmation may be before a cache stops answering.")
    ] = 1.0
    cache_size: Annotated[int, Field(ge=1, description="Grants kept in memory per worker.")] = 200_000
    explain_kept: Annotated[int, Field(ge=100, description="Refusals kept for `explain`.")] = 100_000
    trail_retention_days: Annotated[int | None, Field(ge=1, description="Days that trail events are kept; default: all.")] = None
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="Lowest level logged.")] = "info"
    log_format: Annotated[Literal["json", "console"], Field(description="One JSON object a line, or text for people.")] = "json"
    log_successes_per_s: Annotated[
        int, Field(ge=0, description="Successful requests logged per second and worker (a line costs more than an answer).")
    ] = 10

    @property
    def trail_file(self) -> Path:
        """Where the trail lies, beside facts in a file. Raises TypeError where they are not."""
        if not isinstance(self.database, Path):
            raise TypeError("the trail is in the database")
        return self.trail or self.database.with_suffix(".trail.db")

    @property
    def reissue_s(self) -> int:
        """The re-issue interval in force."""
        return self.reissue_interval_s or self.token_lifetime_s // 2

    @property
    def issuer_url(self) -> str:
        """`iss` in force."""
        return self.issuer or f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        if self.reissue_s > self.token_lifetime_s // 2:
            raise ValueError("reissue_interval_s: must be at most half of token_lifetime_s")
        for name in ("calls_per_hour", "calls_per_business_per_hour", "failures_per_hour"):
            calls = getattr(self, name)
            if calls is not None and calls < self.workers and self.limits_url is None:
                raise ValueError(f"{name}: must be at least 1 for each of the {self.workers} workers, among which it is divided")
        for version in self.versions:
            if not re.fullmatch(r"v[0-9]+\.[0-9]+", version, re.ASCII):
                raise ValueError("versions: each must look like v23.0")
        if not self.versions or list(self.versions) != sorted(set(self.versions), key=_version_key):
            raise ValueError("versions: must name at least one, oldest first, each once")
        if self.operations_port == self.port != 0:
            raise ValueError("operations_port: must be another than port")
        if self.trail is not None and not isinstance(self.database, Path):
            raise ValueError("trail: PostgreSQL keeps the trail in the database; leave this setting out")
        if self.limits_url is not None and _LIMITS_URL.fullmatch(self.limits_url.get_secret_value()) is None:
            raise ValueError("limits_url: must be a URL such as valkey://host:6379/0; see docs/settings.md")
        self._check_names()
        self._check_address()
        return self

    def _check_names(self) -> None:
        for name, value in (("issuer", self.issuer), ("audience", self.audience)):
            if value is not None and re.fullmatch(rf"[!-~]{{1,{_MAX_NAME_CHARS}}}", value, re.ASCII) is None:
                raise ValueError(f"{name}: must be 1 to {_MAX_NAME_CHARS} printable ASCII characters without a space")
        wrong = None if self.issuer is None else _wrong_with(self.issuer)
        if wrong is not None:
            raise ValueError(f"issuer: must be an https:// URL such as https://tokens.example; {wrong}")

    def _check_address(self) -> None:
        local = _is_loopback(self.host)
        if not local and not self.tls_terminated:
            raise ValueError("host: plain HTTP on a public address; put a TLS proxy in front and set tls_terminated=true")
        if not local and self.issuer is None:
            raise ValueError("issuer: must be set (an https:// URL) when host is not loopback")


def warnings(settings: Settings) -> tuple[str, ...]:
    """What can be served but was hardly meant, one line each, with the fix."""
    if settings.tls_terminated and not settings.trusted_proxies:
        one = "is empty while a proxy terminates TLS: all clients count as the proxy's one address"
        return (f"{PREFIX}TRUSTED_PROXIES: {one}, and the failures of one shut out all; name the proxy's address",)
    return ()


def load(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the environment, with `overrides` (from the command line) on top; raises SettingsError in one line."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in os.environ:
        if (
            name.upper().startswith(PREFIX)
            and name.upper() not in known | FOREIGN
            and not name.upper().startswith(PREFIX + "TEST_")
        ):
            near = difflib.get_close_matches(name.lower().removeprefix(PREFIX.lower()), list(Settings.model_fields), 1)
            meant = f"did you mean {PREFIX}{near[0].upper()}?" if near else "see `multipartner serve --help`"
            raise SettingsError(f"{name}: no such setting; {meant}")
    try:
        settings = Settings(**{k: v for k, v in (overrides or {}).items() if v is not None})
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from None
    _check_no_folder(settings)
    return settings


def _check_no_folder(settings: Settings) -> None:
    for name, file in (("DATABASE", settings.database), ("TRAIL", settings.trail)):
        if isinstance(file, Path) and os.path.isdir(file):  # noqa: PTH112 - Path.is_dir raises where it may not look
            example = file / ("multipartner.db" if name == "DATABASE" else "multipartner.trail.db")
            raise SettingsError(f"{PREFIX}{name}: {file} is a folder; name a file, such as {example}")


def _one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"][:1])
    message = first["msg"].removeprefix("Value error, ")
    if not name:
        name, _, message = message.partition(": ")
    given = None if name == "database" else first.get("input")  # it may hold a password
    shape = f" (given: {given!r:.60})" if name in Settings.model_fields and isinstance(given, str | int | float) else ""
    return f"{PREFIX}{name.upper()}: {message[:1].lower()}{message[1:]}{shape}"


def _version_key(version: str) -> tuple[int, int]:
    major, minor = version[1:].split(".")
    return int(major), int(minor)


def _wrong_with(url: str) -> str | None:
    """Say what keeps a printable URL from naming an issuer (RFC 8414: scheme, host, port, path); None if nothing does."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "host or port cannot be read"
    if not url.startswith(("https://", "http://")):
        return "it has another scheme"
    if parts.username is not None or "?" in url or "#" in url:
        return "user name, query and fragment are not part of it"
    if url.endswith("/"):
        return "it must not end with a slash"
    if port == 0 or parts.netloc.endswith(":") or not _is_host(host, bracketed="[" in parts.netloc):
        return "host or port cannot be read"
    if parts.scheme == "http" and not _is_loopback(host):
        return "http:// is for loopback hosts only"
    return None


def _is_host(host: str, *, bracketed: bool) -> bool:
    if not bracketed:
        return _HOST_NAME.fullmatch(host) is not None
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return "%" not in host


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
