"""Kinds of values that several settings share, each with its check. What they mean is said in `settings`."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from api_gateway.model.header_names import reserved_reason

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
PositiveMs = Annotated[int, Field(gt=0, le=86_400_000)]
PositiveSeconds = Annotated[float, Field(gt=0, le=31_536_000)]
JwtAlgorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
]  # fmt: skip

_HOST_AND_PORT = re.compile(r"(?:(?:grpc|h2c|tcp|ipv4)[a-z0-9+]*:/*)?((?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5}))/?")


def _check_endpoint(value: str) -> str:
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError("an address holds no spaces and no control characters")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https", "dns"):
        raise ValueError(
            'expected an address like "http://host:port", "https://host:port" or "dns:///host:port"'
            + _guess_endpoint(value)
        )
    authority = parts.netloc if parts.scheme != "dns" else parts.path.lstrip("/")
    host = urlsplit(f"//{authority}")
    if host.username is not None or host.password is not None:
        raise ValueError("only scheme, host and port may be given; an address holds no user and no password")
    if host.netloc.count(":") > 1 and "[" not in host.netloc:
        raise ValueError('an IPv6 address stands in brackets, such as "http://[::1]:50051"')
    if not host.hostname:
        raise ValueError("the address has no host")
    try:
        port = host.port
    except ValueError:
        raise ValueError("the port is not a number from 1 to 65535") from None
    if port == 0:
        raise ValueError("the port is not a number from 1 to 65535")
    if port is None:
        raise ValueError(f'the address has no port; write for example "{value.rstrip("/")}:50051"')
    if parts.query or parts.fragment or (parts.scheme != "dns" and parts.path not in ("", "/")):
        raise ValueError("only scheme, host and port may be given")
    return value


def _guess_endpoint(value: str) -> str:
    found = _HOST_AND_PORT.fullmatch(value)
    return f'; did you mean "http://{found[1]}"?' if found else ""


Endpoint = Annotated[str, AfterValidator(_check_endpoint)]


def _check_jwks_url(value: str) -> str:
    parts = urlsplit(value)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.fragment:
        raise ValueError('expected an address like "https://issuer.example/keys.json"')
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address | None = ipaddress.ip_address(host)
    except ValueError:
        address = None
    is_loopback = host == "localhost" if address is None else address.is_loopback
    if parts.scheme == "http" and not is_loopback:
        raise ValueError("keys must come over https, unless the host is a loopback address")
    if address is not None and not is_loopback:
        raise ValueError("name the host instead of its address, so that its certificate can be checked")
    return value


JwksUrl = Annotated[str, AfterValidator(_check_jwks_url)]


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


HttpMethod = Annotated[str, Field(pattern=r"^[A-Z]+$|^\*$", max_length=32), BeforeValidator(_upper)]


_HEADER_PATTERN = re.compile(r"[a-z0-9_.-]+\*?|\*")


def _check_header_pattern(value: str) -> str:
    if _HEADER_PATTERN.fullmatch(value) is None:
        raise ValueError('expected a header name like "x-tenant", or its beginning and a star like "x-acme-*"')
    reason = reserved_reason(value)
    if reason:
        raise ValueError(f"this header is never handed on: {reason}")
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


HeaderPattern = Annotated[str, AfterValidator(_check_header_pattern), BeforeValidator(_lower)]


_EXPORT_HEADER = re.compile(r"[a-z0-9_.-]+")
_EXPORT_VALUE = re.compile(r"[\x20-\x7e]*")


def check_export_header(name: str, value: str) -> str:
    """Return the name of a header for exports as it is sent. Raises ValueError, which does not show the value."""
    lowered = name.lower()
    if _EXPORT_HEADER.fullmatch(lowered) is None or lowered.startswith("grpc-") or lowered in ("te", "content-type"):
        raise ValueError(f'a header "{name[:60]}" cannot be sent')
    if _EXPORT_VALUE.fullmatch(value) is None:
        raise ValueError(f'the value of the header "{name[:60]}" is not printable ASCII')
    return lowered


_DEFAULT_PORTS = {"http": 80, "https": 443}


def _check_origin(value: str) -> str:
    if value in ("*", "null"):
        return value
    parts = urlsplit(value)
    if "*" in value:
        raise ValueError('origins are compared exactly; "*" stands only for all of them')
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not parts.scheme or not host:
        raise ValueError('expected an origin such as "https://app.example" or "http://localhost:3000"')
    if ":" in host:
        host = f"[{host}]"
    shown_port = "" if port is None or port == _DEFAULT_PORTS.get(parts.scheme) else f":{port}"
    sent = f"{parts.scheme}://{host}{shown_port}"
    if value != sent:
        raise ValueError(f'browsers never send this origin; did you mean "{sent}"?')
    return value


Origin = Annotated[str, AfterValidator(_check_origin)]
"""A web origin as browsers send it (RFC 6454 section 6.2): no path, no default port, lower case."""
