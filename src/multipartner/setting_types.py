"""Kinds of settings that need a check of their own."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, InstanceOf
from pydantic_settings import NoDecode


def _comma_list(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_list)]

_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")


def _networks(proxies: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_network(proxy) for proxy in proxies)


def _network(proxy: str) -> str:
    """An IPv4 network in the clothes of IPv6 would match nobody: peers are compared as the IPv4 addresses they are."""
    try:
        network = ipaddress.ip_network(proxy)
    except ValueError as error:
        raise ValueError("each must be an address or a network such as 10.0.0.0/8") from error
    if not isinstance(network, ipaddress.IPv6Network) or not network.subnet_of(_MAPPED):
        return proxy
    address = ipaddress.IPv4Address(int(network.network_address) & 0xFFFFFFFF)
    return f"{address}/{network.prefixlen - _MAPPED.prefixlen}"


Networks = Annotated[CommaList, AfterValidator(_networks)]


_FORM: Final = "postgresql://user:password@host:5432/database"
_LAST_PORT: Final = 65535

_MEANT_FOR_A_SERVER: Final = re.compile(r"\A(?:postgresql|postgres):|\b(?:password|dbname)\s*=")
"""What somebody wrote who did not mean a file, and who may have written a password into it."""


class DatabaseUrl:
    """A `postgresql://` URL, which may hold a password and so does not print itself."""

    def __init__(self, url: str) -> None:
        self._url = url

    def reveal(self) -> str:
        """The whole URL, for the driver alone."""
        return self._url

    def __str__(self) -> str:
        rest = self._url.partition("://")[2]
        authority, _, tail = rest.partition("/")
        return f"postgresql://{authority.rpartition('@')[2]}/{tail.partition('?')[0]}"

    def __repr__(self) -> str:
        return f"DatabaseUrl('{self}')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DatabaseUrl) and other._url == self._url

    def __hash__(self) -> int:
        return hash(self._url)


def _place(value: object) -> object:
    """A file's path or a URL. No message tells the text: it may hold a password."""
    if not isinstance(value, str):
        return value
    scheme, is_url, _ = value.partition("://")
    if not is_url and _MEANT_FOR_A_SERVER.search(value) is None:
        return value
    if not is_url or scheme not in ("postgresql", "postgres"):
        raise ValueError(f"must be a file or {_FORM}")
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = None
    if parts is None or not _is_clear(value, parts):
        raise ValueError("user, password or port cannot be read; write @ : / # ? [ of a password as %40 %3A %2F %23 %3F %5B")
    if parts.path in ("", "/"):
        raise ValueError(f"names no database; its form is {_FORM}")
    return DatabaseUrl(value)


def _is_clear(url: str, parts: SplitResult) -> bool:
    """Whether nothing of a password can have come to stand where a host, a database or an option is: those are shown."""
    hosts = parts.netloc.rpartition("@")[2].split(",")
    ports = [host.rpartition(":")[2] for host in hosts if ":" in host.rpartition("]")[2]]
    return (
        url.isprintable()
        and "#" not in url
        and parts.netloc.count("@") <= 1
        and "@" not in parts.path
        and (hosts == [""] or all(hosts))
        and all(port.isascii() and port.isdecimal() and int(port) <= _LAST_PORT for port in ports)
        and all("=" in option for option in parts.query.split("&") if parts.query)
    )


Place = Annotated[Path | InstanceOf[DatabaseUrl], BeforeValidator(_place)]
