"""HTTP/2 connections without sockets and without time: bytes go in and out by hand, the clock is turned by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import ngh2

from api_gateway.deadlines import DeadlineWheel
from api_gateway.grpc.call import Call
from api_gateway.grpc.call_head import CallHead
from api_gateway.grpc.retries import Retries, RetryPolicy
from api_gateway.grpc.stream_call import StreamCall
from api_gateway.grpc.target import Target
from api_gateway.grpc.unary_call import UnaryCall
from api_gateway.http2.connection import Connection
from api_gateway.http2.handlers import Headers, StreamHandler
from tests.support import h2_frames
from tests.support.h2_frames import END_HEADERS, Frame, Kind


class ManualHandle:
    """A callback that can be cancelled."""

    def __init__(self, when_s: float, run: Callable[[], object]) -> None:
        self.when_s = when_s
        self.run = run
        self.is_cancelled = False

    def cancel(self) -> None:
        """Never run it."""
        self.is_cancelled = True


class ManualLoop:
    """What connections and deadlines use of an event loop; its turns and its clock are the test's."""

    def __init__(self) -> None:
        self._now_s = 1_000.0
        self._soon: list[ManualHandle] = []
        self._timers: list[ManualHandle] = []

    def time(self) -> float:
        """Return the clock."""
        return self._now_s

    def call_soon(self, callback: Callable[..., object], *args: object) -> ManualHandle:
        """Keep it for the next turn."""
        handle = ManualHandle(self._now_s, lambda: callback(*args))
        self._soon.append(handle)
        return handle

    def call_at(self, when_s: float, callback: Callable[..., object], *args: object) -> ManualHandle:
        """Keep it until the clock gets there."""
        timer = ManualHandle(when_s, lambda: callback(*args))
        self._timers.append(timer)
        return timer

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: object) -> ManualHandle:
        """Keep it for so long."""
        return self.call_at(self._now_s + delay_s, callback, *args)

    def turn(self) -> None:
        """Run what waits for the next turns, until nothing does."""
        while self._soon:
            handles, self._soon = self._soon, []
            for handle in handles:
                if not handle.is_cancelled:
                    handle.run()

    def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        self.turn()
        end_s = self._now_s + seconds
        while due := [timer for timer in self._timers if timer.when_s <= end_s and not timer.is_cancelled]:
            timer = min(due, key=lambda each: each.when_s)
            self._timers.remove(timer)
            self._now_s = max(self._now_s, timer.when_s)
            timer.run()
            self.turn()
        self._now_s = end_s

    def as_loop(self) -> asyncio.AbstractEventLoop:
        """Return itself as what it stands in for."""
        return cast(asyncio.AbstractEventLoop, self)


