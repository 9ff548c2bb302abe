"""A call over a socket, without a network: what is sent, how it ends, who hears of it."""

from __future__ import annotations

from api_gateway.config.settings import TranscodingSettings
from api_gateway.model.errors import GatewayError
from api_gateway.model.status import Code
from api_gateway.model.websocket import Farewell
from api_gateway.streams.conversation import SocketConversation
from api_gateway.transcoding.binding import compile_binding
from api_gateway.transcoding.codecs import Codecs
from api_gateway.transcoding.request_stream import TextMessages
from tests.support.descriptors import schema_of
from tests.support.fake_service import FakeMessages
from tests.support.gen.echo_pb2 import EchoRequest

ECHO = schema_of("echo.proto")
METHOD = next(method for method in ECHO.methods() if method.name == "BidiStream")


class FakeSocket:
    """Implements `model.websocket.MessageSocket`: hands out what the test gave, then the half-close."""

    def __init__(self, *texts: bytes) -> None:
        self.sent: list[bytes] = []
        self.is_receiving = True
        self._texts = list(texts)

    async def receive(self) -> bytes | None:
        return self._texts.pop(0) if self._texts else None

    def end_receiving(self) -> None:
        self.is_receiving = False

    async def send(self, text: bytes) -> None:
        self.sent.append(text)


class Scene:
    def __init__(self, *answers: bytes, failure: GatewayError | None = None, body: str = "*", takes_one: bool = False):
        self.call = FakeMessages(answers, failure)
        self.ends: list[tuple[GatewayError | None, bool]] = []
        binding = compile_binding(
            METHOD, (), body=body, codecs=Codecs(TranscodingSettings(), ECHO.registry), verb="GET"
        )
        self.conversation = SocketConversation(
            lambda: self.call,
            TextMessages(binding, (), "" if body else "text=q", takes_one=takes_one),
            max_message_bytes=1_000,
            idle_s=10.0,
            clock=lambda: 0.0,
            encode=bytes.upper,
            explain=lambda error: error.message.encode(),
            on_end=lambda error, is_complete: self.ends.append((error, is_complete)),
        )

    @property
    def sent(self) -> list[str]:
        return [EchoRequest.FromString(message).text for message in self.call.sent]


async def test_semantics_25_texts_go_both_ways_and_ok_is_1000() -> None:
    scene, socket = Scene(b"x", b"y"), FakeSocket(b'{"text":"a"}', b'{"text":"b"}')
    assert await scene.conversation.hold(socket) == Farewell(code=1000, reason="OK")
    assert (scene.sent, socket.sent) == (["a", "b"], [b"X", b"Y"])
    assert scene.call.is_half_closed
    assert scene.ends == [(None, True)]


async def test_status_is_the_close_code_and_the_error_the_last_text() -> None:
    failure = GatewayError(Code.NOT_FOUND, "nobody there")
    scene, socket = Scene(b"x", failure=failure), FakeSocket()
    assert await scene.conversation.hold(socket) == Farewell(code=4005, reason="NOT_FOUND: nobody there")
    assert socket.sent == [b"X", b"nobody there"]
    assert scene.ends == [(failure, True)]


async def test_broken_text_is_named_and_cancels_the_call() -> None:
    scene, socket = Scene(b"x"), FakeSocket(b"{", b"{}")
    farewell = await scene.conversation.hold(socket)
    assert (farewell.code, farewell.reason[:27]) == (4003, "INVALID_ARGUMENT: message 1")
    assert scene.call.is_cancelled


async def test_method_with_one_request_takes_one_text_or_none() -> None:
    scene, socket = Scene(takes_one=True), FakeSocket(b'{"text":"a"}')
    await scene.conversation.hold(socket)
    assert (scene.sent, socket.is_receiving) == (["a"], False)
    scene, socket = Scene(takes_one=True, body=""), FakeSocket()
    await scene.conversation.hold(socket)
    assert (scene.sent, socket.is_receiving) == (["q"], False)


def test_what_was_never_held_is_told_of_too() -> None:
    scene = Scene()
    scene.conversation.abandon()
    assert scene.ends == [(None, False)]
