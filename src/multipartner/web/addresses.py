"""Whose request is it? The peer's address, or what trusted proxies say of it."""

import ipaddress
from collections.abc import Sequence


class Addresses:
    """Reads X-Forwarded-For of trusted proxies only, from the right, up to the first address that is no proxy."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted = [ipaddress.ip_network(proxy) for proxy in trusted_proxies]

    def of(self, peer: str, forwarded: Sequence[bytes]) -> str:
        """`forwarded` holds the values of all X-Forwarded-For headers in order. Anything unreadable counts as the proxy's own."""
        if not self._trusted or not forwarded or not self._is_trusted(peer):
            return peer
        address = peer
        for hop in reversed(b",".join(forwarded).split(b",")):
            candidate = hop.strip().decode("latin-1")
            try:
                ipaddress.ip_address(candidate)
            except ValueError:
                return address
            address = candidate
            if not self._is_trusted(address):
                return address
        return address

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._trusted)
