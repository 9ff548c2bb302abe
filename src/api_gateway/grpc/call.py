"""One RPC, from its first header to its status: send, receive, deadline, cancel.

A call belongs to a channel, which finds a connection for it (`start`) and may be given it back once when the backend
provably did not see it (`CallOwner.retry`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from ngh2 import ConnectionClosingError, ErrorCode, NGH2Error

from ..deadlines import DeadlineWheel
from ..http2.connection import MAX_HEADER_BLOCK_BYTES, Connection
from ..http2.handlers import Headers
from ..model.deadline import format_grpc_timeout
from ..model.errors import GatewayError
from ..model.message import HeaderList
from ..model.status import Code
from ..waiting import Pending
from . import failures
from .framing import FramingError, MessageReader, encode_message
from .metadata import Status, is_grpc_content_type, read_status, status_without_grpc

MAX_SHOWN_BODY_BYTES: Final = 200
"""Bytes of an answer that is not gRPC that are kept for the error's text."""
MAX_INFORMATIONAL: Final = 16
"""1xx heads accepted before the real one."""

T = TypeVar("T")


class CallOwner(Protocol):
    """The channel, as its calls see it."""

    name: str
    max_message_bytes: int
    wheel: DeadlineWheel
    clock: Callable[[], float]

    def retry(self, call: Call[Any]) -> None:
        """Place a call again that the backend did not see."""

    def retire(self, connection: Connection, reason: str) -> None:
        """Open no more streams on a connection whose engine takes none."""

    def forget(self, call: Call[Any]) -> None:
        """Take a call out of the queue: it ended while it waited."""


class CallHead:
    """What all calls of one method have in common on the wire, made once."""

    __slots__ = ("after_timeout", "before_timeout")

    def __init__(self, *, path: bytes, authority: bytes, is_tls: bool, user_agent: bytes) -> None:
        self.before_timeout = (
            (b":method", b"POST"),
            (b":scheme", b"https" if is_tls else b"http"),
            (b":path", path),
            (b":authority", authority),
        )
        self.after_timeout = (
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", user_agent),
        )


