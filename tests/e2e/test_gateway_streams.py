"""Server streams in their three framings, and slow ends of sockets, against three gRPC libraries (semantics 23, 24)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.backends import LIBRARIES, Backend
from tests.support.gateway import RunningGateway, serving, start_gateway
from tests.support.memory import resident_bytes
from tests.support.raw_http import MalformedAnswerError, RawClient, get
from tests.support.websocket_client import TEXT, WebSocketClient, frame

ECHO = "tests.echo.EchoService"
OVERRIDES = [
    {"grpc_method": f"{ECHO}/ServerStream", "http_method": "GET", "http_path": "/watch"},
    {"grpc_method": f"{ECHO}/BidiStream", "http_method": "GET", "http_path": "/chat"},
]
FAILING = "/watch?text=t&behaviour.messageCount=9&behaviour.failure.code=5&behaviour.failure.message=why"
NDJSON, EVENTS, ARRAY = "application/x-ndjson", "text/event-stream", "application/json"
GROWTH_BYTES = 8_000_000


@pytest.fixture(scope="module")
def gateways(request: pytest.FixtureRequest) -> Iterator[dict[str, RunningGateway]]:
    """A gateway in front of each backend, by the backend's library."""
    with ExitStack() as stack:
        started = {}
        for library in LIBRARIES:
            backend: Backend = request.getfixturevalue(f"{library}_backend")
            config = serving(backend.endpoint, route_overrides=OVERRIDES)
            started[library] = stack.enter_context(start_gateway(config))
        yield started


@pytest.fixture
def gateway(backend: Backend, gateways: dict[str, RunningGateway]) -> RunningGateway:
    """Each of the three in turn."""
    return gateways[backend.library]


def texts(values: list[Any]) -> list[str]:
    return [value["text"] for value in values]


def test_semantics_23_three_framings(gateway: RunningGateway) -> None:
    target = "/watch?text=t&behaviour.messageCount=3"
    lines = gateway.get(target)
    assert lines.headers["content-type"] == NDJSON
    assert texts([json.loads(line) for line in lines.body.splitlines()]) == ["t"] * 3
    events = gateway.get(target, headers={"accept": EVENTS})
    assert events.headers["content-type"] == EVENTS
    assert events.body.endswith(b"\n\n")
    parts = events.body.decode().removesuffix("\n\n").split("\n\n")
    assert texts([json.loads(part.removeprefix("data: ")) for part in parts]) == ["t"] * 3
    array = gateway.get(target, headers={"accept": ARRAY})
    assert array.headers["content-type"] == ARRAY
    assert texts(array.json()) == ["t"] * 3


@pytest.mark.parametrize("accept", [NDJSON, EVENTS, ARRAY])
def test_semantics_24_error_before_the_first_message_is_an_answer(gateway: RunningGateway, accept: str) -> None:
    answer = gateway.get(FAILING, headers={"accept": accept})
    assert (answer.status, answer.error["status"], answer.error["message"]) == (404, "NOT_FOUND", "why")


@pytest.mark.parametrize("accept", [NDJSON, EVENTS])
def test_semantics_24_error_after_the_first_message_is_the_last_one(gateway: RunningGateway, accept: str) -> None:
    answer = gateway.get(f"{FAILING}&behaviour.failure.afterMessages=2", headers={"accept": accept})
    assert answer.status == 200
    if accept == EVENTS:
        *messages, last = answer.body.decode().removesuffix("\n\n").split("\n\n")
        assert all(message.startswith("data: ") for message in messages)
        name, _, error = last.partition("\n")
        assert name == "event: error"
        document = json.loads(error.removeprefix("data: "))
    else:
        *messages, last = answer.body.decode().splitlines()
        document = json.loads(last)
    assert len(messages) == 2
    assert (document["error"]["code"], document["error"]["message"]) == (404, "why")


async def test_semantics_24_array_is_cut(gateway: RunningGateway) -> None:
    """No JSON, and no end of the HTTP answer either."""
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        await client.send(get(f"{FAILING}&behaviour.failure.afterMessages=2", f"Accept: {ARRAY}"))
        with pytest.raises(MalformedAnswerError, match="ended"):
            await client.answer()
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        await client.send(get(f"{FAILING}&behaviour.failure.afterMessages=2", f"Accept: {ARRAY}"))
        received = await client.rest()
    assert received.count(b'"text":"t"') == 2
    assert b"]\r\n" not in received
    assert not received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("accept", [NDJSON, EVENTS, ARRAY])
async def test_semantics_23_each_message_is_sent_when_it_comes(gateway: RunningGateway, accept: str) -> None:
    """A chunk a message, there before the backend has made the next one; a busy machine needs more time between."""
    for sleep_ms in (100, 1_000, 10_000):
        if await come_one_by_one(gateway, accept, sleep_ms):
            return
    raise AssertionError("messages wait for later ones")


async def come_one_by_one(gateway: RunningGateway, accept: str, sleep_ms: int) -> bool:
    """Read a stream of three messages; return whether each was there before the next."""
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        target = f"/watch?text=t&behaviour.messageCount=3&behaviour.sleepMs={sleep_ms}"
        await client.send(get(target, f"Accept: {accept}", "Connection: close"))
        head = b""
        while b"\r\n\r\n" not in head:
            head += await client.read_at_least(1)
        received = head.partition(b"\r\n\r\n")[2]
        for count in (1, 2):
            while received.count(b'"text":"t"') < count or not received.endswith(b"\r\n"):
                received += await client.read_at_least(1)
            if received.count(b'"text":"t"') != count:
                return False
            assert len(received.split(b"\r\n")) == 2 * count + 1, "a size and a part for each"
        received += await client.rest()
        assert received.count(b'"text":"t"') == 3
        return True


async def test_bounded_memory_socket_that_does_not_read_holds_the_backend(gateway: RunningGateway) -> None:
    """B16: of 40 MB, what nobody reads stays with the backend."""
    before_bytes = resident_bytes(gateway.process.pid)
    async with WebSocketClient(gateway.port) as client:
        await client.open("/watch?behaviour.messageCount=2000&behaviour.responseSizeBytes=20000")
        most_bytes = 0
        for _ in range(10):
            await client.raw.read_at_least(1_024)
            most_bytes = max(most_bytes, resident_bytes(gateway.process.pid))
        assert most_bytes - before_bytes < GROWTH_BYTES
        client.raw.reset()


async def test_bounded_memory_socket_that_floods_is_held_back(gateway: RunningGateway) -> None:
    """The backend sleeps after the first message; what comes behind it fits the windows and buffers on the way."""
    before_bytes = resident_bytes(gateway.process.pid)
    async with WebSocketClient(gateway.port) as client:
        await client.open("/chat")
        await client.send({"text": "a", "behaviour": {"sleepMs": 60_000}})
        flood = frame(TEXT, json.dumps({"text": "x" * 30_000}).encode()) * 10
        assert await client.raw.send_until_blocked(flood, limit_bytes=200_000_000) < 40_000_000
        assert resident_bytes(gateway.process.pid) - before_bytes < 2 * GROWTH_BYTES
        client.raw.reset()
