"""Metadata on the wire: what a status in trailers says, and what speaks gRPC (grpc doc/PROTOCOL-HTTP2.md).

Which names and values clients may send on is in `transcoding/headers.py`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from ..model.status import Code, code_from_http

_STATUS: Final = re.compile(rb"[0-9]{1,9}")


def decode_binary_value(value: bytes) -> bytes:
    """Return the bytes of a `-bin` value, padded or not. Raises ValueError for anything but base64."""
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None


def decode_status_message(value: bytes) -> str:
    """Return the text of `grpc-message`: percent-decoded UTF-8. Bad escapes stay, bad UTF-8 is replaced."""
    return unquote_to_bytes(value).decode("utf-8", "replace") if b"%" in value else value.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a call ended."""

    code: int
    message: str = ""
    details: bytes = b""
    """Serialized `google.rpc.Status`, empty when there was none."""


_OK: Final = Status(code=Code.OK)


def read_status(trailers: Iterable[tuple[bytes, bytes]]) -> Status | None:
    """Return the status that trailers carry, None when they have no `grpc-status`.

    A malformed number is UNKNOWN; undecodable details are left out: the call still ends with its code.
    """
    fields = dict(trailers)
    text = fields.get(b"grpc-status")
    if text == b"0":
        return _OK
    if text is None:
        return None
    message = decode_status_message(fields.get(b"grpc-message", b""))
    if _STATUS.fullmatch(text) is None:
        return Status(code=Code.UNKNOWN, message=message or "the backend sent a malformed grpc-status")
    code = int(text)
    if code == Code.OK:
        return Status(code=Code.OK)
    details = b""
    if b"grpc-status-details-bin" in fields:
        try:
            details = decode_binary_value(fields[b"grpc-status-details-bin"])
        except ValueError:
            details = b""
    return Status(code=code, message=message, details=details)


def read_pushback(trailers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return `grpc-retry-pushback-ms` (gRFC A6), None when there is none; several make one that nobody can parse."""
    found = [value for name, value in trailers if name == b"grpc-retry-pushback-ms"]
    return b",".join(found) if found else None


def status_without_grpc(http_status: int, content_type: bytes, body: bytes) -> Status:
    """Return the status of an answer that was not gRPC (grpc doc/http-grpc-status-mapping.md)."""
    shown = body[:200].decode("utf-8", "replace")
    detail = f": {shown}" if shown else ""
    kind = content_type[:100].decode("ascii", "replace") or "no content type"
    return Status(
        code=code_from_http(http_status), message=f"the backend answered HTTP {http_status} with {kind}{detail}"
    )


def is_grpc_content_type(value: bytes) -> bool:
    """Whether a response speaks gRPC with protobuf: `application/grpc`, with `+proto` or parameters at most."""
    if value == b"application/grpc" or value == b"application/grpc+proto":
        return True
    base = value.split(b";", 1)[0].strip().lower()
    return base in (b"application/grpc", b"application/grpc+proto")
