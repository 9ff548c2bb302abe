"""Which address counts, whatever proxies and liars write into the header."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.model.exchange import Exchange
from api_gateway.model.message import Request
from api_gateway.policy.client_address import Client, ClientAddress

TRUSTED = tuple(ip_network(text) for text in ("10.0.0.0/8", "127.0.0.1/32", "fd00::/8"))


def request(peer: str, forwarded: bytes | None = None, **headers: bytes) -> Request:
    fields = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    if forwarded is not None:
        fields[b"x-forwarded-for"] = forwarded
    return Request(
        method="GET", path="/", query="", headers=fields, repeated=frozenset(), body=None, peer=peer, started_s=0.0
    )


def address(peer: str, forwarded: bytes | None = None) -> str:
    return ClientAddress(TRUSTED).resolve(request(peer, forwarded)).address


def test_nobody_is_trusted_by_default() -> None:
    """semantics 37, R3: without trusted proxies the header is ignored, even from loopback."""
    assert ClientAddress(()).resolve(request("127.0.0.1", b"198.51.100.7")).address == "127.0.0.1"


@pytest.mark.parametrize("spoofed", [b"198.51.100.7", b"10.0.0.1", b"unknown", b"", b"," * 1000])
def test_an_untrusted_peer_cannot_choose_its_address(spoofed: bytes) -> None:
    """R3: whatever an untrusted peer sends, it is limited as itself."""
    assert address("203.0.113.9", spoofed) == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        pytest.param(b"198.51.100.7", "198.51.100.7", id="one"),
        pytest.param(b"1.1.1.1, 198.51.100.7", "198.51.100.7", id="spoof-then-real"),
        pytest.param(b"1.1.1.1,198.51.100.7", "198.51.100.7", id="no-space"),
        pytest.param(b"  1.1.1.1 ,\t198.51.100.7 ", "198.51.100.7", id="spaces-and-tabs"),
        pytest.param(b"198.51.100.7, 10.9.9.9", "198.51.100.7", id="second-proxy-trusted"),
        pytest.param(b"1.1.1.1, 198.51.100.7, 10.9.9.9, fd00::5", "198.51.100.7", id="three-proxies"),
        pytest.param(b"10.1.1.1, 10.9.9.9", "10.1.1.1", id="all-trusted-is-the-leftmost"),
        pytest.param(b"198.51.100.7:4711", "198.51.100.7", id="port"),
        pytest.param(b"[2001:db8::1]:80", "2001:db8::1", id="brackets-and-port"),
        pytest.param(b"[2001:db8::1]", "2001:db8::1", id="brackets"),
        pytest.param(b"2001:db8::1", "2001:db8::1", id="ipv6"),
        pytest.param(b"2001:DB8:0:0:0:0:0:1", "2001:db8::1", id="ipv6-spelling"),
        pytest.param(b"fe80::1%eth0", "fe80::1", id="zone"),
        pytest.param(b"[fe80::1%25eth0]:80", "fe80::1", id="zone-in-brackets"),
        pytest.param(b"::ffff:198.51.100.7", "198.51.100.7", id="ipv4-mapped"),
        pytest.param(b"198.51.100.7, ::ffff:10.1.2.3", "198.51.100.7", id="ipv4-mapped-proxy-is-trusted"),
        pytest.param(b"198.51.100.7,, ,", "198.51.100.7", id="empty-elements-are-skipped"),
        pytest.param(b", ".join([b"1.1.1.1"] * 999 + [b"198.51.100.7"]), "198.51.100.7", id="1000-entries"),
        pytest.param(b"junk, 198.51.100.7", "198.51.100.7", id="junk-left-of-the-client-is-not-read"),
    ],
)
def test_behind_a_trusted_proxy(forwarded: bytes, expected: str) -> None:
    """semantics 37, R4, R5: the rightmost address that is no trusted proxy."""
    assert address("10.0.0.1", forwarded) == expected


@pytest.mark.parametrize(
    "forwarded",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" , ,", id="only-commas"),
        pytest.param(b"unknown", id="unknown"),
        pytest.param(b"198.51.100.7, unknown", id="unknown-before-the-client"),
        pytest.param(b"198.51.100.7, _hidden, 10.1.1.1", id="obfuscated-identifier"),
        pytest.param(b"198.51.100.256", id="out-of-range"),
        pytest.param(b"198.051.100.7", id="leading-zero"),
        pytest.param(b"198.51.100.7:", id="empty-port"),
        pytest.param(b"198.51.100.7:99999", id="port-too-large"),
        pytest.param(b"198.51.100.7:8a", id="port-not-a-number"),
        pytest.param("198.51.100.7:8\u00b2".encode("latin-1"), id="port-with-superscript"),
        pytest.param(b"[2001:db8::1", id="open-bracket"),
        pytest.param(b"[2001:db8::1]80", id="no-colon-before-port"),
        pytest.param(b"[198.51.100.7]", id="ipv4-in-brackets"),
        pytest.param(b"[]", id="empty-brackets"),
        pytest.param(b'"198.51.100.7"', id="quoted"),
        pytest.param(b"198.51.100.7/32", id="network"),
        pytest.param(b"example.com", id="host-name"),
        pytest.param(b"\xff\xfe", id="not-ascii"),
        pytest.param(b"1" * 70_000, id="very-long"),
        pytest.param(b"\x0c198.51.100.7", id="form-feed"),
        pytest.param(b"0x7f.1", id="hexadecimal"),
        pytest.param(b"198.51.100.7, " + b"10.1.1.1, " * 100 + b"10.1.1.2", id="more-hops-than-anybody-has"),
    ],
)
def test_junk_means_the_peer(forwarded: bytes) -> None:
    """R4: what cannot be read counts for the proxy that sent it."""
    assert address("10.0.0.1", forwarded) == "10.0.0.1"


def test_other_headers_are_never_read() -> None:
    """R4: `Forwarded` and `X-Real-IP` decide nothing."""
    asked = request("10.0.0.1", forwarded=None, x_real_ip=b"1.1.1.1", forwarded_=b"for=1.1.1.1")
    asked.headers[b"forwarded"] = b"for=1.1.1.1"
    assert ClientAddress(TRUSTED).resolve(asked).address == "10.0.0.1"


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        pytest.param("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True, id="one-64"),
        pytest.param("2001:db8:1:2::1", "2001:db8:1:3::1", False, id="next-64"),
        pytest.param("::ffff:198.51.100.7", "198.51.100.7", True, id="ipv4-mapped"),
        pytest.param("fe80::1%eth0", "fe80::1%eth1", True, id="zone"),
        pytest.param("198.51.100.7", "198.51.100.8", False, id="ipv4"),
        pytest.param("::1", "::2", True, id="both-in-the-zero-64"),
    ],
)
def test_limiter_key(first: str, second: str, is_same: bool) -> None:
    """semantics 37, R5: IPv6 by /64, IPv4-mapped as IPv4."""
    resolver = ClientAddress(())
    assert (resolver.resolve(request(first)).key == resolver.resolve(request(second)).key) is is_same


@pytest.mark.parametrize("peer", ["", "unix:/run/gateway.sock", "x" * 1000])
def test_a_peer_without_an_address_is_its_own_key(peer: str) -> None:
    client = ClientAddress(TRUSTED).resolve(request(peer, b"1.1.1.1"))
    assert (client.address, client.is_trusted) == (peer, False)
    assert client.key == peer.encode()[:64]


def test_admit_fills_the_exchange_in() -> None:
    exchange = Exchange(request("10.0.0.1", b"2001:db8:1:2::9"))
    policy = ClientAddress(TRUSTED)
    policy.admit(exchange, 0.0)
    policy.settle(exchange, 1.0)
    assert exchange.client_address == "2001:db8:1:2::9"
    assert exchange.client_key == ip_address("2001:db8:1:2::9").packed[:8]


def test_memory_is_bounded() -> None:
    """R2: a flood of distinct addresses does not grow the cache for ever."""
    resolver = ClientAddress(TRUSTED)
    for number in range(20_000):
        resolver.resolve(request("10.0.0.1", f"198.{number >> 8 & 255}.{number & 255}.1".encode()))
    assert len(resolver._clients) <= 8192
    assert resolver.resolve(request("203.0.113.9")).address == "203.0.113.9"


def test_long_junk_is_not_remembered() -> None:
    """C13: what is too long for an address takes no room among those that are known."""
    resolver = ClientAddress(TRUSTED)
    for number in range(100):
        resolver.resolve(request("10.0.0.1", b"%d" % number * 100))
    assert len(resolver._clients) == 1


@given(st.binary(max_size=80), st.sampled_from(["10.0.0.1", "203.0.113.9", "::1"]))
def test_anything_gives_a_client(forwarded: bytes, peer: str) -> None:
    """R4: no header raises, and an address is always an address."""
    client = ClientAddress(TRUSTED).resolve(request(peer, forwarded))
    assert isinstance(client, Client)
    assert str(ip_address(client.address)) == client.address
    assert len(client.key) in (4, 8)
