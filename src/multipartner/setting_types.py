"""Kinds of settings that need a check of their own."""

import ipaddress
from pathlib import Path
from typing import Annotated, Final

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
    if not isinstance(value, str) or "://" not in value:
        return value
    scheme, _, rest = value.partition("://")
    if scheme not in ("postgresql", "postgres"):
        raise ValueError("must be a file or postgresql://user:password@host:5432/database")
    authority, _, tail = rest.partition("/")
    if authority.count("@") > 1 or "#" in rest or any(not part.rpartition(":")[2].isdecimal() for part in _ports(authority)):
        raise ValueError("user, password or port cannot be read; write @ : / # ? of a password as %40 %3A %2F %23 %3F")
    if not tail.partition("?")[0]:
        raise ValueError("names no database; its form is postgresql://user:password@host:5432/database")
    return DatabaseUrl(value)


def _ports(authority: str) -> list[str]:
    hosts = authority.rpartition("@")[2].split(",")
    return [host for host in hosts if ":" in host.rpartition("]")[2]]


Place = Annotated[Path | InstanceOf[DatabaseUrl], BeforeValidator(_place)]