class Call(Pending[T]):
    """What unary and streaming calls share: the request head, the deadline, the stream and how it ends.

    Implements `http2.connection.StreamHandler` and `deadlines.Expiring`.
    """

    __slots__ = (
        "_connection",
        "_deadline_slot",
        "_head",
        "_http_status",
        "_informational_count",
        "_is_response_grpc",
        "_metadata",
        "_owner",
        "_reset_code",
        "_response_content_type",
        "_shown_body",
        "_stream_id",
        "_was_retried",
        "deadline_s",
        "headers",
        "is_queued",
        "trailers",
        "waits_for_ready",
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
        super().__init__()
        self._owner = owner
        self._head = head
        self._metadata = metadata
        self.deadline_s = deadline_s
        self.waits_for_ready = waits_for_ready
        """Whether it waits out a backend that cannot be reached, until its deadline."""
        self.headers: HeaderList = []
        """Response metadata, without what belongs to HTTP and gRPC."""
        self.trailers: HeaderList = []
        """Trailing metadata, likewise."""
        self.is_queued = False
        self._connection: Connection | None = None
        self._stream_id = 0
        self._deadline_slot = owner.wheel.add(deadline_s, self)
        self._http_status = 0
        self._response_content_type = b""
        self._is_response_grpc = True
        self._shown_body = b""
        self._informational_count = 0
        self._reset_code = -1
        self._was_retried = False

    # For the channel

    def start(self, connection: Connection) -> None:
        """Send the request on a connection that can take it."""
        left_s = self.deadline_s - self._owner.clock()
        if left_s <= 0:
            self.expire(self._owner.clock())
            return
        head = self._head
        headers = [
            *head.before_timeout,
            (b"grpc-timeout", format_grpc_timeout(left_s)),
            *head.after_timeout,
            *self._metadata,
        ]
        if connection.peer_max_header_list_bytes < MAX_HEADER_BLOCK_BYTES and not self._fits(headers, connection):
            return
        self._connection = connection
        try:
            self._stream_id = self._open(connection, headers)
        except NGH2Error as error:
            # The engine is ahead of the events that are being told, or out of stream ids.
            self._owner.retire(connection, str(error))
            self._not_seen()

    def _not_seen(self) -> None:
        """Have it placed again: nothing was sent, so that does not count as a retry."""
        self._connection = None
        self._owner.retry(self)

    def expire(self, now_s: float) -> None:
        """End with DEADLINE_EXCEEDED and reset the stream."""
        if not self._is_done:
            self._release(ErrorCode.CANCEL)
            self._end(failures.deadline_exceeded(self._owner.name))

    def _fits(self, headers: Headers, connection: Connection) -> bool:
        size_bytes = sum(len(name) + len(value) + 32 for name, value in headers)
        if size_bytes <= connection.peer_max_header_list_bytes:
            return True
        self._release(ErrorCode.NO_ERROR)
        self._end(failures.metadata_too_large(self._owner.name))
        return False

    def _cancelled(self) -> None:
        self._release(ErrorCode.CANCEL)

    def _release(self, error_code: int) -> None:
        """Give up deadline, queue place and stream."""
        self._owner.wheel.discard(self._deadline_slot, self)
        if self.is_queued:
            self._owner.forget(self)
        if self._connection is not None:
            self._connection.reset_stream(self._stream_id, error_code)

    # What the two kinds differ in

    def _open(self, connection: Connection, headers: Headers) -> int:
        raise NotImplementedError

    def _end(self, error: GatewayError | None) -> None:
        """End the call: None means status OK. Called once."""
        raise NotImplementedError

    def _messages_received(self, data: bytes) -> None:
        raise NotImplementedError

    def _is_cut(self) -> bool:
        """Whether what came ends inside a message."""
        raise NotImplementedError

    def _can_retry(self) -> bool:
        raise NotImplementedError

    # StreamHandler

    def informational_received(self, headers: Headers) -> None:
        """Skip a 1xx head; a backend that sends too many is refused."""
        self._informational_count += 1
        if self._informational_count > MAX_INFORMATIONAL and not self._is_done:
            self._release(ErrorCode.PROTOCOL_ERROR)
            self._end(failures.broken(self._owner.name, "too many informational responses"))

    def headers_received(self, headers: Headers, end_stream: bool) -> None:
        """Take the response head; with `end_stream` it is trailers too (Trailers-Only)."""
        if self._http_status:
            self._release(ErrorCode.PROTOCOL_ERROR)
            if not self._is_done:
                self._end(failures.broken(self._owner.name, "a second response head"))
            return
        custom = self.headers
        encoding = b"identity"
        for header in headers:
            name = header[0]
            if name == b"content-type":
                self._response_content_type = header[1]
            elif name == b":status":
                self._http_status = int(header[1])
            elif name == b"grpc-encoding":
                encoding = header[1]
            elif not name.startswith(b"grpc-"):
                custom.append((name, header[1]))
        if end_stream:
            self._finish_with(headers)
            return
        self._is_response_grpc = is_grpc_content_type(self._response_content_type)
        if self._is_response_grpc and encoding != b"identity" and not self._is_done:
            self._release(ErrorCode.CANCEL)
            self._end(failures.broken(self._owner.name, f"unexpected message encoding {encoding[:50]!r}"))

    def data_received(self, data: bytes, end_stream: bool) -> None:
        """Take a slice of messages."""
        if not self._is_response_grpc:
            self._consume(len(data))
            if len(self._shown_body) < MAX_SHOWN_BODY_BYTES:
                self._shown_body += data[:MAX_SHOWN_BODY_BYTES]
        elif not self._is_done:
            try:
                self._messages_received(data)
            except FramingError as error:
                self._release(ErrorCode.CANCEL)
                self._end(failures.unreadable(self._owner.name, error))
        else:
            self._consume(len(data))
        if end_stream and not self._is_done:
            self._finish_with(())

    def trailers_received(self, headers: Headers) -> None:
        """Take the trailers: they carry the status."""
        self._finish_with(headers)

    def reset_received(self, error_code: int) -> None:
        """Remember the code; `stream_closed` follows."""
        self._reset_code = error_code

    def sendable(self) -> None:
        """More of the request may be sent."""

    def not_sent(self, error: NGH2Error) -> None:
        """Have the call placed again: GOAWAY was faster than its head. Only a head too long for any ends it."""
        self._connection = None
        if self._is_done:
            return
        if not isinstance(error, ConnectionClosingError):
            self._release(ErrorCode.NO_ERROR)
            self._end(failures.metadata_too_large(self._owner.name))
        elif self._can_retry():
            self._not_seen()
        else:
            self.stream_closed(ErrorCode.NO_ERROR, str(error))

    def stream_closed(self, error_code: int, reason: str) -> None:
        """End the call if it has not ended, or have it placed again when the backend did not see it."""
        self._connection = None
        if self._is_done:
            return
        if reason:
            self._owner.wheel.discard(self._deadline_slot, self)
            self._end(failures.connection_lost(self._owner.name, reason))
            return
        code = self._reset_code if self._reset_code >= 0 else error_code
        # A response head commits the call (gRFC A6): who sent one has seen the call, whatever the reset claims.
        if code == ErrorCode.REFUSED_STREAM and not self._was_retried and not self._http_status and self._can_retry():
            self._was_retried = True
            self._reset_code = -1
            self._owner.retry(self)
            return
        self._owner.wheel.discard(self._deadline_slot, self)
        if code == ErrorCode.CANCEL and self.deadline_s <= self._owner.clock():
            self._end(failures.deadline_exceeded(self._owner.name))
        else:
            self._end(failures.reset(self._owner.name, code))

    # How it ended

    def _finish_with(self, trailers: Headers) -> None:
        if self._is_done:
            return
        self._owner.wheel.discard(self._deadline_slot, self)
        status = read_status(trailers)
        error = None
        if status is None:
            error = (
                failures.cut_short(self._owner.name)
                if self._is_cut()
                else failures.stated(self._status_missing(), "UPSTREAM_NOT_GRPC")
            )
        elif status.code != Code.OK:
            error = failures.stated(status)
        elif not self._is_response_grpc:
            # A status of OK does not make gRPC of another content type.
            error = failures.stated(self._status_missing(), "UPSTREAM_NOT_GRPC")
        else:
            custom = self.trailers
            for header in trailers:
                if not header[0].startswith((b"grpc-", b":", b"content-type")):
                    custom.append((header[0], header[1]))
        self._reset_if_open()
        self._end(error)

    def _reset_if_open(self) -> None:
        """Stop sending a request that was answered before all of it was sent; the rest is of no use."""

    def _status_missing(self) -> Status:
        if self._is_response_grpc and self._http_status == 200 and is_grpc_content_type(self._response_content_type):
            return Status(code=Code.UNKNOWN, message="the backend ended its answer without a status")
        return status_without_grpc(self._http_status, self._response_content_type, self._shown_body)

    def _consume(self, size_bytes: int) -> None:
        if self._connection is not None:
            self._connection.consume(self._stream_id, size_bytes)


class UnaryCall(Call["UnaryCall"]):
    """One message each way. Await it: the result is the call itself, with `message`, `headers` and `trailers`.

    Raises GatewayError for every other end. Cancelling the waiter resets the stream.
    """

    __slots__ = ("_message_count", "_reader", "_request", "message")

    def __init__(
        self,
        owner: CallOwner,
        head: CallHead,
        message: bytes,
        *,
        deadline_s: float,
        metadata: HeaderList,
        waits_for_ready: bool = False,
    ) -> None:
        super().__init__(owner, head, deadline_s=deadline_s, metadata=metadata, waits_for_ready=waits_for_ready)
        self._request = encode_message(message)
        self.message = b""
        self._message_count = 0
        self._reader: MessageReader | None = None

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
            if is_compressed:
                raise FramingError("a compressed message without grpc-encoding")
            if self._message_count:
                self._release(ErrorCode.CANCEL)
                self._end(failures.cardinality(self._owner.name, "two messages"))
                return
            self.message = message
            self._message_count = 1

    def _reset_if_open(self) -> None:
        # A backend may answer before it has read the whole request; small requests are always out by then.
        if len(self._request) > 16_384 and self._connection is not None:
            self._connection.reset_stream(self._stream_id, ErrorCode.NO_ERROR)

    def _end(self, error: GatewayError | None) -> None:
        if error is None:
            if self._is_cut():
                error = failures.cut_short(self._owner.name)
            elif not self._message_count:
                error = failures.cardinality(self._owner.name, "no message")
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
