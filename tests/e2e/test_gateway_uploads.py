"""Streams of requests over plain HTTP, against three gRPC libraries: order, flow, faults, ends (semantics 25, 26)."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.support.backends import LIBRARIES, Backend
from tests.support.gateway import RunningGateway, serving, start_gateway
from tests.support.gen.echo_control_pb2 import JournalEvent
from tests.support.memory import resident_bytes
from tests.support.promptness import quickest_async_s
from tests.support.raw_http import RawClient, request

ECHO = "tests.echo.EchoService"
OVERRIDES = [
    {"grpc_method": f"{ECHO}/ClientStream", "http_method": "POST", "http_path": "/collect"},
    {"grpc_method": f"{ECHO}/BidiStream", "http_method": "POST", "http_path": "/talk"},
]
LINES = "application/x-ndjson"
CHUNKED = "Transfer-Encoding: chunked"
CANCELLED = {
    "grpcio": JournalEvent.COMPLETED,  # shows a reset to who iterates over requests as their end
    "grpclib": JournalEvent.CANCELLED,
    "node": JournalEvent.CANCELLED,
}
"""How a call ends in the eyes of a backend that waits for requests when its stream is reset."""


@pytest.fixture(scope="module")
def gateways(request: pytest.FixtureRequest) -> Iterator[dict[str, RunningGateway]]:
    """A gateway in front of each backend, by the backend's library."""
    with ExitStack() as stack:
        started = {}
        for library in LIBRARIES:
            backend: Backend = request.getfixturevalue(f"{library}_backend")
            config = serving(backend.endpoint, route_overrides=OVERRIDES, body_limit={"default_limit": 100_000})
            started[library] = stack.enter_context(start_gateway(config))
        yield started


@pytest.fixture
def gateway(backend: Backend, gateways: dict[str, RunningGateway]) -> RunningGateway:
    """Each of the three in turn."""
    return gateways[backend.library]


def chunk(*values: dict[str, Any]) -> bytes:
    """Return one chunk with a line for each value."""
    data = b"".join(json.dumps(value).encode() + b"\n" for value in values)
    return b"%x\r\n%b\r\n" % (len(data), data)


@asynccontextmanager
async def uploading(gateway: RunningGateway, target: str) -> AsyncIterator[RawClient]:
    """Begin a chunked upload of lines."""
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        await client.send(request("POST", target, CHUNKED, f"Content-Type: {LINES}"))
        yield client


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(LINES, b'{"text":"a"}\n{"text":"b"}\n', id="ndjson"),
        pytest.param("application/json", b'[{"text":"a"},{"text":"b"}]', id="array"),
    ],
)
def test_semantics_25_client_stream_is_collected(gateway: RunningGateway, kind: str, body: bytes) -> None:
    answer = gateway.ask("POST", "/collect", body, headers={"content-type": kind})
    assert answer.status == 200, answer
    assert {key: answer.json()[key] for key in ("messageCount", "texts")} == {"messageCount": 2, "texts": ["a", "b"]}


async def test_semantics_25_each_message_is_sent_on_as_it_arrives(gateway: RunningGateway) -> None:
    """Both directions at once: the answer to one message is there before the next is sent."""
    async with uploading(gateway, "/talk") as client:
        for index in range(3):
            await client.send(chunk({"text": f"m{index}"}))
            received = b""
            while not received.endswith(b"}\n\r\n"):
                received += await client.read_at_least(1)
            assert b'"text":"m%d"' % index in received
        await client.send(b"0\r\n\r\n")
        assert (await client.rest()).endswith(b"0\r\n\r\n")


async def test_semantics_25_broken_message_is_400_and_cancels_the_call(
    gateway: RunningGateway, backend: Backend
) -> None:
    request_id = f"broken-{backend.library}"
    async with uploading(gateway, "/collect") as client:
        await client.send(chunk({"id": request_id, "text": "fine"}))
        await backend.journal(request_id, wait_for=JournalEvent.STARTED)
        await client.send(b"c\r\n" + b'{"text": no}' + b"\r\n1\r\n\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.reason) == (400, "INVALID_JSON")
        assert answer.json()["error"]["message"].startswith("message 2 (at byte ")
        assert answer.is_last
        await backend.journal(request_id, wait_for=CANCELLED[backend.library])


async def test_early_status_ends_the_upload(gateway: RunningGateway) -> None:
    """The backend fails after two messages; the client hears it at once, and the connection closes."""
    async with uploading(gateway, "/collect") as client:
        failure = {"code": 9, "message": "enough", "afterMessages": 2}
        await client.send(chunk({"text": "a", "behaviour": {"failure": failure}}, {"text": "b"}))
        answer = await client.answer()
        assert (answer.status, answer.json()["error"]["message"]) == (400, "enough")
        assert answer.is_last


async def test_semantics_26_client_that_goes_away_cancels_within_100_ms(
    gateway: RunningGateway, backend: Backend
) -> None:
    numbers = itertools.count()

    async def leave() -> float:
        request_id = f"gone-{backend.library}-{next(numbers)}"
        async with uploading(gateway, "/collect") as client:
            await client.send(chunk({"id": request_id, "text": "a"}))
            await backend.journal(request_id, wait_for=JournalEvent.STARTED)
            client.reset()
            started_s = time.monotonic()
            await backend.journal(request_id, wait_for=CANCELLED[backend.library])
            return time.monotonic() - started_s

    # The question to the journal is in this time too.
    assert await quickest_async_s(leave, enough_s=1.0) <= 1.0


async def test_upload_may_be_longer_than_the_body_limit_and_a_message_may_not(gateway: RunningGateway) -> None:
    async with uploading(gateway, "/collect") as client:
        for _ in range(4):
            await client.send(chunk({"text": "x" * 50_000}))
        await client.send(b"0\r\n\r\n")
        assert (await client.answer()).json()["messageCount"] == 4
        assert not (await client.ask(request("GET", "/health/live"))).is_last, "the connection goes on"
    async with uploading(gateway, "/collect") as client:
        await client.send(chunk({"text": "a"}), chunk({"text": "x" * 100_001}))
        answer = await client.answer()
        assert (answer.status, answer.reason) == (413, "MESSAGE_TOO_LARGE")


async def test_bounded_memory_slow_backend_holds_the_client_back(gateway: RunningGateway) -> None:
    """What the backend does not take stays with the client: windows and socket buffers, not our memory."""
    before_bytes = resident_bytes(gateway.process.pid)
    async with uploading(gateway, "/talk") as client:
        await client.send(chunk({"text": "a", "behaviour": {"sleepMs": 60_000}}))
        sent = await client.send_until_blocked(chunk({"text": "x" * 30_000}) * 10, limit_bytes=200_000_000)
        assert sent < 40_000_000
        assert resident_bytes(gateway.process.pid) - before_bytes < 16_000_000
        # A plain close would wait in our kernel behind what the gateway does not take, and its end for the call's.
        client.reset()
