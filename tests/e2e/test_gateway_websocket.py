"""Streaming methods over WebSocket, against three gRPC libraries (semantics 25, 26)."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.backends import LIBRARIES, Backend
from tests.support.gateway import RunningGateway, serving, start_gateway
from tests.support.gen.echo_control_pb2 import JournalEvent
from tests.support.raw_http import get
from tests.support.websocket_client import BINARY, PING, PONG, TEXT, WebSocketClient, close_frame, frame, handshake

ECHO = "tests.echo.EchoService"
OVERRIDES = [
    {"grpc_method": f"{ECHO}/ClientStream", "http_method": "POST", "http_path": "/collect"},
    {"grpc_method": f"{ECHO}/BidiStream", "http_method": "GET", "http_path": "/chat"},
    {"grpc_method": f"{ECHO}/ServerStream", "http_method": "GET", "http_path": "/watch"},
    {"grpc_method": f"{ECHO}/ServerStream", "http_method": "POST", "http_path": "/follow"},
]


@pytest.fixture(scope="module")
def gateways(request: pytest.FixtureRequest) -> Iterator[dict[str, RunningGateway]]:
    """A gateway in front of each backend, by the backend's library."""
    with ExitStack() as stack:
        started = {}
        for library in LIBRARIES:
            backend: Backend = request.getfixturevalue(f"{library}_backend")
            cors = {"enabled": True, "allowed_origins": ["https://app.test"]}
            config = serving(
                backend.endpoint, route_overrides=OVERRIDES, body_limit={"default_limit": 100_000}, cors=cors
            )
            started[library] = stack.enter_context(start_gateway(config))
        yield started


@pytest.fixture
def gateway(backend: Backend, gateways: dict[str, RunningGateway]) -> RunningGateway:
    """Each of the three in turn."""
    return gateways[backend.library]


@pytest.fixture
def one_gateway(grpclib_backend: Backend, gateways: dict[str, RunningGateway]) -> RunningGateway:
    """One of them, for what has nothing to do with the backend."""
    return gateways["grpclib"]


async def test_semantics_25_conversation(gateway: RunningGateway) -> None:
    """A frame a message, answers meanwhile, an empty frame as the half-close, the status in the close frame."""
    async with WebSocketClient(gateway.port) as client:
        await client.open("/chat")
        for index in range(3):
            await client.send({"text": f"m{index}"})
            assert (await client.message())["text"] == f"m{index}"
        await client.half_close()
        assert await client.closed() == (1000, "OK")


async def test_semantics_25_status_of_a_failure_is_in_the_close_frame(gateway: RunningGateway) -> None:
    async with WebSocketClient(gateway.port) as client:
        await client.open("/chat")
        await client.send({"behaviour": {"failure": {"code": 9, "message": "not now"}}})
        error = (await client.message())["error"]
        assert (error["code"], error["status"], error["message"]) == (400, "FAILED_PRECONDITION", "not now")
        assert await client.closed() == (4009, "FAILED_PRECONDITION: not now")


async def test_client_and_server_streams_work_over_a_socket_too(gateway: RunningGateway) -> None:
    async with WebSocketClient(gateway.port) as client:
        await client.open("/collect")
        await client.send({"text": "a"})
        await client.send({"text": "b"})
        await client.half_close()
        assert (await client.message())["texts"] == ["a", "b"]
        assert await client.closed() == (1000, "OK")
    async with WebSocketClient(gateway.port) as client:
        await client.open("/watch?behaviour.messageCount=2&text=t")
        assert [(await client.message())["text"] for _ in range(2)] == ["t", "t"]
        assert await client.closed() == (1000, "OK")
    async with WebSocketClient(gateway.port) as client:
        await client.open("/follow")
        await client.send({"text": "f"})
        assert (await client.message())["text"] == "f"
        assert await client.closed() == (1000, "OK")


async def test_semantics_10_query_goes_into_the_first_message_and_a_frame_goes_over_it(gateway: RunningGateway) -> None:
    """Browsers name in the address what a conversation is about. The rule has no body."""
    async with WebSocketClient(gateway.port) as client:
        await client.open("/chat?text=query&seed=7&item.tags=a")
        await client.send({"text": "frame", "item": {"tags": ["b"]}})
        first = await client.message()
        await client.send({})
        second = await client.message()
    assert (first["text"], first["seed"], first["item"]["tags"]) == ("frame", "7", ["a", "b"])
    assert not {"text", "seed", "item"} & second.keys()
    async with WebSocketClient(gateway.port) as client:
        await client.open("/chat?nonsense=1")
        await client.send({})
        assert "nonsense" in (await client.message())["error"]["message"]
        assert (await client.closed())[0] == 4003


