"""Server streams as a request meets them. Streams of requests and WebSockets are tested over real connections, in
`tests/e2e/test_gateway_streams.py` and `tests/e2e/test_gateway_websocket.py`."""

from __future__ import annotations

import orjson

from api_gateway.model.errors import GatewayError, Source
from api_gateway.model.message import Response
from api_gateway.model.status import Code
from api_gateway.transcoding.streaming import StreamedAnswer
from tests.support.gen.echo_pb2 import EchoReply
from tests.unit.proxy.scene import Scene


async def parts_of(response: Response) -> list[bytes]:
    assert response.stream is not None
    return [part async for part in response.stream]


async def test_semantics_23_server_stream_is_told_of_at_its_end(scene: Scene) -> None:
    scene.service.messages = [EchoReply(index=index).SerializeToString() for index in (1, 2)]
    response = await scene.ask("GET", "/echo/v1/stream")
    assert (response.status, dict(response.headers)[b"content-type"]) == (200, b"application/x-ndjson")
    assert (scene.listener.ended, scene.gate.settled) == ([], [])
    assert b"".join(await parts_of(response)) == b'{"index":1}\n{"index":2}\n'
    assert (scene.exchange.grpc_code, scene.gate.settled) == (0, [(200, 0)])
    (stream,) = scene.service.streams
    assert (stream.is_half_closed, len(stream.sent)) == (True, 1)


async def test_semantics_24_failure_before_the_first_message_is_a_status(scene: Scene) -> None:
    scene.service.failure = GatewayError(Code.NOT_FOUND, "nothing to see", source=Source.UPSTREAM)
    response = await scene.ask("GET", "/echo/v1/stream")
    assert (response.status, orjson.loads(response.body)["error"]["message"]) == (404, "nothing to see")
    assert scene.service.streams[0].is_cancelled
    assert scene.gate.settled == [(404, Code.NOT_FOUND)]


async def test_semantics_24_failure_after_it_is_the_last_line(scene: Scene) -> None:
    scene.service.messages = [EchoReply(index=1).SerializeToString()]
    scene.service.failure = GatewayError(Code.ABORTED, "changed meanwhile", source=Source.UPSTREAM)
    *_, last = await parts_of(await scene.ask("GET", "/echo/v1/stream"))
    assert orjson.loads(last)["error"]["message"] == "changed meanwhile"
    assert (scene.exchange.status, scene.exchange.grpc_code) == (200, Code.ABORTED)
    assert len(scene.gate.settled) == 1


async def test_semantics_40_a_client_that_leaves_a_stream_is_nobodys_failure(scene: Scene) -> None:
    """Nor is it a success: breakers learn nothing from it."""
    scene.service.messages = [EchoReply(index=index).SerializeToString() for index in (1, 2)]
    response = await scene.ask("GET", "/echo/v1/stream")
    assert isinstance(response.stream, StreamedAnswer)
    await anext(response.stream)
    await response.stream.aclose()
    assert (scene.exchange.error_reason, scene.gate.settled) == ("CLIENT_GONE", [(200, None)])


async def test_semantics_40_a_stream_of_requests_is_told_of_at_its_end(scene: Scene) -> None:
    """So that its success closes a breaker, and its trial gives its place back."""
    scene.service.messages = [EchoReply(id="all").SerializeToString()]
    response = await scene.ask("POST", "/echo/v1/collect", body=b'{"text": "a"}\n')
    assert (response.status, scene.gate.settled) == (200, [(200, Code.OK)])
