"""Whose request it is, behind proxies that spell addresses in many ways."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multipartner.web.addresses import Addresses

PROXY = "10.0.0.1"
BEHIND = Addresses(["10.0.0.0/8", "fe80::/10"])


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"1.2.3.4", "1.2.3.4"),
        (b"1.2.3.4:5555", "1.2.3.4"),
        (b" 1.2.3.4:5555\t", "1.2.3.4"),
        (b"2001:db8::1", "2001:db8::1"),
        (b"[2001:db8::1]", "2001:db8::1"),
        (b"[2001:db8::1]:99", "2001:db8::1"),
        (b"2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        (b"2001:db8::1%eth0", "2001:db8::1"),
        (b"[2001:db8::1%eth0]:99", "2001:db8::1"),
        (b"2001:db8::1%" + b"z" * 4000, "2001:db8::1"),
        (b"::ffff:1.2.3.4", "1.2.3.4"),
        (b"[::ffff:1.2.3.4]:99", "1.2.3.4"),
        (b"1.2.3.4:5555, fe80::1%eth0, [::ffff:10.9.9.9]:80", "1.2.3.4"),
        (b"9.9.9.9, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
    ],
)
def test_a_client_is_read_however_the_proxy_spells_it(written: bytes, read: str) -> None:
    """Attack 52: with a port, brackets, a zone or as mapped IPv4, a forwarded client is one address, and not the proxy."""
    assert BEHIND.of(PROXY, [written]) == read


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"unknown",
        b"_hidden",
        b"1.2.3.4:",
        b"1.2.3.4:port",
        b"1.2.3.4:123456",
        b"1.2.3.4%eth0:80",
        b"01.2.3.4",
        b"1.2.3",
        b"[1.2.3.4]",
        b"[2001:db8::1",
        b"2001:db8::1]:99",
        b"[2001:db8::1]99",
        b"[2001:db8::1]:",
        b"2001:db8::1::2",
        b"\xb2.2.3.4",
        b"1.2.3.4 5.6.7.8",
        b"for=1.2.3.4",
        b"x" * 4000,
    ],
)
def test_what_is_no_address_counts_as_the_proxys_own(written: bytes) -> None:
    """Attack 52: a hop that cannot be read ends the reading at the proxy that passed it on."""
    assert BEHIND.of(PROXY, [b"8.8.8.8", written]) == PROXY


def test_only_trusted_peers_are_believed() -> None:
    """Attack 52: a stranger's X-Forwarded-For says nothing, and without trusted proxies nobody's does."""
    assert BEHIND.of("1.2.3.4", [b"5.6.7.8"]) == "1.2.3.4"
    assert Addresses([]).of(PROXY, [b"5.6.7.8"]) == PROXY
    assert BEHIND.of("::ffff:10.0.0.1", [b"5.6.7.8"]) == "5.6.7.8"
    assert BEHIND.of("fe80::1%eth0", [b"5.6.7.8"]) == "5.6.7.8"
    assert BEHIND.of(PROXY, [b"5.6.7.8"]) == "5.6.7.8"
    assert BEHIND.of(PROXY, [b"5.6.7.8", b"10.1.1.1"]) == "5.6.7.8"


@given(st.text(max_size=200), st.lists(st.binary(max_size=200), max_size=3))
def test_whatever_is_sent_the_answer_is_an_address_or_the_peer(peer: str, forwarded: list[bytes]) -> None:
    """No header brings more than 64 characters, or anything that is no address, into counters, logs and trail."""
    for sender in (peer, PROXY):
        told = BEHIND.of(sender, forwarded)
        assert len(told) <= 64
        assert told == sender[:64] or str(ipaddress.ip_address(told)) == told
