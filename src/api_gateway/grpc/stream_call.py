"""A call with any number of messages each way."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from ngh2 import ErrorCode

from ..http2.connection import Connection
from ..http2.handlers import Headers
from ..model.errors import GatewayError, Source
from ..model.message import HeaderList
from ..model.status import Code
from ..model.trace import Trace
from ..waiting import Pending
from . import failures
from .call import Call, CallOwner
from .call_head import CallHead
from .compression import IDENTITY
from .framing import FramingError, MessageReader
from .spans import count_received

MAX_KEPT_BYTES: Final = 64 * 1024
"""Most that is kept of what was sent, so that it can be sent again; beyond it the call is committed (gRFC A6)."""


class StreamCall(Call[None]):
    """Messages in one or both directions. One task may send while another receives.

    Awaiting it waits for the end: None after status OK, else GatewayError. `cancel` gives the call up with RST_STREAM.
    Messages wait here only as long as the stream's window allows: it is given back when somebody waits for the next
    message and there is none. So the window holds the message that is being worked on too.
    """

    __slots__ = (
        "_can_send",
        "_is_replayable",
        "_is_send_closed",
        "_kept",
        "_messages",
        "_reader",
        "_receiver",
        "_sender",
        "_sent_bytes",
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
        is_idempotent: bool = False,
        trace: Trace | None = None,
    ) -> None:
        super().__init__(
            owner,
            head,
            deadline_s=deadline_s,
            metadata=metadata,
            waits_for_ready=waits_for_ready,
            is_idempotent=is_idempotent,
            trace=trace,
        )
        self._reader = MessageReader(owner.max_message_bytes)
        self._messages: deque[tuple[bool, bytes]] = deque()
        """Whether it is compressed, and the message."""
        self._unconsumed_bytes = 0
        self._receiver: Pending[None] | None = None
        self._sender: Pending[None] | None = None
        self._kept: list[bytes] = []
        """Everything sent so far, as long as it may have to be sent again."""
        self._sent_bytes = 0
        self._is_replayable = True
        self._is_send_closed = False
        self._can_send = True

    async def send(self, message: bytes) -> None:
        """Send one message; waits while the backend's window is full. Raises GatewayError when the call has ended."""
        while not self._can_send and not self._is_done:
            self._sender = Pending()
            await self._sender
        if self._is_done:
            self.result()
            raise GatewayError(Code.CANCELLED, "the service ended the call", source=Source.UPSTREAM)
        data = self._head.encode(message)
        if self._connection is None:
            # Goes out with the head. One message at a time, so that no more wait than the backend would take.
            self._keep(data)
            self._can_send = False
            return
        self._keep(data)
        self._drop_if_too_much()
        if self._span is not None:
            self._span.sent += 1
        self._can_send = self._connection.send_data(self._stream_id, data)

    def _keep(self, data: bytes) -> None:
        self._sent_bytes += len(data)
        if self._is_replayable:
            self._kept.append(data)

    def _drop_if_too_much(self) -> None:
        if self._is_replayable and self._sent_bytes > MAX_KEPT_BYTES:
            self._committed()

    def _committed(self) -> None:
        self._is_replayable = False
        self._kept.clear()

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
            if self._unconsumed_bytes:
                self._give_back()
            self._receiver = Pending()
            if timeout_s is None:
                await self._receiver
            elif await self._is_silent(self._receiver, timeout_s):
                raise TimeoutError
        is_compressed, message = self._messages.popleft()
        return await self._unpack(message) if is_compressed else message

    async def _unpack(self, message: bytes) -> bytes:
        # Only now, one at a time: what waits in the window may hold a thousand times its size.
        try:
            plain = self._plain(message)
            if plain is None:
                for plain in self._inflate(message):
                    if plain is None:
                        await asyncio.sleep(0)
                        if self.cancelled():
                            self.result()
            return plain or b""
        except FramingError as problem:
            error = failures.unreadable(self._owner.name, problem)
            self._messages.clear()
            self.abandon(error)
            raise error from None

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

    def abort(self, error: GatewayError) -> None:
        """Give the call up with RST_STREAM CANCEL; who sends or receives gets `error`."""
        if not self._is_done:
            self._release(ErrorCode.CANCEL)
            self._end(error)

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
        body = b"".join(self._kept)
        if self._span is not None:
            self._span.sent = len(self._kept)
        # Set here already: the sender that is woken sends on it before this returns.
        self._stream_id = connection.open_stream(headers, self, body=body or None, end=self._is_send_closed)
        self._drop_if_too_much()
        self._can_send = True
        _wake(self._sender)
        return self._stream_id

    def _can_retry(self) -> bool:
        return self._is_replayable

    def _is_cut(self) -> bool:
        return not self._reader.is_empty

    def _messages_received(self, data: bytes) -> None:
        # Counted before it is read: what cannot be read is given back with the end of the stream.
        self._unconsumed_bytes += len(data)
        for is_compressed, message in self._reader.feed(data):
            if is_compressed and self._encoding == IDENTITY:
                raise FramingError("a compressed message without grpc-encoding")
            self._messages.append((is_compressed, message))
            if self._span is not None:
                count_received(self._span)
        if self._messages:
            _wake(self._receiver)
        elif self._is_awaited():
            # Part of a long message: the window must open for the rest of it, however small it is.
            self._give_back()

    def _is_awaited(self) -> bool:
        return self._receiver is not None and not self._receiver.done()

    def _give_back(self) -> None:
        size_bytes, self._unconsumed_bytes = self._unconsumed_bytes, 0
        self._consume(size_bytes)

    def _reset_if_open(self) -> None:
        # Small requests that were closed are out by now; of a large one the backend may not have read all.
        if (not self._is_send_closed or self._sent_bytes > 16_384) and self._connection is not None:
            self._connection.reset_stream(self._stream_id, ErrorCode.NO_ERROR)

    def _end(self, error: GatewayError | None) -> None:
        if error is None and self._is_cut():
            error = failures.cut_short(self._owner.name)
        self._settle(error)
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