class MemoryTransport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.output = b""
        self.is_closed = False
        self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it. Nothing may be written once it is closed."""
        assert not self.is_closed
        self.output += data

    def close(self) -> None:
        """Take no more."""
        self.is_closed = True

    def abort(self) -> None:
        """Take no more."""
        self.is_closed = self.is_aborted = True


class RecordingOwner:
    """Implements `ConnectionOwner` and `CallOwner`: keeps what it is told. Requests (server role) get `handler`."""

    name = "tested"
    target = Target(host="test", port=1)

    def __init__(self, loop: ManualLoop, *, max_message_bytes: int = 100_000) -> None:
        self.max_message_bytes = max_message_bytes
        self.wheel = DeadlineWheel(loop.as_loop())
        self.clock: Callable[[], float] = loop.time
        self.results: list[str] = []
        """What became of retries."""
        self.retries = Retries(
            RetryPolicy(max_attempts=3), loop=loop.as_loop(), place=self.retry, on_result=self.results.append
        )
        self.told: list[str] = []
        self.retried: list[Call[Any]] = []
        self.requests: list[tuple[int, Headers, bool]] = []
        self.handler: StreamHandler | None = None

    def connection_ready(self, connection: Connection) -> None:
        """Keep it."""
        self.told.append("ready")

    def settings_changed(self, connection: Connection) -> None:
        """Keep it."""
        self.told.append("settings")

    def goaway_received(self, connection: Connection, last_stream_id: int, error_code: int, debug_data: bytes) -> None:
        """Keep it."""
        self.told.append(f"goaway {last_stream_id} {error_code} {debug_data.decode('utf-8', 'replace')}".strip())

    def worn_out(self, connection: Connection, reason: str) -> None:
        """Keep it."""
        self.told.append(f"worn out: {reason}")

    def stream_freed(self, connection: Connection) -> None:
        """Keep it."""
        self.told.append("freed")

    def connection_lost(self, connection: Connection, reason: str) -> None:
        """Keep it."""
        self.told.append(f"lost: {reason}")

    def request_received(
        self, connection: Connection, stream_id: int, headers: Headers, end_stream: bool
    ) -> StreamHandler | None:
        """Keep it; answer with the handler."""
        self.requests.append((stream_id, headers, end_stream))
        return self.handler

    def retry(self, call: Call[Any]) -> None:
        """Keep it."""
        self.retried.append(call)

    def retire(self, connection: Connection, reason: str) -> None:
        """Keep it."""
        self.told.append(f"retired: {reason}")

    def has_connection(self) -> bool:
        """It never makes calls wait."""
        return True

    def forget(self, call: Call[Any]) -> None:
        """Keep it."""
        call.is_queued = False
        self.told.append("forgotten")


class MemoryLink:
    """One connection under test, and the other end by hand."""

    def __init__(self, role: ngh2.Role = ngh2.Role.CLIENT, *, loop: ManualLoop | None = None) -> None:
        self.loop = loop or ManualLoop()
        self.owner = RecordingOwner(self.loop)
        self.transport = MemoryTransport()
        self.connection = Connection(role, self.owner, loop=self.loop.as_loop())
        self.connection.connection_made(self.transport)
        self.coder = h2_frames.HeaderCoder()
        self.heads: dict[int, list[tuple[bytes, bytes]]] = {}
        """Heads that were written, by stream id, as far as `frames` has looked."""
        self._reader = h2_frames.FrameReader()
        self._preface_bytes = len(h2_frames.PREFACE) if role is ngh2.Role.CLIENT else 0
        self._taken_bytes = self._preface_bytes

    def feed(self, *frames: bytes) -> None:
        """Give the connection bytes, as one piece."""
        self.connection.data_received(b"".join(frames))

    def greet(self) -> None:
        """Send SETTINGS and acknowledge ours; forget what was written until then."""
        self.feed(h2_frames.settings(), h2_frames.settings_ack())
        self.frames()

    def frames(self, kind: int | None = None) -> list[Frame]:
        """Return the frames written since the last look, after the turns that were due; of one kind if asked."""
        self.loop.turn()
        data, self._taken_bytes = self.transport.output[self._taken_bytes :], len(self.transport.output)
        found = self._reader.feed(data)
        for each in found:
            if each.kind == Kind.HEADERS and each.flags & END_HEADERS:
                self.heads[each.stream_id] = self.coder.decode(each.payload)
        return [each for each in found if kind is None or each.kind == kind]

    def unary(self, message: bytes = b"", *, timeout_s: float = 5.0, is_idempotent: bool = False) -> UnaryCall:
        """Start a unary call on the connection."""
        deadline_s = self.loop.time() + timeout_s
        call = UnaryCall(self.owner, HEAD, message, deadline_s=deadline_s, metadata=[], is_idempotent=is_idempotent)
        call.start(self.connection)
        return call

    def stream(self, *, timeout_s: float = 5.0, is_idempotent: bool = False) -> StreamCall:
        """Start a streaming call on the connection."""
        deadline_s = self.loop.time() + timeout_s
        call = StreamCall(self.owner, HEAD, deadline_s=deadline_s, metadata=[], is_idempotent=is_idempotent)
        call.start(self.connection)
        return call

    def head(self, stream_id: int, *extra: tuple[bytes, bytes], end_stream: bool = False) -> bytes:
        """Return a good response head."""
        fields = [(b":status", b"200"), (b"content-type", b"application/grpc"), *extra]
        return h2_frames.headers(stream_id, self.coder.encode(fields), end_stream=end_stream)

    def trailers(self, stream_id: int, status: bytes = b"0") -> bytes:
        """Return trailers."""
        return h2_frames.headers(stream_id, self.coder.encode([(b"grpc-status", status)]), end_stream=True)


HEAD = CallHead(path=b"/test.Service/Method", authority=b"test:1", is_tls=False, user_agent=b"test")
"""The head of every call here."""
