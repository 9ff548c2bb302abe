"""The compression cases of grpc doc/interop-test-descriptions.md, as far as each server's library goes.

What a library cannot do is expected of it below, so that a version that can do it fails here and is noticed.
"""

from __future__ import annotations

import asyncio

from api_gateway.grpc.stream_call import StreamCall
from api_gateway.model.errors import GatewayError
from api_gateway.model.status import Code
from tests.interop.conversation import (
    LARGE_REQUEST,
    PATIENCE_S,
    REPLY_BYTES,
    answered,
    conversation,
    replies,
    reply_bodies,
    send,
    unary,
)
from tests.interop.message_flags import watched_channel
from tests.support.backends import Backend
from tests.support.channels import TestedChannel
from tests.support.gen.interop_pb2 import (
    BoolValue,
    Payload,
    ResponseParameters,
    SimpleRequest,
    SimpleResponse,
    StreamingInputCallRequest,
    StreamingInputCallResponse,
    StreamingOutputCallRequest,
)

READS_COMPRESSED = {"grpcio": True, "node": True, "grpclib": False}
"""grpclib knows no compression: a compressed message is an exception in its handler, and UNKNOWN for the caller."""
SENDS_COMPRESSED = {"grpcio": True, "node": False, "grpclib": False}
"""grpc-js reads compressed messages only: "response compression is currently not supported" on its server side."""
ENDS_PROBE = {"grpcio": 0, "node": 0, "grpclib": 0}
"""How the probe ends. INVALID_ARGUMENT would be right, but no library tells its handlers how a message came; so what
was compressed is looked up in the bytes instead."""


def unary_request(*, is_compressed: bool) -> SimpleRequest:
    request = SimpleRequest(expect_compressed=BoolValue(value=is_compressed))
    request.MergeFrom(LARGE_REQUEST)
    return request


async def unary_code(channel: TestedChannel, request: SimpleRequest) -> int:
    """Return how a call ends; a good answer is checked."""
    try:
        answer = await answered(unary(channel, "UnaryCall", request))
    except GatewayError as error:
        return error.code
    assert SimpleResponse.FromString(answer.message).payload.body == bytes(REPLY_BYTES)
    return 0


async def test_client_compressed_unary(backend: Backend) -> None:
    """`client_compressed_unary`, G64: what is sent with gzip is read by every library that knows gzip."""
    async with watched_channel(backend) as plain:
        assert await unary_code(plain.channel, unary_request(is_compressed=True)) == ENDS_PROBE[backend.library]
        assert await unary_code(plain.channel, unary_request(is_compressed=False)) == 0
        assert plain.sent() == [False, False]
    async with watched_channel(backend, compressed_from_bytes=0) as compressing:
        code = await unary_code(compressing.channel, unary_request(is_compressed=True))
        assert code == (0 if READS_COMPRESSED[backend.library] else Code.UNKNOWN)
        assert compressing.sent() == [True]


async def test_server_compressed_unary(backend: Backend) -> None:
    """`server_compressed_unary`, G64: what comes with gzip is read."""
    async with watched_channel(backend) as watched:
        for is_compressed in (True, False):
            request = SimpleRequest(response_compressed=BoolValue(value=is_compressed))
            request.MergeFrom(LARGE_REQUEST)
            assert await unary_code(watched.channel, request) == 0
        assert watched.received() == [SENDS_COMPRESSED[backend.library], False]


async def test_client_compressed_streaming(backend: Backend) -> None:
    """`client_compressed_streaming`: one message compressed, one not, in one call.

    Our client compresses by size, so the larger message is the compressed one; the document has it the other way round.
    """
    requests = [
        StreamingInputCallRequest(expect_compressed=BoolValue(value=is_compressed), payload=Payload(body=bytes(size)))
        for size, is_compressed in ((45_904, True), (27_182, False))
    ]
    async with watched_channel(backend) as plain:
        probe = conversation(plain.channel, "StreamingInputCall")
        await send(probe, requests[0])
        probe.close_send()
        assert await code_of_end(probe) == ENDS_PROBE[backend.library]
        assert plain.sent() == [False]
    async with watched_channel(backend, compressed_from_bytes=30_000) as compressing:
        call = conversation(compressing.channel, "StreamingInputCall")
        await send(call, *requests)
        call.close_send()
        if READS_COMPRESSED[backend.library]:
            found = await replies(call, StreamingInputCallResponse)
            assert [reply.aggregated_payload_size for reply in found] == [73_086]
        else:
            assert await code_of_end(call) == Code.UNKNOWN
        assert compressing.sent() == [True, False]


async def code_of_end(call: StreamCall) -> int:
    """Return how a call ends whose messages are of no interest."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await call
    except GatewayError as error:
        return error.code
    return 0


async def test_server_compressed_streaming(backend: Backend) -> None:
    """`server_compressed_streaming`: one message compressed, one not, in one call."""
    parameters = [
        ResponseParameters(size=31_415, compressed=BoolValue(value=True)),
        ResponseParameters(size=92_653, compressed=BoolValue(value=False)),
    ]
    async with watched_channel(backend) as watched:
        call = conversation(watched.channel, "StreamingOutputCall")
        await send(call, StreamingOutputCallRequest(response_parameters=parameters))
        call.close_send()
        assert await reply_bodies(call) == [bytes(31_415), bytes(92_653)]
        assert watched.received() == [SENDS_COMPRESSED[backend.library], False]
