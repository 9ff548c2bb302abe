"""Endpoints and what their connections need."""

from __future__ import annotations

from pathlib import Path

import pytest

from api_gateway.grpc.target import Target, TlsTarget, parse_target


@pytest.mark.parametrize(
    ("endpoint", "host", "port"),
    [
        ("http://localhost:50051", "localhost", 50051),
        ("http://127.0.0.1:1", "127.0.0.1", 1),
        ("http://[::1]:50051", "::1", 50051),
        ("http://Host.Example:80/", "host.example", 80),
        ("dns:///name.example:443", "name.example", 443),
    ],
)
def test_plaintext_endpoints(endpoint: str, host: str, port: int) -> None:
    """No TLS unless it is asked for."""
    assert parse_target(endpoint) == Target(host=host, port=port)


@pytest.mark.parametrize(
    "endpoint", ["http://localhost", "localhost:1", "", "http://:1", "dns:///name", "http://h:99999"]
)
def test_endpoints_without_host_or_port(endpoint: str) -> None:
    """Refused, with the endpoint in the text where it can be told."""
    with pytest.raises(ValueError, match=r"endpoint|Port"):
        parse_target(endpoint)


@pytest.mark.parametrize(("endpoint", "is_enabled"), [("https://host.test:1", False), ("http://host.test:1", True)])
def test_tls_by_scheme_or_by_setting(endpoint: str, is_enabled: bool) -> None:
    """The domain is the host unless it is given."""
    assert parse_target(endpoint, tls_enabled=is_enabled).tls == TlsTarget(domain="host.test")


def test_tls_with_everything() -> None:
    """The domain wins over the host; the files travel along."""
    target = parse_target(
        "https://10.0.0.1:1",
        tls_domain="secure.internal",
        ca_path=Path("ca"),
        client_cert_path=Path("cert"),
        client_key_path=Path("key"),
    )
    assert target.tls == TlsTarget(
        domain="secure.internal", ca_path=Path("ca"), client_cert_path=Path("cert"), client_key_path=Path("key")
    )
    assert (target.host, target.authority) == ("10.0.0.1", "secure.internal:1")


@pytest.mark.parametrize(
    ("endpoint", "authority"),
    [("http://localhost:1", "localhost:1"), ("http://[::1]:1", "[::1]:1"), ("https://[::1]:1", "[::1]:1")],
)
def test_authority(endpoint: str, authority: str) -> None:
    """`:authority` of requests; IPv6 in brackets."""
    assert parse_target(endpoint).authority == authority


def test_targets_differ_by_what_makes_connections_different() -> None:
    """G60: connections are shared between equal targets only, and every channel has one target."""
    plain = parse_target("http://host.test:1")
    variants = {
        plain,
        parse_target("https://host.test:1"),
        parse_target("https://host.test:1", tls_domain="other.test"),
        parse_target("https://host.test:1", ca_path=Path("ca")),
        parse_target("https://host.test:1", client_cert_path=Path("cert")),
        parse_target("https://host.test:2"),
    }
    assert len(variants) == 6
    assert parse_target("http://host.test:1") in variants
