"""What the interoperability tests' service does under any library.

grpc doc/interop-test-descriptions.md, "Server".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final, cast

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from tests.support.echo_behaviour import Arrival, Ending, Metadata, Wire
from tests.support.gen import interop_pb2
from tests.support.gen.interop_pb2 import (
    EchoStatus,
    Empty,
    Payload,
    SimpleRequest,
    SimpleResponse,
    StreamingInputCallRequest,
    StreamingInputCallResponse,
    StreamingOutputCallRequest,
    StreamingOutputCallResponse,
)

SERVICE: Final[ServiceDescriptor] = interop_pb2.DESCRIPTOR.services_by_name["TestService"]
INITIAL_KEY: Final = "x-grpc-test-echo-initial"
TRAILING_KEY: Final = "x-grpc-test-echo-trailing-bin"
_US_PER_S = 1_000_000


class InteropBehaviour:
    """Executes calls. `expect_compressed` is not looked at: no library tells how a request came."""

    async def execute(self, arrival: Arrival, requests: AsyncIterator[Message], wire: Wire) -> None:
        """Run one call from its first request to its end."""
        name = arrival.method.rpartition("/")[2]
        initial = _only(arrival.metadata, INITIAL_KEY)
        if name == "CacheableUnaryCall":
            initial = (*initial, ("cache-control", "max-age=60, public"))
        run = {
            "EmptyCall": _answer_empty,
            "UnaryCall": _answer,
            "CacheableUnaryCall": _answer_with_time,
            "StreamingOutputCall": _converse,
            "StreamingInputCall": _add_up,
            "FullDuplexCall": _converse,
        }[name]
        status = await run(requests, _Answer(wire, initial))
        trailing = _only(arrival.metadata, TRAILING_KEY)
        await wire.finish(Ending(code=status.code, message=status.message, metadata=trailing))


class _Answer:
    """The answering side of a call; the head goes out with the first message."""

    def __init__(self, wire: Wire, initial: Metadata) -> None:
        self._wire = wire
        self._initial = initial
        self._has_head = False

    async def send(self, reply: Message, *, is_compressed: bool = False) -> None:
        self._wire.compress_next(is_compressed)
        if not self._has_head and (self._initial or is_compressed):
            # A head of its own when compressing: grpcio forgets the compression when it makes a unary head itself.
            self._has_head = True
            await self._wire.send_initial_metadata(self._initial)
        await self._wire.send(reply)


async def _answer_empty(requests: AsyncIterator[Message], answer: _Answer) -> EchoStatus:
    await anext(requests)
    await answer.send(Empty())
    return EchoStatus()


async def _answer(requests: AsyncIterator[Message], answer: _Answer) -> EchoStatus:
    request = cast(SimpleRequest, await anext(requests))
    if not request.response_status.code:
        reply = SimpleResponse(payload=Payload(body=bytes(request.response_size)))
        await answer.send(reply, is_compressed=request.response_compressed.value)
    return request.response_status


async def _answer_with_time(requests: AsyncIterator[Message], answer: _Answer) -> EchoStatus:
    await anext(requests)
    await answer.send(SimpleResponse(payload=Payload(body=str(time.time_ns()).encode())))
    return EchoStatus()


async def _add_up(requests: AsyncIterator[Message], answer: _Answer) -> EchoStatus:
    sizes = [len(cast(StreamingInputCallRequest, request).payload.body) async for request in requests]
    await answer.send(StreamingInputCallResponse(aggregated_payload_size=sum(sizes)))
    return EchoStatus()


async def _converse(requests: AsyncIterator[Message], answer: _Answer) -> EchoStatus:
    async for message in requests:
        request = cast(StreamingOutputCallRequest, message)
        if request.response_status.code:
            return request.response_status
        for wanted in request.response_parameters:
            await asyncio.sleep(wanted.interval_us / _US_PER_S)
            reply = StreamingOutputCallResponse(payload=Payload(body=bytes(wanted.size)))
            await answer.send(reply, is_compressed=wanted.compressed.value)
    return EchoStatus()


def _only(metadata: Metadata, key: str) -> Metadata:
    return tuple(entry for entry in metadata if entry[0] == key)
