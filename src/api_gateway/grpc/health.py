"""Watches by grpc.health.v1 whether an address serves (grpc doc/health-checking.md, gRFC A17, reliability G65).

One watch an address, on one of its connections. What a backend without a health service, or one that does not let us
ask, means by its silence is that it serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, Final

import ngh2
from ngh2 import ErrorCode
from protobuf import DescMessage
from protobuf.wkt.google.protobuf.descriptor_pb import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from ..http2.connection import Connection
from ..http2.handlers import Headers
from ..model.message import HeaderList
from ..model.status import Code
from .backoff import Backoff
from .call_head import CallHeads
from .framing import FramingError, MessageReader, encode_message
from .metadata import is_grpc_content_type, read_status, status_without_grpc
from .target import Target

WATCH: Final = b"/grpc.health.v1.Health/Watch"
PATIENCE_S: Final = 2.0
"""How long calls wait for the first answer. A health service that says nothing must not keep a service from serving."""
MAX_MESSAGE_BYTES: Final = 1_024
STATUSES: Final = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
"""`HealthCheckResponse.ServingStatus`."""
_TELLS_NOTHING: Final = frozenset({Code.UNIMPLEMENTED, Code.UNAUTHENTICATED, Code.PERMISSION_DENIED})
"""Ends of a watch that say nothing about health: no such service, or none for us. Not asked again on the connection."""


def watch_head(target: Target, user_agent: str) -> HeaderList:
    """Return the request head of a watch: without a deadline, and without compression, which saves nothing here."""
    head = CallHeads(target, user_agent, compressed_from_bytes=None).of(WATCH)
    return [field for field in (*head.before_timeout, *head.after_timeout) if not field[0].startswith(b"grpc-")]


class Verdict(Enum):
    """What is known about an address."""

    PENDING = "pending"
    """Asked, and not answered yet."""
    SERVING = "serving"
    NOT_SERVING = "not serving"


class HealthWatch:
    """The watch of one address. Tell it of connections that are ready, drain or are lost; `stop` when done.

    `on_change(is_told)` is called after each change of `verdict`; `on_warning` hears of backends that cannot be asked.
    """

    def __init__(
        self,
        head: Headers,
        service: str,
        *,
        loop: asyncio.AbstractEventLoop,
        on_change: Callable[[], None],
        on_warning: Callable[[str], None],
    ) -> None:
        self.verdict = Verdict.PENDING
        self.reason = ""
        """Why it does not serve; empty when it does."""
        self._head = head
        self._request = encode_message(encode_request(service))
        self._loop = loop
        self._on_change = on_change
        self._on_warning = on_warning
        self._connection: Connection | None = None
        self._stream: _WatchStream | None = None
        self._backoff = Backoff()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, connection: Connection) -> None:
        """Ask on this connection, unless another one is asked already."""
        if self._connection is None:
            self._connection = connection
            self._ask()

    def leave(self, connection: Connection) -> None:
        """Give up asking on a connection that drains or is gone: a watch would keep it open for ever."""
        if connection is self._connection:
            self._connection = None
            self._give_up()

    def forget(self) -> None:
        """Take nothing for granted any more: the address has no connection."""
        self._set(Verdict.PENDING, "")

    def stop(self) -> None:
        """Give up asking for good."""
        self._connection = None
        self._give_up()

    def settings_changed(self, connection: Connection) -> None:
        """Leave the only stream that a backend allows to calls."""
        if connection is self._connection and self._stream is not None and connection.max_streams < 2:
            self._give_up()
            self._set(Verdict.SERVING, "")

    # One question

    def _ask(self) -> None:
        self._cancel_timer()
        connection = self._connection
        if connection is None:
            return
        if connection.max_streams < 2:
            self._set(Verdict.SERVING, "")
            return
        self._stream = _WatchStream(self, connection)
        try:
            self._stream.open(self._head, self._request)
        except ngh2.NGH2Error:
            # The engine takes no more streams; the connection's end is about to be told.
            self._stream = None
            return
        if self.verdict is Verdict.PENDING:
            self._timer = self._loop.call_later(PATIENCE_S, self._unanswered)

    def _unanswered(self) -> None:
        self._timer = None
        self._on_warning(f"no answer of the health service within {PATIENCE_S:g} s; taken for serving")
        self._set(Verdict.SERVING, "")

    def answered(self, stream: _WatchStream, status: int) -> None:
        """Take a message of the watch."""
        if stream is not self._stream:
            return
        self._cancel_timer()
        self._backoff.reset()
        name = STATUSES.get(status, str(status))
        if name == "SERVING":
            self._set(Verdict.SERVING, "")
        else:
            self._set(Verdict.NOT_SERVING, f"its health service says {name}")

    def ended(self, stream: _WatchStream, code: int, text: str) -> None:
        """Take the end of the watch, which nobody but the backend brought about."""
        if stream is not self._stream:
            return
        self._stream = None
        self._cancel_timer()
        if code in _TELLS_NOTHING:
            if code != Code.UNIMPLEMENTED:
                self._on_warning(f"the health service does not let us ask ({text}); taken for serving")
            self._set(Verdict.SERVING, "")
            return
        started_s = self._loop.time()
        if not stream.has_answered:
            self._set(Verdict.NOT_SERVING, f"its health service failed: {text}")
        # A watch that had answered may have been cut by whatever stands between; the next one will tell.
        self._timer = self._loop.call_later(self._backoff.failed(started_s, started_s), self._ask)

    def _set(self, verdict: Verdict, reason: str) -> None:
        if (verdict, reason) != (self.verdict, self.reason):
            self.verdict, self.reason = verdict, reason
            self._on_change()

    def _give_up(self) -> None:
        self._cancel_timer()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.cancel()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _WatchStream:
    """One stream of a watch. Implements `http2.handlers.StreamHandler`."""

    def __init__(self, watch: HealthWatch, connection: Connection) -> None:
        self.has_answered = False
        self._watch = watch
        self._connection = connection
        self._stream_id = 0
        self._reader = MessageReader(MAX_MESSAGE_BYTES)
        self._http_status = 0
        self._content_type = b""
        self._end: tuple[int, str] | None = None

    def open(self, head: Headers, request: bytes) -> None:
        self._connection.quiet_streams += 1
        try:
            self._stream_id = self._connection.open_stream(head, self, body=request)
        except ngh2.NGH2Error:
            self._connection.quiet_streams -= 1
            raise

    def cancel(self) -> None:
        self._connection.reset_stream(self._stream_id, ErrorCode.CANCEL)

    def informational_received(self, headers: Headers) -> None:
        pass

    def headers_received(self, headers: Headers, end_stream: bool) -> None:
        fields = dict(headers)
        self._http_status = int(fields.get(b":status", b"0"))
        self._content_type = fields.get(b"content-type", b"")
        if end_stream:
            self.trailers_received(headers)

    def data_received(self, data: bytes, end_stream: bool) -> None:
        self._connection.consume(self._stream_id, len(data))
        if not is_grpc_content_type(self._content_type):
            return
        try:
            for _, message in self._reader.feed(data):
                status = decode_response(message)
                self.has_answered = True
                self._watch.answered(self, status)
        except (FramingError, ValueError) as error:
            self._end = (Code.INTERNAL, str(error))
            self.cancel()

    def trailers_received(self, headers: Headers) -> None:
        status = read_status(headers) or status_without_grpc(self._http_status, self._content_type, b"")
        self._end = (status.code, f"{Code(status.code).name if status.code <= 16 else status.code} {status.message}")

    def reset_received(self, error_code: int) -> None:
        self._end = self._end or (Code.UNAVAILABLE, f"reset with code {error_code}")

    def sendable(self) -> None:
        pass

    def not_sent(self, error: ngh2.NGH2Error) -> None:
        self.stream_closed(0, str(error))

    def stream_closed(self, error_code: int, reason: str) -> None:
        self._connection.quiet_streams -= 1
        if not reason:
            # With a reason the whole connection is gone, of which the watch hears by `leave`.
            code, text = self._end or (Code.UNKNOWN, "ended without a status")
            self._watch.ended(self, code, text.strip())


def encode_request(service: str) -> bytes:
    """Return a serialized `HealthCheckRequest`."""
    return _message("HealthCheckRequest").type(service=service).to_binary()


def decode_response(data: bytes) -> int:
    """Return the status of a serialized `HealthCheckResponse`. Raises ValueError when it is none."""
    answer: Any = _message("HealthCheckResponse").type.from_binary(data)
    return int(answer.status)


def _message(name: str) -> DescMessage:
    return _messages()[name]


@cache
def _messages() -> dict[str, DescMessage]:
    kind = FieldDescriptorProto.Type
    optional = FieldDescriptorProto.Label.OPTIONAL
    messages = [
        DescriptorProto(
            name="HealthCheckRequest",
            field=[FieldDescriptorProto(name="service", number=1, type=kind.STRING, label=optional)],
        ),
        DescriptorProto(
            name="HealthCheckResponse",
            # An enum on the wire; as a number, values that a later version adds are no error.
            field=[FieldDescriptorProto(name="status", number=1, type=kind.INT32, label=optional)],
        ),
    ]
    file = FileDescriptorProto(name="health.proto", package="health", syntax="proto3", message_type=messages)
    registry = FileDescriptorSet(file=[FileDescriptorProto.from_binary(file.to_binary())]).to_registry()
    found = {message.name: registry.message(f"health.{message.name}") for message in messages}
    return {key: message for key, message in found.items() if message is not None}
