"""A WebSocket on a connection, in virtual time: hand-over, both directions, pings, ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from api_gateway.edge.body import HIGH_WATER_BYTES
from api_gateway.edge.websocket import PING_S, WebSocketConnection
from api_gateway.model.message import Request, Response
from api_gateway.model.websocket import Farewell, MessageSocket
from api_gateway.waiting import Pending
from tests.support.http_application import SmallApplication
from tests.support.http_rig import Rig
from tests.support.websocket_client import CLOSE, PING, PONG, TEXT, Frame, close_frame, frame, handshake, parse_frame


class Talk:
    """Implements `model.websocket.Conversation`: says back what it hears, when the test lets it."""

    def __init__(self) -> None:
        self.max_message_bytes = 1_000
        self.heard: list[bytes] = []
        self.ended = ""
        self.hold_back: Pending[None] | None = None

    async def hold(self, socket: MessageSocket) -> Farewell:
        try:
            while (text := await socket.receive()) is not None:
                self.heard.append(text)
                await socket.send(text)
                if self.hold_back is not None:
                    await self.hold_back
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        self.ended = "well"
        return Farewell(code=1000, reason="OK")

    def abandon(self) -> None:
        self.ended = "abandoned"


class Scene:
    def __init__(self) -> None:
        self.talk = Talk()
        self.gate: Pending[None] | None = None
        self.rig = Rig(SmallApplication({"/chat": self._chat}))

    async def _chat(self, request: Request) -> Response:
        if self.gate is not None:
            await self.gate
        assert request.handshake is not None
        response = Response(101, [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")])
        response.conversation = self.talk
        return response

    def open(self) -> WebSocketConnection:
        self.rig.receive(handshake("/chat"))
        assert self.rig.transport.written.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"keep-alive" not in self.rig.transport.written
        self.rig.transport.written.clear()
        protocol = self.rig.transport.protocol
        assert isinstance(protocol, WebSocketConnection)
        return protocol

    def frames(self) -> list[Frame]:
        data, frames = bytes(self.rig.transport.written), []
        self.rig.transport.written.clear()
        while data:
            parsed = parse_frame(data)
            assert parsed is not None
            frames.append(parsed[0])
            data = parsed[1]
        return frames


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    protocol = scene.rig.transport.protocol
    if isinstance(protocol, WebSocketConnection):
        protocol.connection_lost(None)


def test_semantics_25_messages_go_both_ways_until_the_half_close(scene: Scene) -> None:
    socket = scene.open()
    socket.data_received(frame(TEXT, b"a") + frame(TEXT, b"b"))
    assert scene.frames() == [(TEXT, b"a"), (TEXT, b"b")]
    socket.data_received(frame(TEXT))
    assert scene.frames() == [(CLOSE, b"\x03\xe8OK")]
    assert scene.talk.ended == "well"
    socket.data_received(close_frame(1000))
    assert scene.rig.transport.is_closed
    socket.connection_lost(None)
    assert scene.rig.server.connection_count == 0


def test_client_is_held_back_while_messages_wait(scene: Scene) -> None:
    scene.talk.max_message_bytes = HIGH_WATER_BYTES
    socket = scene.open()
    scene.talk.hold_back = Pending()
    large = b"b" * (HIGH_WATER_BYTES - 1)
    socket.data_received(frame(TEXT, b"a"))
    assert scene.rig.transport.is_reading()
    socket.data_received(frame(TEXT, large))
    assert not scene.rig.transport.is_reading()
    scene.talk.hold_back.resolve(None)
    assert scene.rig.transport.is_reading()
    assert scene.talk.heard == [b"a", large]


def test_many_small_messages_count_for_what_they_take(scene: Scene) -> None:
    socket = scene.open()
    scene.talk.hold_back = Pending()
    sent = 0
    while scene.rig.transport.is_reading():
        socket.data_received(frame(TEXT, b"1"))
        sent += 1
    assert sent < HIGH_WATER_BYTES / 32


def test_semantics_26_goodbye_behind_a_message_that_waits_is_heard(scene: Scene) -> None:
    """A browser that leaves says so, and does not close before it was answered."""
    socket = scene.open()
    scene.talk.hold_back = Pending()
    socket.data_received(frame(TEXT, b"a"))
    socket.data_received(frame(TEXT, b"b"))
    socket.data_received(close_frame(1001))
    assert (scene.talk.ended, scene.talk.heard) == ("cancelled", [b"a"])
    assert scene.rig.transport.is_closed


def test_client_that_does_not_read_holds_the_conversation(scene: Scene) -> None:
    socket = scene.open()
    socket.pause_writing()
    socket.data_received(frame(TEXT, b"a") + frame(PING))
    socket.data_received(frame(TEXT, b"b"))
    assert scene.talk.heard == [b"a"]
    assert scene.frames() == [(TEXT, b"a")], "and gets no pongs to read"
    socket.resume_writing()
    assert scene.talk.heard == [b"a", b"b"]


def test_semantics_26_lost_client_cancels(scene: Scene) -> None:
    scene.open().connection_lost(None)
    assert scene.talk.ended == "cancelled"
    assert scene.rig.server.connection_count == 0


def test_close_frame_of_the_client_is_answered_and_cancels(scene: Scene) -> None:
    scene.open().data_received(close_frame(1001, "leaving"))
    assert scene.frames() == [(CLOSE, b"\x03\xe9")]
    assert (scene.talk.ended, scene.rig.transport.is_closed) == ("cancelled", True)


def test_mistake_ends_with_its_code_and_the_client_has_a_moment_to_answer(scene: Scene) -> None:
    scene.open().data_received(frame(0x2, b"{}"))
    ((opcode, payload),) = scene.frames()
    assert (opcode, payload[:2]) == (CLOSE, b"\x03\xeb")
    assert (scene.talk.ended, scene.rig.transport.is_aborted) == ("cancelled", False)
    scene.rig.advance(1.1)
    assert scene.rig.transport.is_aborted


def test_message_behind_the_half_close_is_a_mistake(scene: Scene) -> None:
    socket = scene.open()
    scene.talk.hold_back = Pending()
    socket.data_received(frame(TEXT, b"a"))
    socket.data_received(frame(TEXT))
    socket.data_received(frame(TEXT, b"b"))
    assert scene.frames()[-1][1][:2] == b"\x03\xf0"


def test_silent_client_is_asked_and_then_given_up(scene: Scene) -> None:
    socket = scene.open()
    scene.rig.advance(PING_S + 0.1)
    assert scene.frames() == [(PING, b"")]
    socket.data_received(frame(PONG))
    scene.rig.advance(PING_S + 0.1)
    assert scene.frames() == [(PING, b"")]
    assert not scene.rig.transport.is_aborted
    scene.rig.advance(PING_S + 0.1)
    assert scene.rig.transport.is_aborted


def test_drain_says_going_away(scene: Scene) -> None:
    scene.open()
    scene.rig.connection.drain()
    assert scene.frames() == [(CLOSE, b"\x03\xe9the gateway is shutting down")]
    assert scene.talk.ended == "cancelled"


def test_abort_cancels_at_once(scene: Scene) -> None:
    scene.open()
    scene.rig.connection.abort()
    assert (scene.talk.ended, scene.rig.transport.is_aborted) == ("cancelled", True)


def test_bytes_before_the_answer_are_of_no_protocol(scene: Scene) -> None:
    scene.gate = Pending()
    scene.rig.receive(handshake("/chat"))
    scene.rig.receive(frame(TEXT, b"early"))
    scene.gate.resolve(None)
    assert (scene.talk.ended, scene.rig.transport.is_aborted) == ("abandoned", True)
    assert not scene.rig.transport.written


def test_client_that_left_before_the_answer_is_told_of(scene: Scene) -> None:
    scene.gate = Pending()
    scene.rig.receive(handshake("/chat"))
    scene.rig.lose()
    assert scene.talk.ended == ""
