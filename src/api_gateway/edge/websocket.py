"""One WebSocket on a connection that was upgraded: the loop's callbacks, both directions, pings, the closing handshake.

What the bytes mean is decided in `websocket_frames.py`, what is said in the conversation that was handed in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..deadlines import TICK_S
from ..model.message import Response
from ..model.websocket import Conversation, Farewell, MessageSocket
from ..waiting import Pending, Runner
from .application import ConnectionSet
from .body import HIGH_WATER_BYTES
from .input import Input
from .output import Output
from .response_writer import encode_stream_head
from .websocket_frames import (
    Close,
    CloseCode,
    FrameError,
    FrameReader,
    Ping,
    encode_close,
    encode_ping,
    encode_pong,
    encode_text,
)

PING_S: Final = 30.0
"""Silence of the client after which it is asked for a sign of life; after as much again it counts as gone."""
_NEVER_S: Final = float("inf")
_MESSAGE_BYTES: Final = 64
"""What a message takes beside its text: many small ones shall not count for nothing."""


class WebSocketConnection(asyncio.Protocol):
    """Implements `model.websocket.MessageSocket` on a transport; `on_lost` is called when that is gone.

    Messages of more than the high-water mark that wait to be taken hold the client back; up to it, what the client says
    is read ahead, so that a goodbye behind a message is heard.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        output: Output,
        conversation: Conversation,
        *,
        server: ConnectionSet,
        on_lost: Callable[[Exception | None], None],
    ) -> None:
        self._transport = transport
        self._input = Input(transport, server.hang_ups, self._hung_up)
        self._output = output
        self._conversation = conversation
        self._wheel = server.wheel
        self._clock = server.clock
        self._linger_s = server.limits.linger_s
        self._on_lost = on_lost
        self._reader = FrameReader(conversation.max_message_bytes)
        self._messages: deque[bytes] = deque()
        self._waiting: Pending[None] | None = None
        self._runner: Runner | None = None
        self._waiting_bytes = 0
        """What the messages that wait take."""
        self._is_half_closed = False
        """Whether no more messages are wanted, or the client has said that none follow."""
        self._is_closing = False
        self._heard_s = server.clock()
        self._is_asked = False
        """Whether a ping was sent that nothing has followed."""
        self._closing_due_s = _NEVER_S
        self._armed_slot = 0

    def start(self, answer: Response) -> None:
        """Take the transport over, answer the handshake and begin the conversation."""
        self._transport.set_protocol(self)
        self._transport.write(encode_stream_head(answer, is_chunked=False, keep_alive=True))
        self._runner = Runner(self._conversation.hold(self), self._ended)
        self._arm()
        self._runner.start()

    # MessageSocket

    async def receive(self) -> bytes | None:
        """See `MessageSocket.receive`."""
        while not self._messages:
            if self._is_half_closed:
                return None
            self._waiting = Pending()
            await self._waiting
        message = self._messages.popleft()
        self._waiting_bytes -= _cost_bytes(message)
        if not self._messages and self._input.resume():
            self._heard_s = self._clock()
        return message

    def end_receiving(self) -> None:
        """See `MessageSocket.end_receiving`."""
        self._is_half_closed = True
        if self._messages:
            self._fail(FrameError(CloseCode.POLICY_VIOLATION, "a message that the method does not take"))

    async def send(self, text: bytes) -> None:
        """See `MessageSocket.send`."""
        if not self._is_closing:
            self._output.write_part(encode_text(text))
            await self._output.drained()

    # Callbacks of the loop

    def data_received(self, data: bytes) -> None:
        """Take messages, answer pings, go through the closing handshake."""
        self._heard_s = self._clock()
        try:
            for event in self._reader.feed(data):
                if isinstance(event, Close):
                    self._closed_by_client(event.code)
                    return
                if self._is_closing:
                    continue
                if isinstance(event, Ping):
                    self._pong(event.data)
                else:
                    self._take(event.data)
        except FrameError as error:
            self._fail(error)
            return
        waiting, self._waiting = self._waiting, None
        if waiting is not None and (self._messages or self._is_half_closed):
            waiting.resolve(None)
        else:
            self._waiting = waiting
        if self._waiting_bytes > HIGH_WATER_BYTES and not self._is_closing:
            self._input.pause()

    def eof_received(self) -> bool:
        """Take the client as gone: a WebSocket ends with a close frame."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the conversation."""
        self._is_closing = True
        self._wheel.discard(self._armed_slot, self)
        self._input.close()
        self.abandon()
        self._on_lost(exc)

    def _hung_up(self) -> None:
        # Nothing is read from the client, and so the loop has not seen its end.
        self.abandon()
        self._transport.close()

    def pause_writing(self) -> None:
        """The client reads too slowly: stop producing."""
        self._output.pause(self._clock())
        self._arm()

    def resume_writing(self) -> None:
        """Go on."""
        self._output.resume()

    # What the client says

    def _take(self, message: bytes) -> None:
        if self._is_half_closed:
            raise FrameError(CloseCode.POLICY_VIOLATION, "a message after the last one")
        if message:
            self._messages.append(message)
            self._waiting_bytes += _cost_bytes(message)
        else:
            self._is_half_closed = True

    def _pong(self, data: bytes) -> None:
        # Who does not read gets no more to read; the next ping can be answered as well.
        if not self._output.is_paused:
            self._transport.write(encode_pong(data))

    def _closed_by_client(self, code: int) -> None:
        was_closing = self._is_closing
        self._is_closing = True
        self.abandon()
        if not was_closing:
            self._transport.write(encode_close(code))
        self._transport.close()

    # The end

    def _ended(self, farewell: Farewell | None, error: BaseException | None) -> None:
        self._runner = None
        if farewell is not None:
            self._close(farewell.code, farewell.reason)
        elif error is not None and not isinstance(error, asyncio.CancelledError):
            self._close(CloseCode.INTERNAL_ERROR, "the gateway failed to go on")

    def _fail(self, error: FrameError) -> None:
        self.abandon()
        self._close(error.code, str(error))

    def go_away(self) -> None:
        """End the conversation: the gateway is shutting down."""
        self.abandon()
        self._close(CloseCode.GOING_AWAY, "the gateway is shutting down")

    def abandon(self) -> None:
        """Cancel the conversation, if it has not ended."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.cancel()

    def _close(self, code: int, reason: str) -> None:
        """Send the close frame and give the client a moment to answer it."""
        if self._is_closing:
            return
        self._is_closing = True
        self._messages.clear()
        self._waiting_bytes = 0
        self._transport.write(encode_close(code, reason))
        self._input.resume()
        self._closing_due_s = self._clock() + self._linger_s
        self._arm()

    # Deadlines

    def _due_s(self) -> float:
        """Return when to look again: for an answer, for the client's reading, for a sign of life. Not now."""
        now_s = self._clock()
        due_s = self._output.due_s if self._output.is_paused else _NEVER_S
        if self._is_closing:
            due_s = min(due_s, self._closing_due_s)
        else:
            silence_s = 2 * PING_S if self._is_asked else PING_S
            due_s = min(due_s, (now_s if self._input.is_paused else self._heard_s) + silence_s)
        return max(due_s, now_s + TICK_S)

    def _arm(self) -> None:
        self._wheel.discard(self._armed_slot, self)
        self._armed_slot = self._wheel.add(self._due_s(), self)

    def expire(self, now_s: float) -> None:
        """Ask for a sign of life, and end what shows none."""
        if now_s >= self._closing_due_s or self._is_stalled(now_s) or self._is_silent(now_s):
            self._transport.abort()
            return
        silence_s = now_s - self._heard_s
        self._is_asked = silence_s >= PING_S and not (self._is_closing or self._input.is_paused)
        if self._is_asked:
            self._transport.write(encode_ping())
        self._arm()

    def _is_stalled(self, now_s: float) -> bool:
        return self._output.is_paused and self._output.due_s <= now_s and self._output.is_stalled(now_s)

    def _is_silent(self, now_s: float) -> bool:
        return not self._input.is_paused and now_s - self._heard_s >= 2 * PING_S


def _cost_bytes(message: bytes) -> int:
    return len(message) + _MESSAGE_BYTES


if TYPE_CHECKING:
    _socket: type[MessageSocket] = WebSocketConnection
