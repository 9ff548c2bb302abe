"""Requests going out while answers come in, without a network: order, ends, faults, silence."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from api_gateway.model.errors import GatewayError, bad_request
from api_gateway.model.message import HeaderList
from api_gateway.model.status import Code
from api_gateway.streams.duplex import Duplex, only_message
from api_gateway.waiting import Pending, Runner


class FakeCall:
    """Implements `model.upstream.MessageStream`; the test decides when messages come and when sending may go on."""

    def __init__(self) -> None:
        self.attempts = 1
        self.headers: HeaderList = []
        self.trailers: HeaderList = []
        self.sent: list[bytes] = []
        self.is_half_closed = self.is_cancelled = False
        self.error: BaseException | None = None
        self.is_full = self.has_rung = False
        self.waits_s: list[float | None] = []
        self._arrived: list[bytes | None] = []
        self._receiver: Pending[None] | None = None
        self._sender: Pending[None] | None = None

    async def send(self, message: bytes) -> None:
        while self.is_full:
            self._sender = Pending()
            await self._sender
        self.sent.append(message)

    def close_send(self) -> None:
        self.is_half_closed = True

    async def receive(self, timeout_s: float | None = None) -> bytes | None:
        self.waits_s.append(timeout_s)
        while not self._arrived:
            if self.error is not None:
                raise self.error
            if self.has_rung:
                self.has_rung = False
                raise TimeoutError
            self._receiver = Pending()
            await self._receiver
        return self._arrived.pop(0)

    def cancel(self) -> bool:
        self.is_cancelled = True
        return True

    def abort(self, error: GatewayError) -> None:
        self.fail(error)

    # For the test

    def arrive(self, *messages: bytes | None) -> None:
        self._arrived += messages
        self._wake()

    def fail(self, error: BaseException) -> None:
        self.error = self.error or error
        self._wake()

    def ring(self) -> None:
        """The time to wait is over."""
        self.has_rung = True
        self._wake()

    def drain(self) -> None:
        self.is_full = False
        if self._sender is not None:
            self._sender.resolve(None)

    def _wake(self) -> None:
        if self._receiver is not None:
            self._receiver.resolve(None)


class Client:
    """What a client sends."""

    def __init__(self) -> None:
        self.is_closed = False
        self._waiting: list[bytes | GatewayError | None] = []
        self._reader: Pending[None] | None = None

    async def messages(self) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                while not self._waiting:
                    self._reader = Pending()
                    await self._reader
                message = self._waiting.pop(0)
                if message is None:
                    return
                if isinstance(message, GatewayError):
                    raise message
                yield message
        finally:
            self.is_closed = True

    def send(self, *messages: bytes | GatewayError | None) -> None:
        self._waiting += messages
        if self._reader is not None:
            self._reader.resolve(None)


class Scene:
    def __init__(self) -> None:
        self.now_s = 50.0
        self.call, self.client = FakeCall(), Client()
        self.duplex = Duplex(self.call, self.client.messages(), idle_s=10.0, clock=lambda: self.now_s)
        self.duplex.start()
        self.value: Any = None
        self.error: BaseException | None = None

    def receive(self, timeout_s: float | None = None) -> None:
        Runner(self.duplex.receive(timeout_s), self._received).start()

    def _received(self, value: Any, error: BaseException | None) -> None:
        self.value, self.error = value, error


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.duplex.cancel()


def test_requests_are_sent_as_they_come_and_their_end_is_the_half_close(scene: Scene) -> None:
    """Semantics 25."""
    scene.client.send(b"a")
    assert scene.call.sent == [b"a"]
    scene.client.send(b"b", None)
    assert scene.call.sent == [b"a", b"b"]
    assert scene.call.is_half_closed
    assert scene.client.is_closed


def test_full_backend_stops_the_client(scene: Scene) -> None:
    scene.call.is_full = True
    scene.client.send(b"a", b"b")
    assert scene.call.sent == []
    scene.call.drain()
    assert scene.call.sent == [b"a", b"b"]


def test_wrong_request_cancels_the_call_and_is_the_answer(scene: Scene) -> None:
    scene.receive()
    mistake = bad_request("broken")
    scene.client.send(b"a", mistake)
    assert scene.error is mistake
    assert scene.client.is_closed


@pytest.mark.parametrize("end", [None, GatewayError(Code.ABORTED, "enough")])
def test_end_of_the_call_ends_the_upload(scene: Scene, end: GatewayError | None) -> None:
    scene.receive()
    if end is None:
        scene.call.arrive(None)
    else:
        scene.call.fail(end)
    assert scene.error is end
    assert scene.client.is_closed
    assert not scene.call.is_half_closed


def test_cancel_gives_up_both_directions(scene: Scene) -> None:
    """Semantics 26."""
    scene.duplex.cancel()
    assert scene.call.is_cancelled
    assert scene.client.is_closed


def test_silence_in_both_directions_ends_the_call(scene: Scene) -> None:
    scene.receive()
    assert scene.call.waits_s == [10.0]
    scene.now_s += 6
    scene.client.send(b"a")
    scene.now_s += 4
    scene.call.ring()
    assert scene.call.waits_s == [10.0, 6.0], "a request moved in between"
    scene.now_s += 6
    scene.call.ring()
    assert isinstance(scene.error, GatewayError)
    assert (scene.error.code, scene.error.reason) == (Code.DEADLINE_EXCEEDED, "STREAM_IDLE")


def test_own_timeout_of_the_receiver_is_kept(scene: Scene) -> None:
    """Keep-alive comments come between messages."""
    scene.receive(3.0)
    assert scene.call.waits_s == [3.0]
    scene.now_s += 3
    scene.call.ring()
    assert isinstance(scene.error, TimeoutError)


@pytest.mark.parametrize(
    ("messages", "text"),
    [pytest.param([None], "no message", id="none"), pytest.param([b"a", b"b", None], "two messages", id="two")],
)
async def test_answer_that_is_no_stream_has_one_message(messages: list[bytes | None], text: str) -> None:
    call = FakeCall()
    call.arrive(*messages)
    with pytest.raises(GatewayError, match=text) as caught:
        await only_message(call, "echo")
    assert caught.value.http == 502


async def test_the_one_message_is_the_answer() -> None:
    call = FakeCall()
    call.arrive(b"only", None)
    assert await only_message(call, "echo") == b"only"
