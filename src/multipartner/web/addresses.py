"""Whose request is it? The peer's address, or what trusted proxies say of it."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_CHARS: Final = 64
"""What a trail or log keeps of a peer that is no address; every address is shorter."""

_IPV4: Final = re.compile(r"([0-9.]+)(?::[0-9]{1,5})?", re.ASCII)
_IPV6: Final = re.compile(r"([0-9A-Fa-f:.]+)(?:%.*)?|\[([0-9A-Fa-f:.]+)(?:%[^\]]*)?\](?::[0-9]{1,5})?", re.ASCII)


class Addresses:
    """Reads X-Forwarded-For of trusted proxies only, from the right, up to the first address that is no proxy."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted = [ipaddress.ip_network(proxy) for proxy in trusted_proxies]

    def of(self, peer: str, forwarded: Sequence[bytes]) -> str:
        """`forwarded` holds the values of all X-Forwarded-For headers in order. Anything unreadable counts as the proxy's own.

        Returns at most 64 characters; a forwarded address without port and zone.
        """
        if not self._trusted or not forwarded:
            return peer[:_MAX_CHARS]
        address = _read(peer)
        if address is None or not self._is_trusted(address):
            return peer[:_MAX_CHARS]
        for hop in reversed(b",".join(forwarded).split(b",")):
            said = _read(hop.strip().decode("latin-1"))
            if said is None:
                break
            address = said
            if not self._is_trusted(address):
                break
        return str(address)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _read(text: str) -> Address | None:
    """Read an address as proxies write it: with or without port, zone and brackets; IPv4 in the clothes of IPv6 as IPv4."""
    try:
        if (ipv4 := _IPV4.fullmatch(text)) is not None:
            return ipaddress.IPv4Address(ipv4[1])
        if (ipv6 := _IPV6.fullmatch(text)) is not None:
            address = ipaddress.IPv6Address(ipv6[1] or ipv6[2])
            return address.ipv4_mapped or address
    except ValueError:
        pass
    return None
