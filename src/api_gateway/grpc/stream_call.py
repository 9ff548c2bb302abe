"""A call with any number of messages each way."""

from __future__ import annotations

from collections import deque

from ngh2 import ErrorCode

from ..http2.connection import Connection
from ..http2.handlers import Headers
from ..model.errors import GatewayError, Source
from ..model.message import HeaderList
from ..model.status import Code
from ..waiting import Pending
from . import failures
from .call import Call, CallHead, CallOwner
from .framing import FramingError, MessageReader, encode_message


class StreamCall(Call[None]):
    """Messages in one or both directions. One task may send while another receives.

    Awaiting it waits for the end: None after status OK, else GatewayError. `cancel` gives the call up with RST_STREAM.
    Messages wait here only as long as the stream's window allows: what is not received is not given back to the
    backend.
    """

    __slots__ = (
        "_can_send",
        "_has_sent",
        "_is_send_closed",
        "_messages",
        "_outbox",
        "_reader",
        "_receiver",
        "_sender",
        "_unconsumed_bytes",
    )

    def __init__(
        self,
        owner: CallOwner,
        head: CallHead,
        *,
        deadline_s: float,
        metadata: HeaderList,
        waits_for_ready: bool = False,
    ) -> None:
        super().__init__(owner, head, deadline_s=deadline_s, metadata=metadata, waits_for_ready=waits_for_ready)
        self._reader = MessageReader(owner.max_message_bytes)
        self._messages: deque[bytes] = deque()
        self._unconsumed_bytes = 0
        self._receiver: Pending[None] | None = None
        self._sender: Pending[None] | None = None
        self._outbox: list[bytes] = []
        self._is_send_closed = False
        self._can_send = True
        self._has_sent = False

    async def send(self, message: bytes) -> None:
        """Send one message; waits while the backend's window is full. Raises GatewayError when the call has ended."""
        while not self._can_send and not self._is_done:
            self._sender = Pending()
            await self._sender
        if self._is_done:
            self.result()
            raise GatewayError(Code.CANCELLED, "the service ended the call", source=Source.UPSTREAM)
        data = encode_message(message)
        if self._connection is None:
            self._outbox.append(data)
            self._can_send = False
        else:
            self._has_sent = True
            self._can_send = self._connection.send_data(self._stream_id, data)

    def close_send(self) -> None:
        """Tell the backend that no more messages follow (half-close)."""
        if self._is_send_closed or self._is_done:
            return
        self._is_send_closed = True
        if self._connection is not None:
            self._connection.send_data(self._stream_id, b"", end=True)

    async def receive(self, timeout_s: float | None = None) -> bytes | None:
        """Return the next message, None after the last one of a call that ended OK. Raises GatewayError otherwise.

        Raises TimeoutError when nothing came within `timeout_s`; the call goes on.
        """
        while not self._messages:
            if self._is_done:
                self.result()
                return None
            self._receiver = Pending()
            if timeout_s is None:
                await self._receiver
            elif await self._is_silent(self._receiver, timeout_s):
                raise TimeoutError
        message = self._messages.popleft()
        if not self._messages and self._unconsumed_bytes:
            self._give_back()
        return message

    async def _is_silent(self, receiver: Pending[None], timeout_s: float) -> bool:
        alarm = _Alarm(receiver)
        slot = self._owner.wheel.add(self._owner.clock() + timeout_s, alarm)
        try:
            await receiver
        finally:
            self._owner.wheel.discard(slot, alarm)
        return alarm.has_rung and not self._messages and not self._is_done

    def cancel(self, msg: object = None) -> bool:
        """Give the call up: RST_STREAM with CANCEL; who sends or receives gets CancelledError."""
        if not super().cancel(msg):
            return False
        _wake(self._receiver)
        _wake(self._sender)
        return True

    def sendable(self) -> None:
        """Wake the sender."""
        self._can_send = True
        _wake(self._sender)

    def stream_closed(self, error_code: int, reason: str) -> None:
        """Give back what is still held before the stream is forgotten."""
        if self._unconsumed_bytes and not reason:
            self._give_back()
        super().stream_closed(error_code, reason)

    def _open(self, connection: Connection, headers: Headers) -> int:
        body = b"".join(self._outbox)
        # Set here already: the sender that is woken sends on it before this returns.
        self._stream_id = connection.open_stream(headers, self, body=body or None, end=self._is_send_closed)
        self._outbox.clear()
        self._has_sent = bool(body)
        self._can_send = True
        _wake(self._sender)
        return self._stream_id

    def _can_retry(self) -> bool:
        # What was sent is not kept; only a stream without a first message can be placed again.
        return not self._has_sent

    def _is_cut(self) -> bool:
        return not self._reader.is_empty

    def _messages_received(self, data: bytes) -> None:
        # Counted before it is read: what cannot be read is given back with the end of the stream.
        self._unconsumed_bytes += len(data)
        for is_compressed, message in self._reader.feed(data):
            if is_compressed:
                raise FramingError("a compressed message without grpc-encoding")
            self._messages.append(message)
        if self._messages:
            _wake(self._receiver)
        else:
            # Part of a long message: the window must open for the rest of it, however small it is.
            self._give_back()

    def _give_back(self) -> None:
        size_bytes, self._unconsumed_bytes = self._unconsumed_bytes, 0
        self._consume(size_bytes)

    def _reset_if_open(self) -> None:
        if not self._is_send_closed and self._connection is not None:
            self._connection.reset_stream(self._stream_id, ErrorCode.NO_ERROR)

    def _end(self, error: GatewayError | None) -> None:
        if error is None and self._is_cut():
            error = failures.cut_short(self._owner.name)
        if error is None:
            self.resolve(None)
        else:
            self.fail(error)
        _wake(self._receiver)
        _wake(self._sender)


def _wake(waiter: Pending[None] | None) -> None:
    if waiter is not None:
        waiter.resolve(None)


class _Alarm:
    """Ends a wait at its deadline. Implements `deadlines.Expiring`."""

    __slots__ = ("_waiter", "has_rung")

    def __init__(self, waiter: Pending[None]) -> None:
        self._waiter = waiter
        self.has_rung = False

    def expire(self, now_s: float) -> None:
        """Wake who waits."""
        self.has_rung = True
        self._waiter.resolve(None)
