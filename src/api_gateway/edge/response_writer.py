"""Responses as HTTP/1.1 bytes (RFC 9112): heads, lengths, chunks."""

from __future__ import annotations

from collections.abc import Sequence
from time import time
from typing import Final
from wsgiref.handlers import format_date_time

from ..model.message import Response
from ..model.status import REASON_PHRASE

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"

_CLOSE: Final = b"connection: close\r\n"
_KEEP_ALIVE: Final = b"connection: keep-alive\r\n"
_BODILESS: Final = frozenset((204, 304))
_status_lines: dict[int, bytes] = {}
_date: tuple[int, bytes] = (0, b"")


def encode_response(response: Response, *, is_head: bool, keep_alive: bool, is_http_1_0: bool) -> bytes:
    """Return a whole answer. One to HEAD, and a 204 or 304, has no body; only HEAD's says how long it would be."""
    status = response.status
    body = response.body
    length = b"" if status in _BODILESS else b"content-length: %d\r\n" % len(body)
    if is_head or not length:
        body = b""
    return b"%b%b%b%b%b\r\n%b" % (
        _status_line(status),
        _fields(response),
        length,
        _date_line(),
        _connection(keep_alive, is_http_1_0),
        body,
    )


def encode_stream_head(response: Response, *, is_chunked: bool, keep_alive: bool) -> bytes:
    """Return the head of an answer whose parts follow: in chunks, or as they are, up to the end of the connection."""
    return b"%b%b%b%b%b\r\n" % (
        _status_line(response.status),
        _fields(response),
        _date_line(),
        b"transfer-encoding: chunked\r\n" if is_chunked else b"",
        _connection(keep_alive, False),
    )


def encode_chunk(part: bytes) -> bytes:
    """Return one chunk. `part` is not empty: an empty chunk would be the last one."""
    return b"%x\r\n%b\r\n" % (len(part), part)


def has_body(response: Response, method: str) -> bool:
    """Whether bytes may follow the head (RFC 9112 section 6.3)."""
    return method != "HEAD" and response.status not in _BODILESS


def _fields(response: Response) -> bytes:
    lines = _lines(response.headers)
    common = response.common
    if common is None:
        return lines
    encoded = common.encoded
    if not encoded:
        encoded = common.encoded = _lines(common.fields)
    return lines + encoded


def _lines(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    return b"\r\n".join([b": ".join(header) for header in headers]) + b"\r\n" if headers else b""


def _connection(keep_alive: bool, is_http_1_0: bool) -> bytes:
    if not keep_alive:
        return _CLOSE
    return _KEEP_ALIVE if is_http_1_0 else b""


def _status_line(status: int) -> bytes:
    line = _status_lines.get(status)
    if line is None:
        # At most one entry for each three-digit number.
        line = _status_lines[status] = b"HTTP/1.1 %d %b\r\n" % (status, REASON_PHRASE.get(status, "").encode())
    return line


def _date_line() -> bytes:
    global _date
    now = int(time())
    if _date[0] != now:
        _date = (now, b"date: %b\r\n" % format_date_time(now).encode())
    return _date[1]
