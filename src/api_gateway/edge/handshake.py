"""The opening handshake of a WebSocket (RFC 6455 section 4.2), read from a request's headers. Performs no I/O."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

from ..model.errors import GatewayError, Source, bad_request
from ..model.message import Request
from ..model.status import Code
from ..model.websocket import Handshake

SUBPROTOCOL: Final = b"api-gateway.json"
"""What the frames hold. Clients need not name it, unless they name anything: browsers want one of theirs chosen."""
BEARER: Final = b"bearer."
"""Begins the subprotocol that stands for `Authorization: Bearer`, which scripts in browsers cannot send."""
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def read_handshake(request: Request) -> Handshake | None:
    """Return what a request for an upgrade asks for, None when it is not for a WebSocket.

    A token among the subprotocols is moved to `authorization`, and the header dropped: nothing may log or forward it.
    """
    headers = request.headers
    if b"websocket" not in _tokens(headers.get(b"upgrade", b"").lower()):
        return None
    offered = _tokens(headers.pop(b"sec-websocket-protocol", b""))
    for token in [name[len(BEARER) :] for name in offered if name.startswith(BEARER)]:
        if b"authorization" in headers:
            # Two of them, as if the header had come twice: auth refuses that.
            request.repeated |= {b"authorization"}
        headers[b"authorization"] = b"Bearer " + token
    if request.method != "GET" or request.http_version != "1.1":
        return Handshake(error=bad_request("a WebSocket is opened by GET in HTTP/1.1", "INVALID_HANDSHAKE"))
    if headers.get(b"sec-websocket-version") != b"13":
        return Handshake(error=_wrong_version())
    key = headers.get(b"sec-websocket-key", b"")
    if not _is_key(key):
        return Handshake(error=bad_request("sec-websocket-key must be 16 bytes in base64", "INVALID_HANDSHAKE"))
    if offered and SUBPROTOCOL not in offered:
        text = f"of the subprotocols only {SUBPROTOCOL.decode()} is spoken here; offer it as well"
        return Handshake(error=bad_request(text, "UNKNOWN_SUBPROTOCOL"))
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    return Handshake(accept=accept, protocol=SUBPROTOCOL if offered else b"")


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip() for token in value.split(b",") if token.strip()]


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _wrong_version() -> GatewayError:
    return GatewayError(
        Code.FAILED_PRECONDITION,
        "the only version of WebSocket spoken here is 13",
        reason="WEBSOCKET_VERSION",
        source=Source.CLIENT,
        http=426,
        headers=((b"sec-websocket-version", b"13"), (b"upgrade", b"websocket")),
    )
