"""HTTP header fields to gRPC metadata and back (semantics 27-29)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..model.errors import bad_request
from ..model.exchange import Exchange
from ..model.message import HeaderList

_FORWARDED: Final[dict[bytes, bytes]] = {
    b"authorization": b"authorization",
    b"accept-language": b"accept-language",
    b"user-agent": b"x-forwarded-user-agent",
    b"tracestate": b"tracestate",
    b"baggage": b"baggage",
    b"host": b"x-forwarded-host",
}
"""Request headers that become metadata, by the key they get. `traceparent` and `x-request-id` are made anew."""

_PROTO: Final = ((b"x-forwarded-proto", b"http"), (b"x-forwarded-proto", b"https"))
"""By whether the client's connection is encrypted."""

_METADATA_PREFIX: Final = b"grpc-metadata-"
_RESERVED_STARTS: Final = (b"grpc-", b"content-", b":", b"x-forwarded-")
_RESERVED: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"transfer-encoding",
        b"upgrade",
        b"te",
        b"trailer",
        b"host",
        b"authorization",
        b"traceparent",
        b"tracestate",
        b"x-request-id",
        b"x-user-id",
        b"x-user-roles",
        b"x-auth-claims",
    )
)
"""Keys that no `grpc-metadata-` header may set: they belong to the connection, to gRPC, or to the gateway."""

_NOT_RETURNED: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te", b"trailer", b"date")
)
HTTP_CODE_KEY: Final = b"x-http-code"
"""Response metadata by which a backend chooses another 2xx or 3xx status (semantics 18)."""
_KEY_CHARACTERS: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_.-")
_BASE64: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=,")


def request_metadata(exchange: Exchange) -> HeaderList:
    """Return the metadata for the backend: who is calling, what the allow-list names, and `grpc-metadata-*`.

    Values that metadata cannot carry (not printable ASCII) are left out. What policies put into `exchange.metadata`
    comes last. Raises GatewayError 400 for a `-bin` value that is not base64.
    """
    request = exchange.request
    headers = request.headers
    metadata: HeaderList = [(b"x-forwarded-for", exchange.client_address.encode()), _PROTO[request.is_tls]]
    for name, value in headers.items():
        key = _FORWARDED.get(name)
        if key is not None:
            if value.isascii():
                metadata.append((key, value if b"\t" not in value else value.replace(b"\t", b" ")))
        elif name[:5] == b"grpc-" and name.startswith(_METADATA_PREFIX):
            _add_custom(metadata, name[len(_METADATA_PREFIX) :], value)
    metadata += exchange.metadata
    return metadata


def _add_custom(metadata: HeaderList, key: bytes, value: bytes) -> None:
    canonical = key.replace(b"_", b"-")
    if (
        not key
        or canonical in _RESERVED
        or canonical.startswith(_RESERVED_STARTS)
        or not _KEY_CHARACTERS.issuperset(key)
        or not value.isascii()
    ):
        return
    if key.endswith(b"-bin"):
        text = value.replace(b" ", b"")
        if not _BASE64.issuperset(text) or any(len(part.rstrip(b"=")) % 4 == 1 for part in text.split(b",")):
            name = key.decode("ascii")
            raise bad_request(f"the header grpc-metadata-{name} is not base64", "INVALID_METADATA", key=name)
        metadata.extend((key, part.rstrip(b"=")) for part in text.split(b","))
    else:
        metadata.append((key, value.replace(b"\t", b" ")))


def response_headers(metadata: Sequence[tuple[bytes, bytes]]) -> HeaderList:
    """Return response metadata as headers, without what belongs to gRPC, HTTP or the connection.

    `-bin` values stay base64. Values with bytes that HTTP/1.1 forbids are left out.
    """
    return [
        (name, value)
        for name, value in metadata
        if name not in _NOT_RETURNED
        and name != HTTP_CODE_KEY
        and not name.startswith((b"content-", b"grpc-", b":"))
        and b"\r" not in value
        and b"\n" not in value
        and b"\0" not in value
    ]


def success_status(metadata: Sequence[tuple[bytes, bytes]]) -> int:
    """Return the status of a successful answer: 200, or what `x-http-code` says when it is a 2xx or 3xx."""
    for name, value in metadata:
        if name == HTTP_CODE_KEY and len(value) == 3 and value.isdigit() and 200 <= int(value) < 400:
            return int(value)
    return 200
