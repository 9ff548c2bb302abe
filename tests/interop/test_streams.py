"""The streaming cases of grpc doc/interop-test-descriptions.md, against grpcio, grpclib and grpc-js."""

from __future__ import annotations

import asyncio

import pytest

from api_gateway.grpc.metadata import decode_binary_value
from api_gateway.grpc.stream_call import StreamCall
from api_gateway.model.status import Code
from tests.interop.conversation import (
    EXCHANGES,
    REPLY_BYTES,
    REQUEST_BYTES,
    answered,
    conversation,
    exchange,
    next_reply,
    path_of,
    replies,
    reply_bodies,
    send,
    unary,
)
from tests.support.channels import TestedChannel, code_of, error_of
from tests.support.gen.interop_pb2 import (
    EchoStatus,
    Empty,
    Payload,
    ResponseParameters,
    StreamingInputCallRequest,
    StreamingInputCallResponse,
    StreamingOutputCallRequest,
    StreamingOutputCallResponse,
)


async def test_client_streaming(channel: TestedChannel) -> None:
    """`client_streaming`: four messages up, their total down."""
    call = conversation(channel, "StreamingInputCall")
    await send(call, *(StreamingInputCallRequest(payload=Payload(body=bytes(size))) for size, _ in EXCHANGES))
    call.close_send()
    found = await replies(call, StreamingInputCallResponse)
    assert [reply.aggregated_payload_size for reply in found] == [74_922]


async def test_server_streaming(channel: TestedChannel) -> None:
    """`server_streaming`: one request, four messages of these sizes in this order."""
    call = conversation(channel, "StreamingOutputCall")
    parameters = [ResponseParameters(size=size) for _, size in EXCHANGES]
    await send(call, StreamingOutputCallRequest(response_parameters=parameters))
    call.close_send()
    assert await reply_bodies(call) == [bytes(size) for _, size in EXCHANGES]


async def test_ping_pong(channel: TestedChannel) -> None:
    """`ping_pong`: each request waits for the answer to the one before."""
    call = conversation(channel, "FullDuplexCall")
    for request_bytes, reply_bytes in EXCHANGES:
        await send(call, exchange(request_bytes, reply_bytes))
        reply = await next_reply(call, StreamingOutputCallResponse)
        assert reply is not None
        assert reply.payload.body == bytes(reply_bytes)
    call.close_send()
    assert await reply_bodies(call) == []


async def test_empty_stream(channel: TestedChannel) -> None:
    """`empty_stream`: no message in either direction is a success."""
    call = conversation(channel, "FullDuplexCall")
    call.close_send()
    assert await reply_bodies(call) == []


async def test_custom_metadata(channel: TestedChannel) -> None:
    """`custom_metadata`, its streaming step."""
    metadata = [
        (b"x-grpc-test-echo-initial", b"test_initial_metadata_value"),
        (b"x-grpc-test-echo-trailing-bin", b"q6ur"),
    ]
    call = conversation(channel, "FullDuplexCall", metadata)
    await send(call, exchange(REQUEST_BYTES, REPLY_BYTES))
    call.close_send()
    assert await reply_bodies(call) == [bytes(REPLY_BYTES)]
    assert dict(call.headers)[b"x-grpc-test-echo-initial"] == b"test_initial_metadata_value"
    assert decode_binary_value(dict(call.trailers)[b"x-grpc-test-echo-trailing-bin"]) == b"\xab\xab\xab"


async def test_status_code_and_message(channel: TestedChannel) -> None:
    """`status_code_and_message`, its streaming step."""
    call = conversation(channel, "FullDuplexCall")
    status = EchoStatus(code=Code.UNKNOWN, message="test status message")
    await send(call, StreamingOutputCallRequest(response_status=status))
    call.close_send()
    error = await error_of(call.receive())
    assert (error.code, error.message) == (Code.UNKNOWN, "test status message")


async def test_cancel_after_begin(channel: TestedChannel) -> None:
    """`cancel_after_begin`: the head is sent, no message is; the connection serves the next call."""
    await serves(channel)
    call = conversation(channel, "StreamingInputCall")
    await is_cancelled(channel, call)


async def test_cancel_after_first_response(channel: TestedChannel) -> None:
    """`cancel_after_first_response`: in the middle of a conversation; the connection serves the next call."""
    call = conversation(channel, "FullDuplexCall")
    await send(call, exchange(*EXCHANGES[0]))
    assert await next_reply(call, StreamingOutputCallResponse) is not None
    await is_cancelled(channel, call)


async def serves(channel: TestedChannel) -> None:
    """Make an empty call that ends well."""
    assert (await answered(unary(channel, "EmptyCall", Empty()))).message == b""


async def is_cancelled(channel: TestedChannel, call: StreamCall) -> None:
    """Cancel, and see that only this call is affected."""
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert call.cancelled()
    await serves(channel)
    assert channel.channel.open_streams == 0
    assert channel.seen.connections == [1]


async def test_timeout_on_sleeping_server(channel: TestedChannel) -> None:
    """`timeout_on_sleeping_server`: 1 ms for a conversation in which the server has nothing to say."""
    await serves(channel)
    call = channel.stream(path=path_of("FullDuplexCall"), timeout_s=0.001)

    async def ask_and_wait() -> None:
        # On a busy machine the deadline has passed before this is sent, and then sending says so.
        await send(call, StreamingOutputCallRequest(payload=Payload(body=bytes(EXCHANGES[0][0]))))
        await call

    assert await code_of(ask_and_wait()) == Code.DEADLINE_EXCEEDED
    assert call.done()
    await serves(channel)
    assert channel.seen.connections == [1]
