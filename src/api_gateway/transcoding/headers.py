"""HTTP header fields to gRPC metadata and back (semantics 27-29)."""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from typing import Final

from ..model.errors import GatewayError, bad_request
from ..model.exchange import Exchange
from ..model.header_names import RESERVED, RESERVED_STARTS
from ..model.message import HeaderList

_ALWAYS_FORWARDED: Final[dict[bytes, bytes]] = {
    b"authorization": b"authorization",
    b"accept-language": b"accept-language",
    b"user-agent": b"x-forwarded-user-agent",
    b"baggage": b"baggage",
    b"host": b"x-forwarded-host",
}
"""Request headers that become metadata, by the key they get. `x-request-id` and those of the trace are made anew."""

_PROTO: Final = ((b"x-forwarded-proto", b"http"), (b"x-forwarded-proto", b"https"))
"""By whether the client's connection is encrypted."""

_METADATA_PREFIX: Final = b"grpc-metadata-"
_RESERVED_STARTS: Final = tuple(start.encode("ascii") for start in RESERVED_STARTS)
_RESERVED: Final = frozenset(
    (
        *(name.encode("ascii") for name in RESERVED),
        *(b"authorization", b"user-agent", b"traceparent", b"tracestate", b"x-request-id"),
    )
)
"""Keys that no client may set as it likes: they belong to the connection, to gRPC, or to the gateway."""

_NOT_RETURNED: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te", b"trailer", b"date")
)
_NOTHING: Final[frozenset[bytes]] = frozenset()
_MAX_BINARY_VALUES: Final = 100
"""Most values that one `-bin` header may hold, as many as a request may have header fields: each becomes a field with
the whole key, so that 64 KiB of a long name and commas would be a gigabyte of them."""
HTTP_CODE_KEY: Final = b"x-http-code"
"""Response metadata by which a backend chooses another 2xx or 3xx status (semantics 18)."""
_KEY_CHARACTERS: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_.-")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e]*")
_BASE64: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


class ForwardedHeaders:
    """The request headers that become metadata under their own name besides those that always do: `headers.forward`."""

    __slots__ = ("_names", "_starts", "is_empty")

    def __init__(self, listed: Sequence[str] = ()) -> None:
        """Take names and patterns (`x-acme-*`) as `config.values.HeaderPattern` allows them."""
        patterns = [pattern.encode("ascii") for pattern in listed]
        self.is_empty = not patterns
        self._names = frozenset([pattern for pattern in patterns if not pattern.endswith(b"*")])
        self._starts = tuple([pattern[:-1] for pattern in patterns if pattern.endswith(b"*")])

    def lists(self, name: bytes) -> bool:
        """Whether a header of this lower-case name is listed. That it is reserved is not looked at."""
        return name in self._names or name.startswith(self._starts)


def request_metadata(exchange: Exchange, forwarded: ForwardedHeaders) -> HeaderList:
    """Return the metadata for the backend: who is calling, what `forwarded` lists, and `grpc-metadata-*`.

    Values that metadata cannot carry (not printable ASCII) are left out. What policies put into `exchange.metadata`
    comes last. Raises GatewayError 400 for a `-bin` header that is not base64, or holds too many values.
    """
    request = exchange.request
    headers = request.headers
    lists_none = forwarded.is_empty
    ends_here = _NOTHING if lists_none else _connection_options(headers.get(b"connection"))
    metadata: HeaderList = [(b"x-forwarded-for", exchange.client_address.encode()), _PROTO[request.is_tls]]
    for name, value in headers.items():
        key = _ALWAYS_FORWARDED.get(name)
        if key is not None:
            if value.isascii():
                metadata.append((key, value if b"\t" not in value else value.replace(b"\t", b" ")))
        elif name[:5] == b"grpc-" and name.startswith(_METADATA_PREFIX):
            _add_custom(metadata, name[len(_METADATA_PREFIX) :], value, name)
        elif not lists_none and forwarded.lists(name) and name not in ends_here:
            _add_custom(metadata, name, value, name)
    metadata += exchange.metadata
    return metadata


def _connection_options(connection: bytes | None) -> frozenset[bytes]:
    """Return the names of headers that `Connection` lists, so that they end here (RFC 9110 section 7.6.1)."""
    if connection is None:
        return _NOTHING
    return frozenset([option.strip() for option in connection.lower().split(b",")])


def _add_custom(metadata: HeaderList, key: bytes, value: bytes, header: bytes) -> None:
    canonical = key.replace(b"_", b"-")
    if (
        not key
        or canonical in _RESERVED
        or canonical.startswith(_RESERVED_STARTS)
        or not _KEY_CHARACTERS.issuperset(key)
    ):
        return
    if key.endswith(b"-bin"):
        parts = value.replace(b" ", b"").split(b",", _MAX_BINARY_VALUES)
        if len(parts) > _MAX_BINARY_VALUES:
            raise _invalid_metadata(key, header, f"has more than {_MAX_BINARY_VALUES} values")
        for part in parts:
            text = _canonical_base64(part)
            if text is None:
                raise _invalid_metadata(key, header, "is not base64")
            metadata.append((key, text))
    elif _VALUE.fullmatch(value) is not None:
        metadata.append((key, value.replace(b"\t", b" ")))


def _invalid_metadata(key: bytes, header: bytes, what: str) -> GatewayError:
    text = f"the header {header.decode('ascii')} {what}"
    return bad_request(text, "INVALID_METADATA", key=key.decode("ascii"))


def _canonical_base64(text: bytes) -> bytes | None:
    """Return unpadded base64 in its one form, None for what is no base64.

    Servers on gRPC's C core end a call with INTERNAL when bits of the last character mean nothing: the client's mistake
    would count against the backend.
    """
    text = text.rstrip(b"=")
    if not _BASE64.issuperset(text) or len(text) % 4 == 1:
        return None
    return b2a_base64(a2b_base64(text + b"=" * (-len(text) % 4)), newline=False).rstrip(b"=")


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
