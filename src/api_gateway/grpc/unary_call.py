"""A call with one message each way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from ngh2 import ErrorCode

from ..http2.connection import Connection
from ..http2.handlers import Headers
from ..model.errors import GatewayError
from ..model.message import HeaderList
from ..model.trace import Trace
from . import failures
from .call import Call, CallOwner
from .call_head import CallHead
from .framing import FramingError, MessageReader


class UnaryCall(Call["UnaryCall"]):
    """One message each way. Await it: the result is the call itself, with `message`, `headers` and `trailers`.

    Raises GatewayError for every other end. Cancelling the waiter resets the stream.
    """

    __slots__ = ("_inflation", "_is_ended", "_message_count", "_reader", "_request", "message")

    def __init__(
        self,
        owner: CallOwner,
        head: CallHead,
        message: bytes,
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
        self._request = head.encode(message)
        self.message = b""
        self._message_count = 0
        self._reader: MessageReader | None = None
        self._inflation: Iterator[bytes | None] | None = None
        """A long compressed message that is being read, a step in each turn of the loop."""
        self._is_ended = False
        """Whether the call ended well meanwhile."""

    def _open(self, connection: Connection, headers: Headers) -> int:
        return connection.open_stream(headers, self, body=self._request)

    def _can_retry(self) -> bool:
        return True

    def _is_cut(self) -> bool:
        return self._reader is not None and not self._reader.is_empty

    def _messages_received(self, data: bytes) -> None:
        self._consume(len(data))
        if self._reader is None:
            if (
                not self._message_count
                and len(data) >= 5
                and data[0] == 0
                and len(data) - 5 == int.from_bytes(data[1:5], "big") <= self._owner.max_message_bytes
            ):
                # One message in one DATA frame, as nearly always: no reader, 1 us less.
                self.message = data[5:]
                self._message_count = 1
                return
            self._reader = MessageReader(self._owner.max_message_bytes)
        for is_compressed, message in self._reader.feed(data):
            if self._message_count:
                self.abandon(failures.cardinality(self._owner.name, "two messages"))
                return
            self._message_count = 1
            plain = self._plain(message) if is_compressed else message
            if plain is not None:
                self.message = plain
            else:
                self._inflation = self._inflate(message)
                self._read_on()

    def _read_on(self) -> None:
        """Take a step in reading a compressed message; others have their turn before the next one."""
        if self._is_done or self._inflation is None:
            return
        try:
            plain = next(self._inflation)
        except FramingError as error:
            self.abandon(failures.unreadable(self._owner.name, error))
            return
        if plain is None:
            asyncio.get_running_loop().call_soon(self._read_on)
            return
        self.message = plain
        self._inflation = None
        if self._is_ended:
            self._owner.wheel.discard(self._deadline_slot, self)
            self._end(None)

    def stream_closed(self, error_code: int, reason: str) -> None:
        """End the call if it has not ended; see `Call.stream_closed`."""
        if self._is_ended:
            self._connection = None
        else:
            super().stream_closed(error_code, reason)

    def _reset_if_open(self) -> None:
        # A backend may answer before it has read the whole request; small requests are always out by then.
        if len(self._request) > 16_384 and self._connection is not None:
            self._connection.reset_stream(self._stream_id, ErrorCode.NO_ERROR)

    def _end(self, error: GatewayError | None) -> None:
        if error is None and self._inflation is not None:
            self._is_ended = True
            # The deadline was given up with the status, and holds for the reading too.
            self._deadline_slot = self._owner.wheel.add(self.deadline_s, self)
            return
        if error is None:
            if self._is_cut():
                error = failures.cut_short(self._owner.name)
            elif not self._message_count:
                error = failures.cardinality(self._owner.name, "no message")
        self._settle(error)
        if error is None:
            self._finish()
        else:
            self.fail(error)

    def result(self) -> UnaryCall:
        """Return the call itself or raise its error. Only to be called when done."""
        # Not kept as the value: a call that holds itself is garbage for the collector, 2 us a request.
        if self._error is not None:
            raise self._error
        return self
