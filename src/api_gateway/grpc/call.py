"""One RPC, from its first header to its status: deadline, stream, retries, cancel.

A call belongs to a channel, which finds a connection for it (`start`). It may give itself back: when the backend
provably did not see it (`CallOwner.retry`), and when it failed and may be tried again (`CallOwner.retries`).
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol, TypeVar

from ngh2 import ConnectionClosingError, ErrorCode, NGH2Error

from ..deadlines import DeadlineWheel
from ..http2.connection import MAX_HEADER_BLOCK_BYTES, Connection
from ..http2.handlers import Headers
from ..model.deadline import format_grpc_timeout
from ..model.errors import GatewayError
from ..model.message import HeaderList
from ..model.status import Code
from ..model.trace import CallSpan, Trace
from ..waiting import Pending
from . import failures
from .call_head import CallHead
from .compression import IDENTITY, inflate, inflate_at_once, is_known
from .framing import FramingError
from .metadata import Status, is_grpc_content_type, read_pushback, read_status, status_without_grpc
from .retries import Retries
from .spans import begin_span, end_span
from .target import Target

MAX_SHOWN_BODY_BYTES: Final = 200
"""Bytes of an answer that is not gRPC that are kept for the error's text."""
MAX_INFORMATIONAL: Final = 16
"""1xx heads accepted before the real one."""

T = TypeVar("T")


class CallOwner(Protocol):
    """The channel, as its calls see it."""

    name: str
    target: Target
    max_message_bytes: int
    wheel: DeadlineWheel
    clock: Callable[[], float]
    retries: Retries

    def retry(self, call: Call[Any]) -> None:
        """Place a call again that the backend did not see."""

    def has_connection(self) -> bool:
        """Whether calls that wait do so for a free stream, and not for a connection."""

    def retire(self, connection: Connection, reason: str) -> None:
        """Open no more streams on a connection whose engine takes none."""

    def forget(self, call: Call[Any]) -> None:
        """Take a call out of the queue: it ended while it waited."""


