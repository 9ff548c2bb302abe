"""Calls of `grpc.testing.TestService` with messages instead of bytes."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from google.protobuf.message import Message

from api_gateway.grpc.stream_call import StreamCall
from api_gateway.grpc.unary_call import UnaryCall
from api_gateway.model.message import HeaderList
from tests.support.channels import TestedChannel
from tests.support.gen.interop_pb2 import (
    Payload,
    ResponseParameters,
    SimpleRequest,
    StreamingOutputCallRequest,
    StreamingOutputCallResponse,
)

SERVICE = "grpc.testing.TestService"
PATIENCE_S = 30.0
"""Longest time for one step of a case."""
REQUEST_BYTES = 271_828
REPLY_BYTES = 314_159
LARGE_REQUEST = SimpleRequest(response_size=REPLY_BYTES, payload=Payload(body=bytes(REQUEST_BYTES)))
"""What `large_unary` and others send."""
EXCHANGES = ((27_182, 31_415), (8, 9), (1_828, 2_653), (45_904, 58_979))
"""Sizes of requests and replies of `ping_pong`; those of `server_streaming` and `client_streaming` too."""

Reply = TypeVar("Reply", bound=Message)


def path_of(method: str, service: str = SERVICE) -> bytes:
    """Return the path of a method."""
    return f"/{service}/{method}".encode()


def unary(channel: TestedChannel, method: str, request: Message, metadata: HeaderList | None = None) -> UnaryCall:
    """Start a unary call."""
    return channel.unary(request.SerializeToString(), path=path_of(method), metadata=metadata)


async def answered(call: UnaryCall) -> UnaryCall:
    """Wait for a call that ends well."""
    async with asyncio.timeout(PATIENCE_S):
        return await call


def conversation(channel: TestedChannel, method: str, metadata: HeaderList | None = None) -> StreamCall:
    """Start a call with any number of messages."""
    return channel.stream(path=path_of(method), metadata=metadata)


async def send(call: StreamCall, *requests: Message) -> None:
    """Send messages."""
    async with asyncio.timeout(PATIENCE_S):
        for request in requests:
            await call.send(request.SerializeToString())


async def next_reply(call: StreamCall, reply_type: type[Reply]) -> Reply | None:
    """Return the next message, None after the last."""
    async with asyncio.timeout(PATIENCE_S):
        data = await call.receive()
    return None if data is None else reply_type.FromString(data)


async def replies(call: StreamCall, reply_type: type[Reply]) -> list[Reply]:
    """Return all messages of a call that ends well."""
    found = []
    while (reply := await next_reply(call, reply_type)) is not None:
        found.append(reply)
    return found


async def reply_bodies(call: StreamCall) -> list[bytes]:
    """Return the payloads of all StreamingOutputCallResponses of a call that ends well."""
    return [reply.payload.body for reply in await replies(call, StreamingOutputCallResponse)]


def exchange(request_bytes: int, reply_bytes: int) -> StreamingOutputCallRequest:
    """Return a message of one size that asks for one of another."""
    return StreamingOutputCallRequest(
        response_parameters=[ResponseParameters(size=reply_bytes)], payload=Payload(body=bytes(request_bytes))
    )
