"""A WebSocket client byte by byte: it sends what the test says, right or wrong, and reads what really comes."""

from __future__ import annotations

import base64
import json
from typing import Any

from .raw_http import Answer, RawClient, request

KEY = base64.b64encode(bytes(16)).decode()
ACCEPT = b"ICX+Yqv66kxgM0FcWaLWlFLwTAI="
MASK = b"\x01\x02\x03\x04"
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
Frame = tuple[int, bytes]


def frame(opcode: int, payload: bytes = b"", *, is_final: bool = True, mask: bytes = MASK) -> bytes:
    """Return a client's frame, masked."""
    size = len(payload)
    head = bytes(((0x80 if is_final else 0) | opcode,))
    if size <= 125:
        head += bytes((0x80 | size,))
    elif size <= 0xFFFF:
        head += b"\xfe" + size.to_bytes(2, "big")
    else:
        head += b"\xff" + size.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a client's close frame."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode())


def handshake(target: str, *lines: str) -> bytes:
    """Return an opening handshake."""
    fields = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}")
    return request("GET", target, *fields, *lines)


def parse_frame(data: bytes) -> tuple[Frame, bytes] | None:
    """Return a server's first frame and what follows it; None while it is incomplete."""
    if len(data) < 2:
        return None
    assert data[0] & 0xF0 == 0x80, "fragmented, or with reserved bits"
    assert not data[1] & 0x80, "masked"
    width = {126: 2, 127: 8}.get(data[1], 0)
    start = 2 + width
    size = int.from_bytes(data[2:start], "big") if width else data[1]
    if len(data) < start + size:
        return None
    return (data[0] & 0x0F, data[start : start + size]), data[start + size :]


class WebSocketClient:
    """One WebSocket. Use it as a context manager; `open` first."""

    def __init__(self, port: int) -> None:
        self.raw = RawClient(("127.0.0.1", port))
        self._received = b""

    async def __aenter__(self) -> WebSocketClient:
        await self.raw.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.raw.close()

    async def ask(self, target: str, *lines: str) -> Answer:
        """Send a handshake and return the answer, whatever it is."""
        return await self.raw.ask(handshake(target, *lines))

    async def open(self, target: str, *lines: str) -> None:
        """Open, which must succeed."""
        await self.raw.send(handshake(target, *lines))
        head = b""
        while b"\r\n\r\n" not in head:
            head += await self.raw.read_at_least(1)
        head, _, self._received = head.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert b"sec-websocket-accept: " + ACCEPT in head

    async def send(self, value: object) -> None:
        """Send one message."""
        await self.raw.send(frame(TEXT, json.dumps(value).encode()))

    async def half_close(self) -> None:
        """Say that no more messages follow."""
        await self.raw.send(frame(TEXT))

    async def frame(self) -> Frame:
        """Read one frame."""
        while (parsed := parse_frame(self._received)) is None:
            self._received += await self.raw.read_at_least(1)
        self._received = parsed[1]
        return parsed[0]

    async def message(self) -> Any:
        """Read one message."""
        opcode, payload = await self.frame()
        assert opcode == TEXT, (opcode, payload)
        return json.loads(payload)

    async def closed(self) -> tuple[int, str]:
        """Read the close frame, answer it, and see the connection end."""
        opcode, payload = await self.frame()
        assert opcode == CLOSE, (opcode, payload)
        await self.raw.send(frame(CLOSE, payload[:2]))
        await self.raw.rest()
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()