class Call(Pending[T], metaclass=ABCMeta):
    """What unary and streaming calls share: the request head, the deadline, the stream and how it ends.

    Implements `http2.connection.StreamHandler` and `deadlines.Expiring`.
    """

    __slots__ = (
        "_connection",
        "_deadline_slot",
        "_encoding",
        "_head",
        "_http_status",
        "_informational_count",
        "_is_idempotent",
        "_is_response_grpc",
        "_metadata",
        "_owner",
        "_pushback",
        "_reset_code",
        "_response_content_type",
        "_shown_body",
        "_span",
        "_stated",
        "_stream_id",
        "_trace",
        "_was_retried",
        "attempts",
        "backoffs",
        "deadline_s",
        "headers",
        "is_queued",
        "is_waiting",
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
        is_idempotent: bool = False,
        trace: Trace | None = None,
    ) -> None:
        super().__init__()
        self._owner = owner
        self._head = head
        self._metadata = metadata
        self.deadline_s = deadline_s
        self.waits_for_ready = waits_for_ready
        """Whether it waits out a backend that cannot be reached, until its deadline."""
        self._is_idempotent = is_idempotent
        """Whether it may be tried again by policy (gRFC A6)."""
        self.headers: HeaderList = []
        """Response metadata, without what belongs to HTTP and gRPC."""
        self.trailers: HeaderList = []
        """Trailing metadata, likewise."""
        self.is_queued = False
        """Whether it waits for a connection."""
        self.is_waiting = False
        """Whether it waits for its next attempt."""
        self.attempts = 1
        """Times it was or is tried; when the backend did not see it, that does not count."""
        self.backoffs = 0
        """Delays in a row that the backend did not choose."""
        self._connection: Connection | None = None
        self._stream_id = 0
        self._deadline_slot = owner.wheel.add(deadline_s, self)
        self._http_status = 0
        self._response_content_type = b""
        self._is_response_grpc = True
        self._encoding = IDENTITY
        self._shown_body = b""
        self._informational_count = 0
        self._reset_code = -1
        self._was_retried = False
        self._stated: GatewayError | None = None
        """What a backend stated that refused the call with nothing but a status: it may be tried again."""
        self._pushback: bytes | None = None
        self._trace = trace
        self._span: CallSpan | None = None
        """The attempt under way, when it is recorded."""

    # For the channel

    def start(self, connection: Connection) -> None:
        """Send the request on a connection that can take it."""
        left_s = self.deadline_s - self._owner.clock()
        if left_s <= 0:
            self._expire(has_waited_in_vain=self.attempts == 1)
            return
        head = self._head
        headers = [
            *head.before_timeout,
            (b"grpc-timeout", format_grpc_timeout(left_s)),
            *head.after_timeout,
            *self._metadata,
        ]
        if self.attempts > 1:
            headers.append((b"grpc-previous-rpc-attempts", b"%d" % (self.attempts - 1)))
        if self._trace is not None:
            self._span = begin_span(self._trace, self._owner, head.path, self.attempts, headers)
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
        """Have it placed again: nothing was sent, so that does not count as a retry, nor as an attempt."""
        self._connection = None
        self._span = None
        self._owner.retry(self)

    def expire(self, now_s: float) -> None:
        """End with DEADLINE_EXCEEDED and reset the stream."""
        if not self._is_done:
            self._expire(has_waited_in_vain=self.is_queued and self.attempts == 1 and self._owner.has_connection())

    def _expire(self, *, has_waited_in_vain: bool) -> None:
        self._release(ErrorCode.CANCEL)
        name = self._owner.name
        self._end(failures.queued_too_long(name) if has_waited_in_vain else failures.deadline_exceeded(name))

    def abandon(self, error: GatewayError) -> None:
        """End with an error and reset the stream, if there is one."""
        if not self._is_done:
            self._release(ErrorCode.CANCEL)
            self._end(error)

    def _fits(self, headers: Headers, connection: Connection) -> bool:
        size_bytes = sum(len(name) + len(value) + 32 for name, value in headers)
        if size_bytes <= connection.peer_max_header_list_bytes:
            return True
        self._release(ErrorCode.NO_ERROR)
        self._end(failures.metadata_too_large(self._owner.name))
        return False

    def _cancelled(self) -> None:
        self._release(ErrorCode.CANCEL)
        if self._span is not None:
            self._end_span(Code.CANCELLED, "CANCELLED")

    def _release(self, error_code: int) -> None:
        """Give up deadline, queue place and stream."""
        self._owner.wheel.discard(self._deadline_slot, self)
        if self.is_queued:
            self._owner.forget(self)
        if self.is_waiting:
            self._owner.retries.forget(self)
        if self._connection is not None:
            self._connection.reset_stream(self._stream_id, error_code)

    # What the two kinds differ in

    @abstractmethod
    def _open(self, connection: Connection, headers: Headers) -> int:
        """Send head and messages; return the stream's id. Raises NGH2Error when the connection cannot take it."""

    @abstractmethod
    def _end(self, error: GatewayError | None) -> None:
        """End the call: None means status OK. Called once."""

    @abstractmethod
    def _messages_received(self, data: bytes) -> None:
        """Take a slice of messages. Raises FramingError."""

    @abstractmethod
    def _is_cut(self) -> bool:
        """Whether what came ends inside a message."""

    @abstractmethod
    def _can_retry(self) -> bool:
        """Whether everything that was sent is still there to be sent again."""

    @abstractmethod
    def _reset_if_open(self) -> None:
        """Stop sending a request that was answered before all of it was sent; the rest is of no use."""

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
        for header in headers:
            name = header[0]
            if name == b"content-type":
                self._response_content_type = header[1]
            elif name == b":status":
                self._http_status = int(header[1])
            elif name == b"grpc-encoding":
                self._encoding = header[1]
            elif not name.startswith(b"grpc-"):
                custom.append((name, header[1]))
        if end_stream:
            self._finish_with(headers, is_trailers_only=True)
            return
        self._is_response_grpc = is_grpc_content_type(self._response_content_type)
        encoding = self._encoding
        if encoding != IDENTITY and self._is_response_grpc and not is_known(encoding):
            self.abandon(failures.broken(self._owner.name, f"unexpected message encoding {encoding[:50]!r}"))
        self._committed()

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
                self.abandon(failures.unreadable(self._owner.name, error))
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
        if self._stated is not None:
            self._failed(self._stated)
            return
        if reason:
            self._failed(failures.connection_lost(self._owner.name, reason))
            return
        code = self._reset_code if self._reset_code >= 0 else error_code
        # A response head commits the call (gRFC A6): who sent one has seen the call, whatever the reset claims.
        if code == ErrorCode.REFUSED_STREAM and not self._was_retried and not self._http_status and self._can_retry():
            self._was_retried = True
            self._reset_code = -1
            if self._span is not None:
                self._end_span(Code.UNAVAILABLE, "REFUSED_STREAM")
            self._owner.retry(self)
        elif code == ErrorCode.CANCEL and self.deadline_s <= self._owner.clock():
            self._failed(failures.deadline_exceeded(self._owner.name))
        else:
            self._failed(failures.reset(self._owner.name, code))

    # How it ended

    def _failed(self, error: GatewayError) -> None:
        """End with an error, or wait for another attempt: its stream is closed."""
        is_uncommitted = not self._http_status or self._stated is not None
        if self._is_idempotent and error.code == Code.UNAVAILABLE and is_uncommitted and self._can_retry():
            pushback, self._pushback, self._stated = self._pushback, None, None
            if self._owner.retries.try_again(self, pushback):
                if self._span is not None:
                    self._end_span(error.code, error.reason)
                self._forget_answer()
                return
        self._owner.wheel.discard(self._deadline_slot, self)
        self._end(error)

    def _forget_answer(self) -> None:
        self.headers = []
        self._http_status = 0
        self._response_content_type = b""
        self._encoding = IDENTITY
        self._informational_count = 0
        self._reset_code = -1

    def _committed(self) -> None:
        """A response head came: from now on the call is never placed again."""

    def _settle(self, error: GatewayError | None) -> None:
        """Tell the budget how an idempotent call ended, and end its span; the first thing of `_end`."""
        if self._span is not None:
            self._end_span(0 if error is None else error.code, "" if error is None else error.reason)
        if self._is_idempotent:
            self._owner.retries.ended(self, error)

    def _end_span(self, grpc_code: int, error_type: str) -> None:
        span, self._span = self._span, None
        if span is not None:
            end_span(span, grpc_code, error_type)

    def _finish_with(self, trailers: Headers, *, is_trailers_only: bool = False) -> None:
        if self._is_done:
            return
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
        elif not is_trailers_only:
            # What Trailers-Only brings was taken as headers already.
            custom = self.trailers
            for header in trailers:
                if not header[0].startswith((b"grpc-", b":", b"content-type")):
                    custom.append((header[0], header[1]))
        if error is None:
            self._reset_if_open()
        elif self._connection is not None:
            # Whatever of the request is not out yet; nothing is written for a stream that is closed on both sides.
            self._connection.reset_stream(self._stream_id, ErrorCode.NO_ERROR)
        if is_trailers_only and error is not None and error.code == Code.UNAVAILABLE and self._is_idempotent:
            # Decided when its stream is closed, so that the next attempt hears nothing of this one.
            self._stated, self._pushback = error, read_pushback(trailers)
            return
        self._owner.wheel.discard(self._deadline_slot, self)
        self._end(error)

    def _status_missing(self) -> Status:
        if self._is_response_grpc and self._http_status == 200 and is_grpc_content_type(self._response_content_type):
            return Status(code=Code.UNKNOWN, message="the backend ended its answer without a status")
        return status_without_grpc(self._http_status, self._response_content_type, self._shown_body)

    def _plain(self, message: bytes) -> bytes | None:
        """Return what a compressed message holds, None when that is so long that `_inflate` has to read it.

        Raises FramingError.
        """
        if self._encoding == IDENTITY:
            raise FramingError("a compressed message without grpc-encoding")
        return inflate_at_once(self._encoding, message, self._owner.max_message_bytes)

    def _inflate(self, message: bytes) -> Iterator[bytes | None]:
        """Read a compressed message in steps; see `compression.inflate`."""
        return inflate(self._encoding, message, self._owner.max_message_bytes)

    def _consume(self, size_bytes: int) -> None:
        if self._connection is not None:
            self._connection.consume(self._stream_id, size_bytes)
