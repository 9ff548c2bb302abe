"""One HTTP/2 connection: bytes of an asyncio transport in, stream callbacks out, for clients and for servers.

ngh2 (libnghttp2) decides what a frame means; this shell only feeds it bytes, passes on its events and writes what it
wants written. It keeps nghttp2's own limits against floods in force: while the transport's write buffer is full nothing
is pulled, so that acknowledgements owed to a peer that does not read pile up in nghttp2 and end the connection there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final, cast

import ngh2
from ngh2 import ErrorCode, Setting

from .handlers import ConnectionOwner, Headers, StreamHandler

STREAM_WINDOW_BYTES: Final = 128 * 1024
"""Data a peer may send on one stream before it is consumed."""
MAX_STREAMS: Final = 100
"""Streams counted on until the peer's SETTINGS say otherwise."""
CONNECTION_WINDOW_BYTES: Final = STREAM_WINDOW_BYTES * MAX_STREAMS
"""As much as all streams together, so that one stream that is not read never holds up the others."""
MAX_HEADER_LIST_BYTES: Final = 65_536
MAX_HEADER_BLOCK_BYTES: Final = 4 * MAX_HEADER_LIST_BYTES
"""Longest header list sent."""
_UNLIMITED_STREAMS: Final = 2**32 - 1


