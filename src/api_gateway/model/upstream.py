"""A call with one message each way, as those see it who only want it made; `grpc/channel.py` makes it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from .message import HeaderList


class UnaryReply(Protocol):
    """The answer to a unary call that ended with OK."""

    message: bytes
    headers: HeaderList
    """Metadata that came before the message."""
    trailers: HeaderList
    """Metadata that came after it, without the status."""


class UnaryCaller(Protocol):
    """A channel to one service."""

    def unary(self, path: bytes, message: bytes, *, deadline_s: float, metadata: HeaderList) -> Awaitable[UnaryReply]:
        """Call `/package.Service/Method` and return what to await. `deadline_s` is monotonic.

        Awaiting raises GatewayError with the gRPC code. To cancel the waiting cancels the call.
        """
