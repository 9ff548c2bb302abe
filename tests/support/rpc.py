"""Calls to gRPC services with Google's own client, from messages and names instead of generated stubs."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import grpc
import grpc.aio
from google.rpc import status_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from google.protobuf.message import Message

    Metadata = tuple[tuple[str, str | bytes], ...]
    Reply = TypeVar("Reply", bound=Message)

TIMEOUT_S = 30.0
"""Long enough for a busy machine; a call that should fail fast names its own."""


async def unary(
    channel: grpc.aio.Channel,
    method: str,
    request: Message,
    reply_type: type[Reply],
    *,
    metadata: Metadata = (),
    timeout_s: float = TIMEOUT_S,
) -> Reply:
    """Call `package.Service/Method` with one message each way. Raises grpc.aio.AioRpcError."""
    call = channel.unary_unary(f"/{method}", type(request).SerializeToString, reply_type.FromString)
    reply: Reply = await call(request, metadata=metadata, timeout=timeout_s)
    return reply


async def server_stream(
    channel: grpc.aio.Channel,
    method: str,
    request: Message,
    reply_type: type[Reply],
    *,
    timeout_s: float = TIMEOUT_S,
) -> AsyncGenerator[Reply, None]:
    """Call a server-streaming method. Leaving the iteration early cancels the call."""
    call = channel.unary_stream(f"/{method}", type(request).SerializeToString, reply_type.FromString)(
        request, timeout=timeout_s
    )
    try:
        async for reply in call:
            yield reply
    finally:
        call.cancel()


async def client_stream(
    channel: grpc.aio.Channel, method: str, requests: Iterable[Message], reply_type: type[Reply]
) -> Reply:
    """Call a client-streaming method with all `requests`."""
    messages = tuple(requests)
    call = channel.stream_unary(f"/{method}", type(messages[0]).SerializeToString, reply_type.FromString)
    reply: Reply = await call(iter(messages), timeout=TIMEOUT_S)
    return reply


async def bidi_stream(
    channel: grpc.aio.Channel, method: str, requests: Iterable[Message], reply_type: type[Reply]
) -> list[Reply]:
    """Call a bidirectional method with all `requests` and return all replies."""
    messages = tuple(requests)
    call = channel.stream_stream(f"/{method}", type(messages[0]).SerializeToString, reply_type.FromString)
    return [reply async for reply in call(iter(messages), timeout=TIMEOUT_S)]


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """Return the `google.rpc.Status` that came in `grpc-status-details-bin`; an empty one if none came."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return status_pb2.Status.FromString(value)
    return status_pb2.Status()