class Connection(asyncio.Protocol):
    """One connection. All methods must be called from the event loop's thread."""

    def __init__(
        self,
        role: ngh2.Role,
        owner: ConnectionOwner[Connection],
        *,
        loop: asyncio.AbstractEventLoop,
        max_header_list_bytes: int = MAX_HEADER_LIST_BYTES,
        stream_window_bytes: int = STREAM_WINDOW_BYTES,
        connection_window_bytes: int = CONNECTION_WINDOW_BYTES,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self._owner = owner
        self._loop = loop
        self._role = role
        self._stream_window_bytes = stream_window_bytes
        self._connection_window_bytes = connection_window_bytes
        self._max_header_list_bytes = max_header_list_bytes
        self._local_max_streams = max_streams
        self._h2 = ngh2.Connection(
            role,
            ngh2.Configuration(
                auto_window_update=False,
                peer_max_concurrent_streams=MAX_STREAMS,
                max_inbound_header_list_size=max_header_list_bytes,
                max_send_header_block_length=MAX_HEADER_BLOCK_BYTES,
                max_continuations=16,
            ),
        )
        self.streams: dict[int, StreamHandler] = {}
        """Handlers of open streams by id."""
        self.quiet_streams = 0
        """How many of them hardly ever say anything: a watch of the peer's health."""
        self.max_streams = MAX_STREAMS
        """Streams the peer allows at once."""
        self.peer_max_header_list_bytes = _UNLIMITED_STREAMS
        """Largest header list the peer accepts (SETTINGS_MAX_HEADER_LIST_SIZE)."""
        self.is_ready = False
        """Whether the peer's SETTINGS came."""
        self.is_closed = False
        self.has_served = False
        """Whether a stream ended in order."""
        self.is_draining = False
        """Whether no new stream may be opened: GOAWAY came or was sent."""
        self._transport: asyncio.Transport | None = None
        self._is_write_paused = False
        self._is_flush_scheduled = False
        self._close_reason = ""
        self._blocked: dict[int, StreamHandler] = {}
        self._last_read_s = 0.0

    # Streams

    @property
    def can_open_stream(self) -> bool:
        """Whether one more stream may be opened now."""
        return self.is_ready and not self.is_draining and len(self.streams) < self.max_streams

    def open_stream(
        self, headers: Headers, handler: StreamHandler, *, body: bytes | None = None, end: bool = True
    ) -> int:
        """Open a stream with a request head and, if given, the first part of its body; return the stream's id.

        With `end` the request ends there. Raises ngh2.NGH2Error when the connection cannot take it; check
        `can_open_stream` first.
        """
        h2 = self._h2
        if body is None:
            stream_id = h2.send_request(headers, end_stream=end)
        else:
            stream_id = h2.send_request(headers)
            h2.send_data(stream_id, body, end_stream=end)
        self.streams[stream_id] = handler
        if not self._is_flush_scheduled:
            if len(self.streams) <= 1 + self.quiet_streams:
                self._flush()
            else:
                # Under load, streams opened in one turn of the loop share one write: a system call of 15 us saved each.
                self._schedule_flush()
        return stream_id

    def send_response(self, stream_id: int, headers: Headers, *, end: bool = False) -> None:
        """Answer a request (server role)."""
        self._h2.send_response(stream_id, headers, end_stream=end)
        self._schedule_flush()

    def send_data(self, stream_id: int, data: bytes, *, end: bool = False) -> bool:
        """Queue a part of the body; return whether more may be queued at once, else `sendable` tells when.

        Nothing happens when the stream is gone already; its handler hears, or has heard, `stream_closed`.
        """
        try:
            self._h2.send_data(stream_id, data, end_stream=end)
        except ngh2.NGH2Error:
            # The engine is ahead of the events that are being told: the end of this stream is among them.
            return False
        self._schedule_flush()
        if self._h2.queued_body_size(stream_id) <= self._stream_window_bytes:
            return True
        self._blocked[stream_id] = self.streams[stream_id]
        return False

    def send_trailers(self, stream_id: int, headers: Headers) -> None:
        """End the body with trailers (server role)."""
        self._h2.send_trailers(stream_id, headers)
        self._schedule_flush()

    def consume(self, stream_id: int, size_bytes: int) -> None:
        """Give back the window of data that is no longer held. Streams that are gone are accepted."""
        if size_bytes and not self.is_closed:
            try:
                self._h2.acknowledge_received_data(size_bytes, stream_id)
            except ngh2.NGH2Error:
                # After GOAWAY the engine ends with its last stream, while that stream's events are still being told.
                return
            self._schedule_flush()

    def reset_stream(self, stream_id: int, error_code: int = ErrorCode.CANCEL) -> None:
        """End a stream with RST_STREAM; its handler hears `stream_closed`. Nothing happens when it is gone already."""
        if stream_id in self.streams and not self.is_closed:
            try:
                self._h2.reset_stream(stream_id, error_code)
            except ngh2.NGH2Error:
                # As in `consume`: the engine has ended, and the stream with it.
                return
            self._schedule_flush()
            if self._h2.local_window_size < self._connection_window_bytes // 4 and not self.is_draining:
                # A reset inside a DATA frame costs the connection the window of what came of it: the engine forgets
                # those bytes, up to 16 KiB, without giving them back. Before that adds up to a standstill, another
                # connection takes over.
                self._owner.worn_out(self, "its window is used up")

    # The connection

    def ping(self) -> None:
        """Send a PING; the acknowledgement shows in `last_read_s`."""
        if not self.is_closed:
            self._h2.ping()
            self._schedule_flush()

    @property
    def last_read_s(self) -> float:
        """Loop time of the last bytes received."""
        return self._last_read_s

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport, None before it is connected."""
        return self._transport

    def drain(self) -> None:
        """Open no more streams and close once the last one ended."""
        self.is_draining = True
        if not self.streams:
            self.close("drained")

    def close(self, reason: str, error_code: int = ErrorCode.NO_ERROR) -> None:
        """Send GOAWAY and close the transport; streams still open fail with `reason`."""
        if self.is_closed:
            return
        self._close_reason = self._close_reason or reason
        if self._transport is not None and not self._is_write_paused:
            try:
                self._h2.terminate_connection(error_code)
                self._transport.write(self._h2.data_to_send())
            except (ngh2.NGH2Error, MemoryError):
                # The engine has failed already; the transport is closed all the same.
                pass
        self._finish()

    def abort(self, reason: str) -> None:
        """Close the transport at once, without GOAWAY."""
        if not self.is_closed:
            self._close_reason = self._close_reason or reason
            self._finish(abort=True)

    # Callbacks of the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface and our SETTINGS."""
        self._transport = cast(asyncio.Transport, transport)
        settings = {
            Setting.INITIAL_WINDOW_SIZE: self._stream_window_bytes,
            Setting.MAX_HEADER_LIST_SIZE: self._max_header_list_bytes,
        }
        if self._role is ngh2.Role.CLIENT:
            settings[Setting.ENABLE_PUSH] = 0
        else:
            settings[Setting.MAX_CONCURRENT_STREAMS] = self._local_max_streams
        self._h2.initiate_connection(settings)
        self._h2.set_local_window_size(self._connection_window_bytes)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Feed bytes and pass on what they meant."""
        if self.is_closed:
            return
        self._last_read_s = self._loop.time()
        # Whatever the handlers want written is written at the end of this call, without another turn of the loop.
        self._is_flush_scheduled = True
        try:
            self._h2.receive_data(data)
        except ngh2.NGH2Error as error:
            self._dispatch()
            self._fail(f"protocol error: {error}")
            return
        is_open = self._dispatch()
        self._is_flush_scheduled = False
        if is_open and self._h2.want_write:
            self._flush()

    def eof_received(self) -> bool:
        """Close: HTTP/2 has no use for half a connection."""
        self._close_reason = self._close_reason or "closed by the peer"
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is still open."""
        if not self.is_closed:
            self._close_reason = self._close_reason or (f"connection lost: {exc}" if exc else "closed by the peer")
            self._finish()

    def pause_writing(self) -> None:
        """Stop pulling output while the transport's buffer is full."""
        self._is_write_paused = True

    def resume_writing(self) -> None:
        """Pull what waited."""
        self._is_write_paused = False
        self._flush()

    # Output

    def _schedule_flush(self) -> None:
        if not self._is_flush_scheduled:
            self._is_flush_scheduled = True
            self._loop.call_soon(self._flush_scheduled)

    def _flush_scheduled(self) -> None:
        self._is_flush_scheduled = False
        self._flush()

    def _flush(self) -> None:
        if self._is_write_paused or self.is_closed or self._transport is None:
            return
        try:
            output = self._h2.data_to_send()
        except ngh2.NGH2Error as error:
            self._fail(f"protocol error: {error}")
            return
        if output:
            self._transport.write(output)
        self._dispatch()
        if self._blocked:
            self._release_blocked()

    def _release_blocked(self) -> None:
        for stream_id, handler in list(self._blocked.items()):
            if self._h2.queued_body_size(stream_id) == 0:
                del self._blocked[stream_id]
                handler.sendable()

    # Events of the engine

    def _dispatch(self) -> bool:
        """Tell what happened; return whether the connection is still open then."""
        for event in self._h2.events():
            handle = _ON_EVENT.get(type(event))
            if handle is not None:
                handle(self, event)
        return not self.is_closed

    def _response_received(self, event: ngh2.ResponseReceived) -> None:
        handler = self.streams.get(event.stream_id)
        if handler is not None:
            handler.headers_received(event.headers, event.end_stream)

    def _informational_received(self, event: ngh2.InformationalResponseReceived) -> None:
        handler = self.streams.get(event.stream_id)
        if handler is not None:
            handler.informational_received(event.headers)

    def _request_received(self, event: ngh2.RequestReceived) -> None:
        handler = None
        if not self.is_draining:
            handler = self._owner.request_received(self, event.stream_id, event.headers, event.end_stream)
        if handler is None:
            self._h2.reset_stream(event.stream_id, ErrorCode.REFUSED_STREAM)
        else:
            self.streams[event.stream_id] = handler

    def _data_received(self, event: ngh2.DataReceived) -> None:
        handler = self.streams.get(event.stream_id)
        if handler is not None:
            handler.data_received(event.data, event.end_stream)
        else:
            # The stream was reset while the data was on its way; its share of the connection's window must come back.
            self.consume(event.stream_id, len(event.data))

    def _trailers_received(self, event: ngh2.TrailersReceived) -> None:
        handler = self.streams.get(event.stream_id)
        if handler is not None:
            handler.trailers_received(event.headers)

    def _stream_reset(self, event: ngh2.StreamReset) -> None:
        handler = self.streams.get(event.stream_id)
        if handler is not None:
            handler.reset_received(event.error_code)

    def _stream_closed(self, event: ngh2.StreamClosed) -> None:
        handler = self.streams.pop(event.stream_id, None)
        self._blocked.pop(event.stream_id, None)
        if handler is None:
            return
        if event.local_error is None:
            if not event.error_code:
                self.has_served = True
            handler.stream_closed(event.error_code, "")
        else:
            handler.not_sent(event.local_error)
        if self.is_draining:
            if not self.streams and not self.is_closed:
                self.close("drained")
        else:
            self._owner.stream_freed(self)

    def _settings_received(self, event: ngh2.SettingsReceived) -> None:
        settings = event.settings
        if Setting.MAX_CONCURRENT_STREAMS in settings or not self.is_ready:
            self.max_streams = settings.get(Setting.MAX_CONCURRENT_STREAMS, MAX_STREAMS)
        if Setting.MAX_HEADER_LIST_SIZE in settings:
            self.peer_max_header_list_bytes = settings[Setting.MAX_HEADER_LIST_SIZE]
        if self.is_ready:
            self._owner.settings_changed(self)
        else:
            self.is_ready = True
            self._owner.connection_ready(self)

    def _goaway_received(self, event: ngh2.GoAwayReceived) -> None:
        self.is_draining = True
        self._owner.goaway_received(self, event.last_stream_id, event.error_code, event.debug_data)

    def _window_updated(self, event: ngh2.WindowUpdated) -> None:
        # The engine resumes by itself; producers that waited are released after the flush that follows every read.
        if self._blocked:
            self._schedule_flush()

    def _connection_closed(self, event: ngh2.ConnectionClosed) -> None:
        if not self.is_closed:
            code = event.error_code
            name = ErrorCode(code).name if code in ErrorCode._value2member_map_ else str(code)
            self._close_reason = self._close_reason or f"closed with {name}"
            self._finish()

    # The end

    def _fail(self, reason: str) -> None:
        self._close_reason = self._close_reason or reason
        if self._transport is not None and not self._is_write_paused:
            # A failed engine has no last words; the peer sees the connection close.
            with contextlib.suppress(ngh2.NGH2Error, MemoryError):
                self._transport.write(self._h2.data_to_send())
        self._finish()

    def _finish(self, *, abort: bool = False) -> None:
        self.is_closed = self.is_draining = True
        if self._transport is not None:
            if abort or self._is_write_paused:
                # A transport that is full closes when its peer has read all of it, which may be never.
                self._transport.abort()
            else:
                self._transport.close()
        streams, self.streams = self.streams, {}
        self._blocked.clear()
        for handler in streams.values():
            handler.stream_closed(ErrorCode.NO_ERROR, self._close_reason or "connection closed")
        self._owner.connection_lost(self, self._close_reason or "connection closed")


# Not one for each connection: bound methods would tie it to itself, and its engine, up to 30 kB, would wait for the
# garbage collector.
_ON_EVENT: Final[dict[type[ngh2.Event], Callable[[Connection, Any], None]]] = {
    ngh2.ResponseReceived: Connection._response_received,
    ngh2.RequestReceived: Connection._request_received,
    ngh2.DataReceived: Connection._data_received,
    ngh2.TrailersReceived: Connection._trailers_received,
    ngh2.StreamClosed: Connection._stream_closed,
    ngh2.StreamReset: Connection._stream_reset,
    ngh2.InformationalResponseReceived: Connection._informational_received,
    ngh2.SettingsReceived: Connection._settings_received,
    ngh2.GoAwayReceived: Connection._goaway_received,
    ngh2.WindowUpdated: Connection._window_updated,
    ngh2.ConnectionClosed: Connection._connection_closed,
}
