"""A service without a network: typed like a channel, with everything that it was asked."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

from api_gateway.model.errors import GatewayError
from api_gateway.model.message import HeaderList
from api_gateway.model.trace import Trace
from api_gateway.waiting import Pending


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One call."""

    path: bytes
    message: bytes
    deadline_s: float
    metadata: HeaderList
    is_idempotent: bool


@dataclass(slots=True, kw_only=True)
class Reply:
    """One answer. Implements `model.upstream.UnaryReply`."""

    message: bytes = b""
    headers: HeaderList = field(default_factory=list)
    trailers: HeaderList = field(default_factory=list)
    attempts: int = 1


class FakeService:
    """Implements `model.upstream.Upstream`: answers each unary call with `reply`, or raises it.

    Streams yield `messages`, and then raise `failure` if there is one. `hold` keeps unary answers back until `release`.
    """

    def __init__(self) -> None:
        self.reply: Reply | Exception = Reply()
        self.messages: Sequence[bytes] = ()
        self.failure: GatewayError | None = None
        self.calls: list[Asked] = []
        self.streams: list[FakeMessages] = []
        self._held: Pending[None] | None = None

    def hold(self) -> None:
        """Keep answers back."""
        self._held = Pending()

    def release(self) -> None:
        """Answer."""
        if self._held is not None:
            self._held.resolve(None)

    def unary(
        self,
        path: bytes,
        message: bytes,
        *,
        deadline_s: float,
        metadata: HeaderList,
        is_idempotent: bool = False,
        trace: Trace | None = None,
    ) -> Awaitable[Reply]:
        """Call it."""
        asked = Asked(path=path, message=message, deadline_s=deadline_s, metadata=metadata, is_idempotent=is_idempotent)
        self.calls.append(asked)
        return self._answer()

    async def _answer(self) -> Reply:
        if self._held is not None:
            await self._held
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    def stream(
        self,
        path: bytes,
        *,
        deadline_s: float,
        metadata: HeaderList,
        is_idempotent: bool = False,
        trace: Trace | None = None,
    ) -> FakeMessages:
        """Start a streaming call."""
        stream = FakeMessages(self.messages, self.failure)
        self.streams.append(stream)
        self.calls.append(
            Asked(path=path, message=b"", deadline_s=deadline_s, metadata=metadata, is_idempotent=is_idempotent)
        )
        return stream


class FakeMessages:
    """One stream. Implements `model.upstream.MessageStream`."""

    def __init__(self, messages: Sequence[bytes], failure: GatewayError | None) -> None:
        self.attempts = 1
        self.headers: HeaderList = []
        self.trailers: HeaderList = []
        self.sent: list[bytes] = []
        self.is_half_closed = False
        self.is_cancelled = False
        self._messages = list(messages)
        self._failure = failure

    async def send(self, message: bytes) -> None:
        """Take a message."""
        assert not self.is_half_closed
        self.sent.append(message)

    def close_send(self) -> None:
        """Half-close."""
        self.is_half_closed = True

    async def receive(self, timeout_s: float | None = None) -> bytes | None:
        """Yield the next message."""
        if self._messages:
            return self._messages.pop(0)
        if self._failure is not None:
            raise self._failure
        return None

    def cancel(self) -> bool:
        """Give up."""
        self.is_cancelled = True
        return True

    def abort(self, error: GatewayError) -> None:
        """Give up with an error."""
        self.is_cancelled = True
        self._messages.clear()
        self._failure = error
