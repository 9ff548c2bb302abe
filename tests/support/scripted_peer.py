"""A backend told frame by frame what to do, so that it can misbehave in any way a real one could.

It listens on loopback and speaks HTTP/2 by hand. Left alone it is polite: it sends and acknowledges SETTINGS, answers
PING and returns window; `Manners` switches each of these off. Everything else happens only when the test says so.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self, cast

from tests.support import h2_frames
from tests.support.h2_frames import ACK, DEFAULT_WINDOW_BYTES, END_HEADERS, END_STREAM, Fields, Frame, Kind, Setting

PATIENCE_S = 30.0
"""Longest wait for something that must happen; only failing tests wait so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What a peer does by itself."""

    settings: Mapping[Setting, int] | None = field(default_factory=dict)
    """The SETTINGS it begins with; None: it never sends any."""
    acknowledges_settings: bool = True
    answers_pings: bool = True
    returns_window: bool = True
    """Whether it gives back the window of what it received."""

    def without_window(self) -> Manners:
        """Return the same, but keeping the window."""
        return replace(self, returns_window=False)

    def silent(self) -> Manners:
        """Return the same, but without SETTINGS and their acknowledgement: the connection never becomes ready."""
        return replace(self, settings=None, acknowledges_settings=False)

    def polite(self) -> Manners:
        """Return the same with everything done by itself."""
        return Manners(settings=self.settings or {})


@dataclass(slots=True, eq=False)
class PeerRequest:
    """One request, as far as it has arrived."""

    stream_id: int
    fields: list[tuple[bytes, bytes]]
    frames: list[Frame]
    """Its HEADERS, DATA and RST_STREAM frames in order."""
    body: bytes = b""
    has_ended: bool = False
    reset_code: int | None = None

    def field(self, name: bytes) -> bytes | None:
        """Return the first value of a field, None when there is none."""
        return next((value for key, value in self.fields if key == name), None)


class PeerConnection(asyncio.Protocol):
    """The peer's end of one connection."""

    def __init__(self, manners: Manners, on_made: Callable[[PeerConnection], None]) -> None:
        self.manners = manners
        self.coder = h2_frames.HeaderCoder()
        self.requests: dict[int, PeerRequest] = {}
        """All requests by stream id."""
        self.client_settings: dict[int, int] = {}
        self.is_closed = False
        self.outstanding_pings = 0
        """PINGs sent and not acknowledged."""
        self._on_made = on_made
        self._transport: asyncio.Transport | None = None
        self._preface = bytearray()
        self._incoming = h2_frames.FrameReader()
        self._outgoing = h2_frames.FrameReader()
        self._frames: list[Frame] = []
        self._heads: list[PeerRequest] = []
        self._block: tuple[int, int, bytes] | None = None
        self._windows: dict[int, int] = {0: DEFAULT_WINDOW_BYTES}
        self._waiters: list[asyncio.Future[None]] = []

    # What the test does

    def send(self, *frames: bytes) -> None:
        """Write frames, together."""
        output = b"".join(frames)
        for each in self._outgoing.feed(output):
            if each.kind == Kind.DATA:
                self._windows[0] -= len(each.payload)
                self._windows[each.stream_id] = self.window_bytes(each.stream_id) - len(each.payload)
            elif each.kind == Kind.PING and not each.flags & ACK:
                self.outstanding_pings += 1
        self.send_raw(output)

    def send_raw(self, output: bytes) -> None:
        """Write bytes that need not be frames; windows are not counted."""
        assert self._transport is not None
        self._transport.write(output)

    def head(
        self,
        stream_id: int,
        *extra: tuple[bytes, bytes],
        status: bytes = b"200",
        content_type: bytes = b"application/grpc",
        end_stream: bool = False,
    ) -> bytes:
        """Return the frames of a response head, to be sent in the order they are made."""
        return self.fields(
            stream_id, [(b":status", status), (b"content-type", content_type), *extra], end_stream=end_stream
        )

    def trailers(
        self, stream_id: int, *extra: tuple[bytes, bytes], status: bytes = b"0", message: bytes = b""
    ) -> bytes:
        """Return the frames of trailers."""
        text = [(b"grpc-message", message)] if message else []
        return self.fields(stream_id, [(b"grpc-status", status), *text, *extra], end_stream=True)

    def trailers_only(
        self, stream_id: int, *extra: tuple[bytes, bytes], status: bytes, message: bytes = b"", http: bytes = b"200"
    ) -> bytes:
        """Return a response of one HEADERS that carries the status too."""
        text = [(b"grpc-message", message)] if message else []
        return self.head(stream_id, (b"grpc-status", status), *text, *extra, status=http, end_stream=True)

    def opening(self) -> bytes:
        """Return the frames a server begins with, for a peer that is silent."""
        return h2_frames.settings() + h2_frames.settings_ack()

    def fields(self, stream_id: int, fields: Fields, *, end_stream: bool = False) -> bytes:
        """Return HEADERS, and CONTINUATION for a long list."""
        block = self.coder.encode(fields)
        parts = [block[at : at + 16_384] for at in range(0, len(block), 16_384)] or [b""]
        first = h2_frames.headers(stream_id, parts[0], end_stream=end_stream, end_headers=len(parts) == 1)
        rest = [
            h2_frames.continuation(stream_id, part, end_headers=number == len(parts) - 1)
            for number, part in enumerate(parts)
            if number
        ]
        return b"".join([first, *rest])

    def reply(self, stream_id: int, message: bytes = b"") -> None:
        """Answer a unary call well."""
        self.send(self.head(stream_id), h2_frames.data(stream_id, prefixed(message)), self.trailers(stream_id))

    async def send_body(
        self, stream_id: int, body: bytes, *, frame_bytes: int = 16_384, padding: int | None = None
    ) -> None:
        """Send DATA as the client's windows allow."""
        overhead = 0 if padding is None else padding + 1
        for at in range(0, len(body), frame_bytes):
            part = body[at : at + frame_bytes]
            await self.window(stream_id, len(part) + overhead)
            self.send(h2_frames.data(stream_id, part, padding=padding))

    def close(self) -> None:
        """Close after what was written (FIN)."""
        assert self._transport is not None
        self._transport.close()

    def abort(self) -> None:
        """Close without more ado."""
        assert self._transport is not None
        self._transport.abort()

    @property
    def unsent_bytes(self) -> int:
        """Bytes written that the kernel has not taken."""
        assert self._transport is not None
        return self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        """Read nothing more, so that the client's writes pile up."""
        assert self._transport is not None
        self._transport.pause_reading()

    @property
    def tls(self) -> ssl.SSLObject:
        """The TLS session."""
        assert self._transport is not None
        return cast(ssl.SSLObject, self._transport.get_extra_info("ssl_object"))

    # What the test waits for

    async def request(self) -> PeerRequest:
        """Return the next request once all of it came."""
        request = await self.request_head()
        await self.wait_until(lambda: request.has_ended)
        return request

    async def request_head(self) -> PeerRequest:
        """Return the next request once its head came."""
        await self.wait_until(lambda: bool(self._heads))
        return self._heads.pop(0)

    async def requests_seen(self, count: int) -> None:
        """Wait until so many requests came, counted from the first."""
        await self.wait_until(lambda: len(self.requests) >= count)

    async def reset_of(self, stream_id: int) -> int:
        """Return the code with which the client reset a stream, once it has."""
        request = self.requests[stream_id]
        await self.wait_until(lambda: request.reset_code is not None)
        return cast(int, request.reset_code)

    async def body_of(self, stream_id: int, body: bytes) -> None:
        """Wait until exactly this body came on a stream."""
        await self.wait_until(lambda: self.requests[stream_id].body == body)

    async def frame(self, kind: int, *, flags: int = 0) -> Frame:
        """Return the first frame of this kind, with these flags, that was not returned before."""
        found: list[Frame] = []

        def find() -> bool:
            found.extend(each for each in self._frames if each.kind == kind and each.flags & flags == flags)
            return bool(found)

        await self.wait_until(find)
        self._frames.remove(found[0])
        return found[0]

    async def window(self, stream_id: int, at_least_bytes: int) -> None:
        """Wait until so many bytes may be sent."""
        await self.wait_until(lambda: min(self.window_bytes(0), self.window_bytes(stream_id)) >= at_least_bytes)

    async def closed(self) -> None:
        """Wait until the connection is gone."""
        await self.wait_until(lambda: self.is_closed, survives_close=True)

    async def in_step(self) -> None:
        """Return when the client has read everything sent so far: a PING comes back."""
        self.send(h2_frames.ping(b"in step?"))
        await self.wait_until(lambda: self.outstanding_pings == 0)

    def window_bytes(self, stream_id: int) -> int:
        """Bytes of DATA that may be sent on a stream, on the connection for 0."""
        initial = self.client_settings.get(Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW_BYTES)
        return self._windows.setdefault(stream_id, initial)

    async def wait_until(self, is_true: Callable[[], bool], *, survives_close: bool = False) -> None:
        """Wait for a condition, looked at after each event. Raises ConnectionResetError when the end comes first."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_true():
                if self.is_closed and not survives_close:
                    raise ConnectionResetError("the client closed the connection before")
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter

    # Callbacks of the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.manners.settings is not None:
            self.send(h2_frames.settings(self.manners.settings))
        self._on_made(self)

    def data_received(self, data: bytes) -> None:
        missing = len(h2_frames.PREFACE) - len(self._preface)
        if missing:
            self._preface += data[:missing]
            assert h2_frames.PREFACE.startswith(bytes(self._preface)), f"not HTTP/2: {bytes(self._preface)!r}"
        for each in self._incoming.feed(data[missing:]):
            self._frames.append(each)
            self._take(each)
        self._notify()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._notify()

    def _notify(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # Frames of the client

    def _take(self, frame: Frame) -> None:
        match frame.kind:
            case Kind.SETTINGS:
                self._take_settings(frame)
            case Kind.PING:
                self._take_ping(frame)
            case Kind.HEADERS:
                self._take_block(frame.stream_id, frame.flags, frame.payload, frame.flags)
            case Kind.CONTINUATION:
                assert self._block is not None
                stream_id, flags, block = self._block
                self._take_block(stream_id, flags, block + frame.payload, frame.flags)
            case Kind.DATA:
                self._take_data(frame)
            case Kind.WINDOW_UPDATE:
                self._windows[frame.stream_id] = self.window_bytes(frame.stream_id) + frame.number
            case Kind.RST_STREAM:
                self.requests[frame.stream_id].reset_code = frame.number
        if frame.stream_id and frame.stream_id in self.requests:
            self.requests[frame.stream_id].frames.append(frame)

    def _take_settings(self, frame: Frame) -> None:
        if frame.flags & ACK:
            return
        self.client_settings.update(frame.settings)
        if self.manners.acknowledges_settings:
            self.send(h2_frames.settings_ack())

    def _take_ping(self, frame: Frame) -> None:
        if frame.flags & ACK:
            self.outstanding_pings -= 1
        elif self.manners.answers_pings:
            self.send(h2_frames.ping(frame.payload, ack=True))

    def _take_block(self, stream_id: int, flags: int, block: bytes, last_flags: int) -> None:
        if not last_flags & END_HEADERS:
            self._block = (stream_id, flags, block)
            return
        self._block = None
        request = PeerRequest(stream_id, self.coder.decode(block), [], has_ended=bool(flags & END_STREAM))
        self.requests[stream_id] = request
        self._heads.append(request)
        if request.has_ended:
            self.whole_request(request)

    def _take_data(self, frame: Frame) -> None:
        request = self.requests[frame.stream_id]
        request.body += frame.payload
        request.has_ended = bool(frame.flags & END_STREAM)
        if self.manners.returns_window and frame.payload:
            size = len(frame.payload)
            self.send(h2_frames.window_update(0, size))
            if not request.has_ended:
                self.send(h2_frames.window_update(frame.stream_id, size))
        if request.has_ended:
            self.whole_request(request)

    def whole_request(self, request: PeerRequest) -> None:
        """A request is whole. Does nothing; peers that answer by themselves do it here."""


class ScriptedPeer:
    """The listener. Use it as an asynchronous context manager; at the end every connection must have been closed."""

    def __init__(self, manners: Manners | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.manners = manners or Manners()
        """What the next connections do by themselves."""
        self.connections: list[PeerConnection] = []
        """All connections there ever were."""
        self.port = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._fresh: asyncio.Queue[PeerConnection] = asyncio.Queue()

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"{'https' if self._tls is not None else 'http'}://127.0.0.1:{self.port}"

    async def listen(self) -> None:
        """Listen; on the port it had before, if it had one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._new_connection, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """Refuse new connections; those there are stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def accept(self) -> PeerConnection:
        """Return the next connection."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._fresh.get()

    def _new_connection(self) -> PeerConnection:
        return PeerConnection(self.manners, self._made)

    def _made(self, connection: PeerConnection) -> None:
        self.connections.append(connection)
        self._fresh.put_nowait(connection)

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop_listening()
        try:
            if kind is None:
                for connection in self.connections:
                    await connection.closed()
        finally:
            for connection in self.connections:
                if not connection.is_closed:
                    connection.abort()


def prefixed(message: bytes, *, flag: int = 0, length: int | None = None) -> bytes:
    """Return a length-prefixed message, with a prefix that may lie."""
    return bytes((flag,)) + (len(message) if length is None else length).to_bytes(4, "big") + message


def values(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """Return all values of a field, in order."""
    return [value for key, value in fields if key == name]