@pytest.mark.parametrize("goodbye", ["reset", "close"])
async def test_semantics_26_client_that_goes_away_cancels(
    gateway: RunningGateway, backend: Backend, goodbye: str
) -> None:
    request_id = f"socket-{goodbye}-{backend.library}"
    async with WebSocketClient(gateway.port) as client:
        await client.open("/chat")
        await client.send({"id": request_id})
        await client.message()
        if goodbye == "reset":
            client.raw.reset()
        else:
            await client.raw.send(close_frame(1001))
            assert await client.closed() == (1001, "")
        # grpcio shows a reset to who iterates over requests as their end.
        end = JournalEvent.COMPLETED if backend.library == "grpcio" else JournalEvent.CANCELLED
        await backend.journal(request_id, wait_for=end)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frame(BINARY, b"{}"), 1003, id="binary"),
        pytest.param(frame(TEXT, b"\xff"), 1007, id="not_utf8"),
        pytest.param(frame(TEXT, b"x" * 100_001), 1009, id="too_big"),
        pytest.param(b"\x81\x02{}", 1002, id="not_masked"),
        pytest.param(frame(TEXT, b'{"text": no}'), 4003, id="not_json"),
    ],
)
async def test_what_breaks_the_rules_is_told_by_its_code(one_gateway: RunningGateway, data: bytes, code: int) -> None:
    async with WebSocketClient(one_gateway.port) as client:
        await client.open("/chat")
        await client.raw.send(data)
        if code >= 4000:
            assert "message 1: the JSON is broken" in (await client.message())["error"]["message"]
        assert (await client.closed())[0] == code


async def test_pings_are_answered_and_fragments_joined(one_gateway: RunningGateway) -> None:
    async with WebSocketClient(one_gateway.port) as client:
        await client.open("/chat")
        await client.raw.send(frame(TEXT, b'{"te', is_final=False), frame(PING, b"now"), frame(0, b'xt":"joined"}'))
        assert await client.frame() == (PONG, b"now")
        assert (await client.message())["text"] == "joined"


@pytest.mark.parametrize(
    ("target", "lines", "status"),
    [
        pytest.param("/chat", ("Origin: https://evil.test",), 403, id="foreign_origin"),
        pytest.param("/chat", ("Sec-WebSocket-Protocol: soap",), 400, id="unknown_subprotocol"),
        pytest.param("/api/items/7", (), 200, id="a_unary_method_passes_the_upgrade_over"),
        pytest.param("/nowhere", (), 404, id="unknown_path"),
    ],
)
async def test_handshakes_that_are_not_accepted(
    one_gateway: RunningGateway, target: str, lines: tuple[str, ...], status: int
) -> None:
    async with WebSocketClient(one_gateway.port) as client:
        answer = await client.ask(target, *lines)
        assert (answer.status, answer.is_last) == (status, True)


async def test_h16_other_versions_are_426(one_gateway: RunningGateway) -> None:
    async with WebSocketClient(one_gateway.port) as client:
        answer = await client.raw.ask(handshake("/chat").replace(b"Version: 13", b"Version: 8"))
        assert (answer.status, answer.header(b"sec-websocket-version")) == (426, b"13")


async def test_allowed_origins_and_the_own_one_may_open(one_gateway: RunningGateway) -> None:
    for origin in ("https://app.test", "http://gateway.test"):
        async with WebSocketClient(one_gateway.port) as client:
            await client.open("/chat", f"Origin: {origin}")


async def test_shutdown_says_going_away(grpclib_backend: Backend) -> None:
    with start_gateway(serving(grpclib_backend.endpoint, route_overrides=OVERRIDES)) as gateway:
        async with WebSocketClient(gateway.port) as client:
            await client.open("/chat")
            await client.send({"text": "a"})
            await client.message()
            gateway.process.send_signal(signal.SIGTERM)
            assert await client.closed() == (1001, "the gateway is shutting down")


async def test_token_comes_as_a_subprotocol_and_is_never_shown(grpclib_backend: Backend) -> None:
    """Scripts in browsers cannot send Authorization."""
    with start_gateway(serving(grpclib_backend.endpoint, route_overrides=OVERRIDES)) as gateway:
        async with WebSocketClient(gateway.port) as client:
            await client.open("/chat", "Sec-WebSocket-Protocol: api-gateway.json, bearer.s3cr3t")
            await client.send({})
            reply = await client.message()
        metadata = {entry["key"]: entry.get("text") for entry in reply["receivedMetadata"]}
        assert metadata["authorization"] == "Bearer s3cr3t"
        assert not [key for key in metadata if key.startswith("sec-")]
        gateway.wait_for_event("request completed", status=101)
        assert "s3cr3t" not in gateway.process.stdout.text()


def test_get_without_an_upgrade_is_plain(one_gateway: RunningGateway) -> None:
    assert get("/chat")
    assert one_gateway.get("/chat?text=plain").json()["text"] == "plain"
