"""Kinds of values: what they take and refuse."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from api_gateway.config.values import Endpoint, HeaderPattern, HttpMethod, JwksUrl, Origin


@pytest.mark.parametrize(
    "endpoint",
    [
        pytest.param("http://localhost:50051", id="http"),
        pytest.param("https://users.internal:443", id="https"),
        pytest.param("http://localhost:50051/", id="trailing_slash"),
        pytest.param("dns:///users:50051", id="dns"),
        pytest.param("http://127.0.0.1:1", id="ipv4"),
        pytest.param("http://[::1]:65535", id="ipv6"),
    ],
)
def test_endpoint_is_taken_as_written(endpoint: str) -> None:
    assert TypeAdapter(Endpoint).validate_python(endpoint) == endpoint


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        pytest.param("localhost:50051", "expected an address like", id="no_scheme"),
        pytest.param("localhost:50051", 'did you mean "http://localhost:50051"', id="no_scheme_guessed"),
        pytest.param("grpc://localhost:50051", "expected an address like", id="other_scheme"),
        pytest.param("grpc://localhost:50051", 'did you mean "http://localhost:50051"', id="other_scheme_guessed"),
        pytest.param("http://::1:50051", "stands in brackets", id="bare_ipv6"),
        pytest.param("", "expected an address like", id="empty"),
        pytest.param("http://", "the address has no host", id="nothing_behind_the_scheme"),
        pytest.param("http://:50051", "the address has no host", id="no_host"),
        pytest.param("http://localhost", 'write for example "http://localhost:50051"', id="no_port"),
        pytest.param("http://localhost/", 'write for example "http://localhost:50051"', id="no_port_but_slash"),
        pytest.param("http://localhost:x", "the port is not a number from 1 to 65535", id="port_in_letters"),
        pytest.param("http://localhost:0", "the port is not a number from 1 to 65535", id="port_zero"),
        pytest.param("http://localhost:65536", "the port is not a number from 1 to 65535", id="port_too_large"),
        pytest.param("http://a:1/path", "only scheme, host and port", id="path"),
        pytest.param("http://a:1?x=1", "only scheme, host and port", id="query"),
        pytest.param("http://a:1#x", "only scheme, host and port", id="fragment"),
        pytest.param("http://me@a:1", "an address holds no user and no password", id="user"),
        pytest.param("http://:pw@a:1", "an address holds no user and no password", id="password"),
        pytest.param("http://a b:1", "no spaces", id="space"),
        pytest.param("http://a:1\n", "no spaces", id="line_feed"),
        pytest.param("http://a\x00:1", "no control characters", id="nul"),
        pytest.param("http://[::1:1", "IPv6", id="open_bracket"),
    ],
)
def test_endpoint_that_cannot_be_called_is_refused(endpoint: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Endpoint).validate_python(endpoint)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://issuer.example/keys.json", id="https"),
        pytest.param("http://localhost:8000/keys", id="http_on_this_machine"),
        pytest.param("http://127.0.0.1/keys", id="http_on_loopback"),
        pytest.param("http://[::1]:1/keys", id="http_on_loopback_ipv6"),
    ],
)
def test_key_set_is_fetched_safely_or_from_this_machine(url: str) -> None:
    assert TypeAdapter(JwksUrl).validate_python(url) == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("http://issuer.example/keys", "keys must come over https", id="http"),
        pytest.param("https://169.254.169.254/keys", "name the host instead of its address", id="link_local"),
        pytest.param("https://10.0.0.1/keys", "name the host instead of its address", id="address"),
        pytest.param("file:///etc/passwd", "expected an address like", id="file"),
        pytest.param("https:///keys", "expected an address like", id="no_host"),
        pytest.param("https://me@issuer.example/keys", "expected an address like", id="user"),
    ],
)
def test_key_set_from_elsewhere_is_refused(url: str, message: str) -> None:
    """J45: only over verified TLS, never from an address that may be a cloud's metadata service."""
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(JwksUrl).validate_python(url)


@pytest.mark.parametrize(("written", "method"), [("get", "GET"), ("GET", "GET"), ("*", "*"), ("Purge", "PURGE")])
def test_method_is_written_in_capitals(written: str, method: str) -> None:
    assert TypeAdapter(HttpMethod).validate_python(written) == method


@pytest.mark.parametrize("written", ["", "G T", "GET ", "GET\n", "*GET", "G" * 33, 5])
def test_method_that_is_none_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(HttpMethod).validate_python(written)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("x-tenant", "x-tenant"),
        ("X-Tenant", "x-tenant"),
        ("x-acme-*", "x-acme-*"),
        ("*", "*"),
        ("x_a.b-bin", "x_a.b-bin"),
    ],
)
def test_semantics_27_header_patterns_are_names_or_beginnings(written: str, kept: str) -> None:
    assert TypeAdapter(HeaderPattern).validate_python(written) == kept


@pytest.mark.parametrize("pattern", ["", "x y", "x-*-y", "**", "x:", "*-id", "x-tenänt", "x/y"])
def test_other_header_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match="expected a header name"):
        TypeAdapter(HeaderPattern).validate_python(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["te", "Upgrade", "connection", "grpc-timeout", "grpc-*", "content-type", "content-*", "x-user-id", "X_User_Roles",
     "x-auth-claims", "x-forwarded-for", "host", "transfer-encoding"],
)  # fmt: skip
def test_semantics_27_reserved_headers_cannot_be_listed(pattern: str) -> None:
    with pytest.raises(ValidationError, match="this header is never handed on"):
        TypeAdapter(HeaderPattern).validate_python(pattern)


@pytest.mark.parametrize(
    "origin",
    ["*", "https://app.example", "http://localhost:3000", "http://[::1]:8080", "chrome-extension://abcdef"],
)
def test_origin_is_taken_as_browsers_send_it(origin: str) -> None:
    assert TypeAdapter(Origin).validate_python(origin) == origin


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        pytest.param("https://app.example/", 'did you mean "https://app.example"', id="slash"),
        pytest.param("https://app.example/page", 'did you mean "https://app.example"', id="path"),
        pytest.param("HTTPS://App.example", 'did you mean "https://app.example"', id="upper_case"),
        pytest.param("http://app.example:80", 'did you mean "http://app.example"', id="default_port"),
        pytest.param("app.example", "expected an origin such as", id="no_scheme"),
        pytest.param("app.example:80", "expected an origin such as", id="no_scheme_but_port"),
        pytest.param("https://app.example:x", "expected an origin such as", id="port_in_letters"),
        pytest.param("https://*.app.example", "origins are compared exactly", id="pattern"),
    ],
)
def test_origin_that_no_browser_sends_is_refused(origin: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Origin).validate_python(origin)
