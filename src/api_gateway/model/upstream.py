"""Calls to a service, as those see them who only want them made; `grpc/channel.py` makes them."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from .errors import GatewayError
from .message import HeaderList
from .trace import Trace


class UnaryReply(Protocol):
    """The answer to a unary call that ended with OK."""

    message: bytes
    headers: HeaderList
    """Metadata that came before the message."""
    trailers: HeaderList
    """Metadata that came after it, without the status."""


class UpstreamReply(UnaryReply, Protocol):
    """The same, of a call that may have been tried again."""

    attempts: int
    """Times it was tried."""


class UnaryCaller(Protocol):
    """A channel to one service."""

    def unary(
        self, path: bytes, message: bytes, *, deadline_s: float, metadata: HeaderList, trace: Trace | None = None
    ) -> Awaitable[UnaryReply]:
        """Call `/package.Service/Method` and return what to await. `deadline_s` is monotonic.

        With `trace` every attempt is recorded and sends a `traceparent` of its own, which `metadata` must not have.
        Awaiting raises GatewayError with the gRPC code. To cancel the waiting cancels the call.
        """


class Answers(Protocol):
    """The answering half of a call with any number of messages."""

    @property
    def attempts(self) -> int:
        """Times the call was tried."""

    @property
    def headers(self) -> HeaderList:
        """Metadata that came before the first message."""

    @property
    def trailers(self) -> HeaderList:
        """Metadata that came after the last one, without the status."""

    async def receive(self, timeout_s: float | None = None) -> bytes | None:
        """Return the next message, None after the last one of a call that ended with OK.

        Raises GatewayError for every other end, TimeoutError when nothing came within `timeout_s` (the call goes on).
        """

    def cancel(self) -> bool:
        """Give the call up. Nothing happens when it has ended."""


class MessageStream(Answers, Protocol):
    """A call with any number of messages each way."""

    async def send(self, message: bytes) -> None:
        """Send one message; waits while the service does not take it. Raises GatewayError when the call has ended."""

    def close_send(self) -> None:
        """Tell the service that no more messages follow."""

    def abort(self, error: GatewayError) -> None:
        """Give the call up; who sends or receives gets the error. Nothing happens when it has ended."""


class Upstream(UnaryCaller, Protocol):
    """A channel to one service, for calls of both kinds.

    What `is_idempotent` may be tried again, as the service's settings say.
    """

    def unary(
        self,
        path: bytes,
        message: bytes,
        *,
        deadline_s: float,
        metadata: HeaderList,
        is_idempotent: bool = False,
        trace: Trace | None = None,
    ) -> Awaitable[UpstreamReply]:
        """Call as a `UnaryCaller` does."""

    def stream(
        self,
        path: bytes,
        *,
        deadline_s: float,
        metadata: HeaderList,
        is_idempotent: bool = False,
        trace: Trace | None = None,
    ) -> MessageStream:
        """Start a call of `/package.Service/Method` with any number of messages each way. `deadline_s` is monotonic."""
