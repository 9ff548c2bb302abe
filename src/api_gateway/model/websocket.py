"""A WebSocket (RFC 6455) as its two sides see it: the edge has the connection, the proxy has the call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .errors import GatewayError


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What a client's opening handshake asks for."""

    accept: bytes = b""
    """Value of `sec-websocket-accept` in the answer."""
    protocol: bytes = b""
    """Subprotocol chosen, empty for none."""
    error: GatewayError | None = None
    """Why it cannot be accepted: 400 or 426."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Farewell:
    """How a conversation ended, for the close frame."""

    code: int
    reason: str


class MessageSocket(Protocol):
    """Text messages both ways."""

    async def receive(self) -> bytes | None:
        """Return the next message, None after the client's half-close. Until it is called, the client is held back."""

    def end_receiving(self) -> None:
        """Take no more messages: one that comes all the same is the client's mistake, and ends the conversation."""

    async def send(self, text: bytes) -> None:
        """Send one message; waits while the client does not read."""


class Conversation(Protocol):
    """What is said over one socket."""

    max_message_bytes: int

    async def hold(self, socket: MessageSocket) -> Farewell:
        """Talk until the end. Cancelled when the client goes away, and then nothing more is sent."""

    def abandon(self) -> None:
        """End what was never held: the client is gone."""
