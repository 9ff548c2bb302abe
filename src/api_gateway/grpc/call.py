"""One RPC, from its first header to its status: send, receive, deadline, cancel.

A call belongs to a channel, which finds a connection for it (`start`) and may be given it back once when the backend
provably did not see it (`CallOwner.retry`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from ngh2 import ConnectionClosingError, ErrorCode, NGH2Error

from ..deadlines import DeadlineWheel
from ..http2.connection import MAX_HEADER_BLOCK_BYTES, Connection, Headers
from ..model.deadline import format_grpc_timeout
from ..model.errors import GatewayError, Source, unavailable
from ..model.message import HeaderList
from ..model.status import Code
from ..waiting import Pending
from .framing import FramingError, MessageReader, encode_message
from .metadata import Status, is_grpc_content_type, read_status, status_without_grpc

MAX_SHOWN_BODY_BYTES: Final = 200
"""Bytes of an answer that is not gRPC that are kept for the error's text."""
MAX_INFORMATIONAL: Final = 16
"""1xx heads accepted before the real one."""

_RESET_CODES: Final[dict[int, Code]] = {
    ErrorCode.REFUSED_STREAM: Code.UNAVAILABLE,
    ErrorCode.CANCEL: Code.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
}
"""gRPC codes of RST_STREAM (grpc doc/PROTOCOL-HTTP2.md, "Errors"); everything else is INTERNAL."""


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
            self._end(
                GatewayError(
                    Code.DEADLINE_EXCEEDED,
                    "the service did not answer in time",
                    reason="UPSTREAM_TIMEOUT",
                    source=Source.UPSTREAM,
                    metadata={"service": self._owner.name},
                )
            )

    def _fits(self, headers: Headers, connection: Connection) -> bool:
        size_bytes = sum(len(name) + len(value) + 32 for name, value in headers)
        if size_bytes <= connection.peer_max_header_list_bytes:
            return True
        self._release(ErrorCode.NO_ERROR)
        self._end(self._metadata_too_large())
        return False

    def _metadata_too_large(self) -> GatewayError:
        return GatewayError(
            Code.RESOURCE_EXHAUSTED,
            "the request has more metadata than the service accepts",
            reason="METADATA_TOO_LARGE",
            http=431,
            metadata={"service": self._owner.name},
        )

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
            self._end(self._broken("too many informational responses"))

    def headers_received(self, headers: Headers, end_stream: bool) -> None:
        """Take the response head; with `end_stream` it is trailers too (Trailers-Only)."""
        if self._http_status:
            self._release(ErrorCode.PROTOCOL_ERROR)
            if not self._is_done:
                self._end(self._broken("a second response head"))
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
            self._end(self._broken(f"unexpected message encoding {encoding[:50]!r}"))

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
                self._end(self._too_large(error) if error.is_too_large else self._broken(str(error)))
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
            self._end(self._metadata_too_large())
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
            self._end(
                unavailable(
                    "the connection to the service was lost",
                    "UPSTREAM_CONNECTION_LOST",
                    source=Source.UPSTREAM,
                    log_reason=reason,
                    service=self._owner.name,
                )
            )
            return
        code = self._reset_code if self._reset_code >= 0 else error_code
        # A response head commits the call (gRFC A6): who sent one has seen the call, whatever the reset claims.
        if code == ErrorCode.REFUSED_STREAM and not self._was_retried and not self._http_status and self._can_retry():
            self._was_retried = True
            self._reset_code = -1
            self._owner.retry(self)
            return
        self._owner.wheel.discard(self._deadline_slot, self)
        self._end(self._reset_error(code))

    # How it ended

    def _finish_with(self, trailers: Headers) -> None:
        if self._is_done:
            return
        self._owner.wheel.discard(self._deadline_slot, self)
        status = read_status(trailers)
        error = None
        if status is None:
            error = self._cut() if self._is_cut() else self._status_error(self._status_missing(), "UPSTREAM_NOT_GRPC")
        elif status.code != Code.OK:
            error = self._status_error(status)
        elif not self._is_response_grpc:
            # A status of OK does not make gRPC of another content type.
            error = self._status_error(self._status_missing(), "UPSTREAM_NOT_GRPC")
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

    def _status_error(self, status: Status, reason: str = "") -> GatewayError:
        """Make the error of a status. A reason marks one that the backend did not state: it was inferred."""
        return GatewayError(
            status.code,
            status.message,
            reason=reason,
            source=Source.UPSTREAM,
            details=status.details,
            headers=((b"retry-after", b"1"),) if status.code == Code.UNAVAILABLE else (),
            retryable=status.code == Code.UNAVAILABLE,
        )

    def _reset_error(self, error_code: int) -> GatewayError:
        code = _RESET_CODES.get(error_code, Code.INTERNAL)
        if code == Code.CANCELLED and self.deadline_s <= self._owner.clock():
            code = Code.DEADLINE_EXCEEDED
        name = ErrorCode(error_code).name if error_code in ErrorCode._value2member_map_ else str(error_code)
        return GatewayError(
            code,
            "the service broke the call off",
            reason="UPSTREAM_RESET",
            source=Source.UPSTREAM,
            http=502 if code == Code.INTERNAL else None,
            metadata={"service": self._owner.name, "http2_error": name},
            headers=((b"retry-after", b"1"),) if code == Code.UNAVAILABLE else (),
        )

    def _broken(self, detail: str) -> GatewayError:
        return GatewayError(
            Code.INTERNAL,
            "the service sent an answer that is not valid gRPC",
            reason="UPSTREAM_PROTOCOL_ERROR",
            source=Source.UPSTREAM,
            http=502,
            metadata={"service": self._owner.name},
            log_reason=detail,
        )

    def _cut(self) -> GatewayError:
        return self._broken("the answer ended inside a message")

    def _too_large(self, error: FramingError) -> GatewayError:
        return GatewayError(
            Code.RESOURCE_EXHAUSTED,
            "the service sent a message that is larger than allowed",
            reason="UPSTREAM_MESSAGE_TOO_LARGE",
            source=Source.UPSTREAM,
            http=502,
            metadata={"service": self._owner.name},
            log_reason=str(error),
        )

    def _cardinality(self, count: str) -> GatewayError:
        return GatewayError(
            Code.UNIMPLEMENTED,
            f"the service answered a unary call with {count}",
            reason="UPSTREAM_PROTOCOL_ERROR",
            source=Source.UPSTREAM,
            http=502,
            metadata={"service": self._owner.name},
        )

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
                self._end(self._cardinality("two messages"))
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
                error = self._cut()
            elif not self._message_count:
                error = self._cardinality("no message")
        if error is None:
            self.resolve(self)
        else:
            self.fail(error)


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
            error = self._cut()
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
