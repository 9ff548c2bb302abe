"""What the fuzzed client says.

The calls of a conversation are placed together before the connection is up, so that their order, and with it their
stream ids, are the same in each run.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import Message

from api_gateway.grpc.channel import Channel
from api_gateway.grpc.stream_call import StreamCall
from api_gateway.grpc.unary_call import UnaryCall
from api_gateway.model.errors import GatewayError
from api_gateway.model.message import HeaderList
from tests.support.gen.echo_pb2 import Behaviour, EchoRequest, Failure, MetadataEntry
from tests.support.gen.interop_pb2 import (
    BoolValue,
    EchoStatus,
    Empty,
    Payload,
    ResponseParameters,
    SimpleRequest,
    StreamingInputCallRequest,
    StreamingOutputCallRequest,
)

CANCELLED: Final = -1
"""The code of calls that we cancelled."""
METADATA: Final[HeaderList] = [
    (b"x-grpc-test-echo-initial", b"test_initial_metadata_value"),
    (b"x-grpc-test-echo-trailing-bin", b"q6ur"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """One call."""

    path: bytes
    requests: tuple[bytes, ...]
    is_unary: bool = False
    closes: bool = True
    """Whether the requests end (half-close)."""
    cancels_after: int | None = None
    """Received messages after which it is cancelled."""
    stops_reading_after: int | None = None
    """Received messages after which nothing is received any more, so that the window closes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call ended."""

    code: int
    """0, a gRPC code, or CANCELLED."""
    messages: tuple[str, ...]
    """A digest of each message received."""


class Talk:
    """One call of a conversation, from its placing to its end."""

    def __init__(self, plan: CallPlan, channel: Channel, deadline_s: float, *, is_idempotent: bool = False) -> None:
        self.plan = plan
        self.deadline_s = deadline_s
        self.end_count = 0
        self.ended_s = 0.0
        self.messages: list[bytes] = []
        self._clock = channel.clock
        self._ended = asyncio.Event()
        self.call: UnaryCall | StreamCall
        if plan.is_unary:
            self.call = channel.unary(
                plan.path, plan.requests[0], deadline_s=deadline_s, metadata=METADATA, is_idempotent=is_idempotent
            )
        else:
            self.call = channel.stream(plan.path, deadline_s=deadline_s, metadata=METADATA, is_idempotent=is_idempotent)
        self.call.on_done(self._done)

    def _done(self, _: object) -> None:
        self.end_count += 1
        self.ended_s = self._clock()
        self._ended.set()

    async def run(self) -> None:
        """Wait for the end. Raises only what no call may raise."""
        if isinstance(self.call, StreamCall):
            await asyncio.gather(self._send(self.call), self._receive(self.call))
        await self._ended.wait()
        if isinstance(self.call, UnaryCall) and self.call.exception() is None:
            self.messages.append(self.call.message)

    async def _send(self, call: StreamCall) -> None:
        try:
            for request in self.plan.requests:
                await call.send(request)
        except GatewayError:
            return
        except asyncio.CancelledError:
            if not call.cancelled():
                raise
            return
        if self.plan.closes:
            call.close_send()

    async def _receive(self, call: StreamCall) -> None:
        plan = self.plan
        try:
            while len(self.messages) != plan.stops_reading_after:
                if len(self.messages) == plan.cancels_after:
                    call.cancel()
                message = await call.receive()
                if message is None:
                    return
                self.messages.append(message)
        except GatewayError:
            return
        except asyncio.CancelledError:
            if not call.cancelled():
                raise

    @property
    def error(self) -> BaseException | None:
        """What it ended with."""
        return self.call.exception()

    @property
    def outcome(self) -> Outcome:
        """How it ended, to be compared."""
        error = self.error
        code = error.code if isinstance(error, GatewayError) else CANCELLED if error is not None else 0
        digests = tuple(hashlib.sha256(message).hexdigest()[:16] for message in self.messages)
        return Outcome(code=code, messages=digests)


def _interop(method: str, *requests: Message, is_unary: bool = False, closes: bool = True) -> CallPlan:
    path = f"/grpc.testing.TestService/{method}".encode()
    return CallPlan(
        path=path, requests=tuple(each.SerializeToString() for each in requests), is_unary=is_unary, closes=closes
    )


def _echo(method: str, behaviour: Behaviour, *, is_unary: bool = False) -> CallPlan:
    request = EchoRequest(id="fuzz", text="text", behaviour=behaviour)
    path = f"/tests.echo.EchoService/{method}".encode()
    return CallPlan(path=path, requests=(request.SerializeToString(),), is_unary=is_unary)


def _sizes(*sizes: int, is_compressed: bool = False) -> StreamingOutputCallRequest:
    parameters = [ResponseParameters(size=size, compressed=BoolValue(value=is_compressed)) for size in sizes]
    return StreamingOutputCallRequest(response_parameters=parameters, payload=Payload(body=bytes(30)))


_EMPTY: Final = _interop("EmptyCall", Empty(), is_unary=True)
_SLEEP: Final = _interop("FullDuplexCall", closes=False)
_REFUSED: Final = EchoStatus(code=9, message="test \N{WHITE SMILING FACE}\n")
_FAILURE: Final = Failure(code=5, message="not found", status_details=b"\x08\x05\x12\x04text", after_messages=2)
_TRAILING: Final = [MetadataEntry(key="x-more", text="more"), MetadataEntry(key="x-more-bin", binary=b"\x00\xff")]

CONVERSATIONS: Final[dict[str, tuple[CallPlan, ...]]] = {
    "unary": (
        _EMPTY,
        _interop("UnaryCall", SimpleRequest(response_size=300), is_unary=True),
        _echo("Echo", Behaviour(trailing_metadata=_TRAILING), is_unary=True),
    ),
    "large": (
        _interop("UnaryCall", SimpleRequest(response_size=40_000, payload=Payload(body=bytes(70_000))), is_unary=True),
        _EMPTY,
    ),
    "refusals": (
        _interop("UnaryCall", SimpleRequest(response_status=_REFUSED), is_unary=True),
        _interop("Missing", Empty(), is_unary=True),
        _echo("ServerStream", Behaviour(message_count=3, failure=_FAILURE)),
        _echo("Echo", Behaviour(failure=_FAILURE, initial_metadata=_TRAILING), is_unary=True),
    ),
    "streams": (
        _interop("StreamingOutputCall", _sizes(314, 9, 2_653)),
        _interop("StreamingInputCall", *[StreamingInputCallRequest(payload=Payload(body=bytes(99)))] * 3),
        _interop("FullDuplexCall", _sizes(10), _sizes(20, 30), _sizes(0)),
        _interop("FullDuplexCall"),
    ),
    "early ends": (
        _interop("FullDuplexCall", StreamingOutputCallRequest(response_status=_REFUSED), closes=False),
        _interop("FullDuplexCall", _sizes(5), StreamingOutputCallRequest(response_status=_REFUSED), closes=False),
        _EMPTY,
    ),
    "going away": (_EMPTY, _SLEEP, _interop("FullDuplexCall", _sizes(100), closes=False)),
    "compressed": (
        _interop(
            "UnaryCall", SimpleRequest(response_size=4_000, response_compressed=BoolValue(value=True)), is_unary=True
        ),
        _interop("StreamingOutputCall", _sizes(2_000, 3_000, is_compressed=True)),
        _EMPTY,
    ),
}
"""By name. In "going away" the server is told to stop once it has answered the first and the third call."""
