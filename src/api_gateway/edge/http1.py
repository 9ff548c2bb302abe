"""One HTTP/1.1 connection from a client: the loop's callbacks, answers in order, deadlines, the end.

What the bytes mean is decided in `request_reader.py`, what answers look like in `response_writer.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, cast

from ..model.errors import GatewayError
from ..model.message import Request, Response
from ..model.websocket import Conversation
from ..waiting import Runner
from .application import ConnectionSet
from .body import IncomingBody
from .input import Input
from .output import Output, close_stream
from .refusals import request_timeout
from .request_reader import RequestReader
from .response_writer import CONTINUE, encode_response, encode_stream_head, has_body
from .websocket import WebSocketConnection

MAX_AHEAD_BYTES: Final = 64 * 1024
"""What a client may send behind a request that is being answered; beyond that it is held back."""
MAX_DISCARDED_BYTES: Final = 1024 * 1024
"""What is thrown away behind a refused request; beyond that the client is held back until the connection closes."""
_NEVER_S: Final = float("inf")


class Http1Connection(asyncio.Protocol):
    """One client connection. Requests are answered in their order, one at a time.

    A client that closes its side, even half of it, counts as gone: what it waits for is cancelled.
    """

    _transport: asyncio.Transport
    _reader: RequestReader
    _input: Input
    _output: Output

    def __init__(self, server: ConnectionSet, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._limits = server.limits
        self._loop = loop
        # The request being answered, and what steps it
        self._request: Request | None = None
        self._body: IncomingBody | None = None
        self._keep_alive = True
        self._runner: Runner | None = None
        self._is_advancing = False
        self._socket: WebSocketConnection | None = None
        """What has taken the connection over."""
        # Input
        self._reading_since_s = 0.0
        self._ahead_bytes = 0
        self._discarded_bytes = 0
        # The end, and deadlines: see _due_s
        self._is_closing = False
        self._idle_due_s = _NEVER_S
        self._closing_due_s = _NEVER_S
        self._armed_s = _NEVER_S
        self._armed_slot = 0

    @property
    def peer(self) -> str:
        """Address of the other end."""
        return self._reader.peer

    # Callbacks of the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start waiting for a request."""
        self._transport = cast(asyncio.Transport, transport)
        self._input = Input(self._transport, self._server.hang_ups, self._hung_up)
        self._output = Output(self._transport, self._limits.write_timeout_s)
        peer = transport.get_extra_info("peername")
        self._reader = RequestReader(
            self._limits,
            clock=self._loop.time,
            peer=peer[0] if isinstance(peer, tuple) else "127.0.0.1",
            is_tls=transport.get_extra_info("ssl_object") is not None,
            on_demand=self._want_body,
            on_pressure=self._pause_reading,
        )
        # No peername: it was reset before it was accepted. What it sent can be read all the same, but nobody knows who
        # sent it, and it must not pass for a client of this machine.
        if peer is None or not self._server.opened(self):
            self.abort()
            return
        wait_s = self._limits.linger_s if self._server.is_draining else self._limits.header_timeout_s
        self._idle_due_s = self._loop.time() + wait_s
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Read requests and go on with what was waiting for them."""
        reader = self._reader
        if self._is_closing or reader.is_refused:
            self._discard(len(data))
            return
        if self._runner is None:
            reader.feed(data)
            if reader.requests or reader.is_refused:
                self._advance()
        else:
            self._feed_busy(data)
        if reader.is_in_head or reader.body is not None:
            self._watch()

    def eof_received(self) -> bool:
        """Take the client as gone; what is already written is still sent."""
        self._start_closing()
        self._abandon()
        return False

    def _hung_up(self) -> None:
        # Nothing is read from the client, and so the loop has not seen its end.
        if not self._is_closing:
            self.eof_received()
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what is being answered."""
        self._is_closing = True
        self._closing_due_s = _NEVER_S
        self._server.wheel.discard(self._armed_slot, self)
        self._input.end()
        self._server.closed(self)
        self._abandon()
        self._reader.close()

    def pause_writing(self) -> None:
        """The client reads too slowly: stop producing."""
        self._output.pause(self._loop.time())
        self._watch()

    def resume_writing(self) -> None:
        """Go on."""
        if not self._output.resume() and self._runner is None:
            self._advance()

    # Answering

    def _advance(self) -> None:
        """Answer what waits, in its order, up to the first request that takes time; then see to what is left."""
        if self._is_advancing:
            return
        reader = self._reader
        requests = reader.requests
        output = self._output
        self._is_advancing = True
        while requests and self._runner is None and not self._is_closing and not output.is_paused:
            self._request, self._body, self._keep_alive = requests.popleft()
            if self._ahead_bytes and not requests:
                self._resume_reading()
            answer = self._server.application.handle(self._request)
            if isinstance(answer, Response):
                self._answered(answer, None)
            else:
                self._runner = runner = Runner(answer, self._answered)
                runner.start()
        self._is_advancing = False
        if self._runner is not None or self._is_closing or output.is_paused:
            return
        if reader.refusal is not None:
            self._refuse(reader.refusal)
        else:
            self._rest()

    def _answered(self, response: Response | None, error: BaseException | None) -> None:
        self._runner = None
        request = self._request
        if self._is_closing or request is None:
            self._drop(response)
            return
        if response is None:
            self._fail(error)
            return
        body = self._body
        keep_alive = (
            self._keep_alive
            and not response.close
            and not self._server.is_draining
            and (body is None or body.is_complete)
        )
        try:
            if response.conversation is not None:
                self._upgrade(response, response.conversation)
                return
            if response.stream is not None:
                self._start_stream(response, response.stream, request, keep_alive)
                return
            self._transport.write(
                encode_response(
                    response,
                    is_head=request.method == "HEAD",
                    keep_alive=keep_alive,
                    is_http_1_0=request.http_version == "1.0",
                )
            )
            self._go_on(keep_alive)
        except Exception as mistake:
            # Not to be raised into the connection to a backend, which is what called us.
            self._drop(response)
            self._fail(mistake)

    def _upgrade(self, response: Response, conversation: Conversation) -> None:
        """Hand the transport over to a WebSocket, whose end is the end of this connection."""
        if self._reader.is_refused or self._server.is_draining:
            self._drop(response)
            self.abort()
            return
        self._request = None
        self._socket = socket = WebSocketConnection(
            self._transport, self._output, conversation, server=self._server, on_lost=self.connection_lost
        )
        socket.start(response)

    def _start_stream(
        self, response: Response, stream: AsyncIterator[bytes], request: Request, keep_alive: bool
    ) -> None:
        has_parts = has_body(response, request.method)
        is_chunked = has_parts and request.http_version != "1.0"
        # In HTTP/1.0 the end of the connection is the end of the answer.
        keep_alive = keep_alive and request.http_version != "1.0"

        def ended(_: None, error: BaseException | None) -> None:
            self._runner = None
            if self._is_closing:
                return
            if error is None:
                self._go_on(keep_alive)
            elif isinstance(error, GatewayError):
                # The end is missing on purpose: a cut answer must not look like a whole one (semantics 24).
                self.abort()
            else:
                self._fail(error)

        self._transport.write(encode_stream_head(response, is_chunked=is_chunked, keep_alive=keep_alive))
        if self._body is not None:
            # The stream may read the body, but an interim answer cannot follow a final one.
            self._body.is_continue_awaited = False
        writing = self._output.write_parts(stream, is_chunked=is_chunked) if has_parts else close_stream(stream)
        self._runner = runner = Runner(writing, ended)
        runner.start()

    def _drop(self, response: Response | None) -> None:
        """Close a streamed answer that comes too late: a call to a backend is behind it."""
        if response is not None and response.conversation is not None:
            response.conversation.abandon()
        if response is not None and response.stream is not None:
            Runner(close_stream(response.stream), lambda value, error: None).start()

    def _go_on(self, keep_alive: bool) -> None:
        body = self._body
        self._request = self._body = None
        if keep_alive:
            self._advance()
        elif self._keep_alive or self._reader.is_refused or not (body is None or body.is_complete):
            self._close_lingering()
        else:
            # The client asked for it, and has sent nothing more: there is nothing to wait for.
            self._close()

    def _refuse(self, error: GatewayError) -> None:
        response = self._server.application.refuse(error, peer=self._reader.peer)
        self._transport.write(encode_response(response, is_head=False, keep_alive=False, is_http_1_0=False))
        self._close_lingering()

    def _fail(self, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, asyncio.CancelledError):
            message = "a request ended without an answer"
            self._loop.call_exception_handler({"message": message, "exception": error, "transport": self._transport})
        self.abort()

    def _rest(self) -> None:
        """Wait for the next request."""
        if self._ahead_bytes or self._input.is_paused:
            self._resume_reading()
        limits = self._limits
        wait_s = limits.linger_s if self._server.is_draining else limits.idle_timeout_s
        self._idle_due_s = due_s = self._loop.time() + wait_s
        if due_s < self._armed_s:
            self._watch()

    # Input

    def _feed_busy(self, data: bytes) -> None:
        """Read while a request is being answered: its body, or what is sent behind it."""
        body = self._body
        if body is not None and not body.is_complete:
            self._reader.feed(data)
            body.wake()
            return
        self._ahead_bytes += len(data)
        if self._ahead_bytes > MAX_AHEAD_BYTES:
            self._pause_reading()
        self._reader.feed(data)

    def _want_body(self) -> None:
        """Let the body come that the request has asked for."""
        self._resume_reading()
        body = self._body
        if body is not None and body.deadline_s < self._armed_s:
            self._watch()
        if body is not None and body.is_continue_awaited:
            # Once, and only while nothing of the body has come: a client that did not wait gets none (RFC 9110 10.1.1).
            body.is_continue_awaited = False
            if not body.received_bytes:
                self._transport.write(CONTINUE)

    def _pause_reading(self) -> None:
        if not self._is_closing:
            self._input.pause()

    def _resume_reading(self) -> None:
        self._ahead_bytes = 0
        if not self._reader.is_refused and not self._is_closing and self._input.resume():
            self._reading_since_s = self._loop.time()
            self._watch()

    def _discard(self, size_bytes: int) -> None:
        self._discarded_bytes += size_bytes
        if self._discarded_bytes > MAX_DISCARDED_BYTES:
            self._input.pause()

    def _abandon(self) -> None:
        """Cancel the request that is being answered and forget those behind it."""
        self._reader.requests.clear()
        if self._socket is not None:
            self._socket.abandon()
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.cancel()
        self._request = self._body = None

    # Deadlines

    def _due_s(self) -> float:
        """Return when the connection must have moved on, whatever it is doing."""
        if self._is_closing:
            return self._closing_due_s
        output = self._output
        due_s = output.due_s if output.is_paused else _NEVER_S
        reader = self._reader
        if reader.is_in_head or reader.body is not None:
            if not self._input.is_paused:
                due_s = min(due_s, reader.due_s(self._reading_since_s))
        elif self._runner is None and not output.is_paused:
            due_s = self._idle_due_s
        return due_s

    def _watch(self) -> None:
        """Have `expire` called in time."""
        due_s = self._due_s()
        if due_s < self._armed_s:
            wheel = self._server.wheel
            wheel.discard(self._armed_slot, self)
            self._armed_s = due_s
            self._armed_slot = wheel.add(due_s, self)

    def expire(self, now_s: float) -> None:
        """End what took too long. A deadline that has moved since it was armed is armed again."""
        self._armed_s = _NEVER_S
        if self._socket is not None:
            return
        if self._due_s() <= now_s:
            output = self._output
            if self._is_closing:
                self._end_closing(now_s)
            elif output.is_paused and output.due_s <= now_s:
                if output.is_stalled(now_s):
                    self.abort()
            elif self._reader.is_in_head or self._reader.body is not None:
                self._time_out()
            else:
                self._close()
        self._watch()

    def _time_out(self) -> None:
        self._reader.fail(request_timeout())
        if self._body is not None:
            self._body.wake()
        if self._runner is None:
            self._advance()

    # The end

    def drain(self) -> None:
        """Close after the request that is being answered; a quiet connection closes a moment later.

        The moment is for a request that is already on its way: it is answered with `connection: close`.
        """
        if self._socket is not None:
            self._socket.go_away()
            return
        self._idle_due_s = min(self._idle_due_s, self._loop.time() + self._limits.linger_s)
        self._watch()

    def abort(self) -> None:
        """Close at once, whatever is going on. What is being answered is cancelled before this returns."""
        self._is_closing = True
        self._closing_due_s = _NEVER_S
        self._transport.abort()
        self._abandon()

    def _close(self) -> None:
        """Close when everything written is sent."""
        self._start_closing()
        self._transport.close()

    def _close_lingering(self) -> None:
        """Close after an answer to a client that may be sending: a reset would destroy the answer on its way.

        So only our direction is closed (RFC 9112 section 9.6); the other one is read for a moment and thrown away.
        """
        self._start_closing()
        transport = self._transport
        if transport.is_closing():
            return
        self._input.resume()
        if transport.can_write_eof():
            transport.write_eof()

    def _start_closing(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            now_s = self._loop.time()
            self._output.watch(now_s)
            self._closing_due_s = now_s + self._limits.linger_s
            self._watch()

    def _end_closing(self, now_s: float) -> None:
        """Cut off who still sends, or reads too slowly."""
        output = self._output
        if output.is_empty or (output.due_s <= now_s and output.is_stalled(now_s)):
            self.abort()
        else:
            self._closing_due_s = output.due_s
