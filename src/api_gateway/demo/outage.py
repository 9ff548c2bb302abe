"""`api_gateway.demo.OutageService`: the user service fails for a while on request, so that its breaker can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
import grpc.aio

from .gen import outage_pb2, user_pb2
from .refusal import Violation, refuse_because, refuse_invalid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from google.protobuf.descriptor import ServiceDescriptor

    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]

MAX_SECONDS: Final = 60
_STRUCK: Final[str] = user_pb2.DESCRIPTOR.services_by_name["UserService"].full_name


class Outage:
    """Whether there is one. `now_s` is monotonic."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._until_s = 0.0

    def begin(self, seconds: int) -> None:
        """Let one begin now, in the place of one under way."""
        self._until_s = self._now_s() + seconds

    @property
    def is_on(self) -> bool:
        """Whether calls fail now."""
        return self._now_s() < self._until_s


class OutageService:
    """Begins outages. It is served where none of them reaches it."""

    descriptor: Final[ServiceDescriptor] = outage_pb2.DESCRIPTOR.services_by_name["OutageService"]

    def __init__(self, outage: Outage) -> None:
        self._outage = outage

    async def BeginOutage(  # noqa: N802  named by gRPC
        self, request: outage_pb2.BeginOutageRequest, context: Context
    ) -> outage_pb2.BeginOutageResponse:
        """Let calls of the user service fail."""
        if not 1 <= request.seconds <= MAX_SECONDS:
            await refuse_invalid(context, [Violation("seconds", f"must be between 1 and {MAX_SECONDS}")])
        self._outage.begin(request.seconds)
        return outage_pb2.BeginOutageResponse(service=_STRUCK, seconds=request.seconds)


class OutageInterceptor(grpc.aio.ServerInterceptor):
    """Fails calls of the user service with UNAVAILABLE during an outage. Reflection and health go on."""

    def __init__(self, outage: Outage) -> None:
        self._outage = outage

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Put another handler in the place of a method's own."""
        handler = await continuation(handler_call_details)
        if handler is None or not self._outage.is_on or not _is_struck(handler_call_details.method):
            return handler
        make = (
            grpc.unary_stream_rpc_method_handler if handler.response_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make(_fail, handler.request_deserializer, handler.response_serializer)


def _is_struck(method: str) -> bool:
    return method.startswith(f"/{_STRUCK}/")


async def _fail(_: object, context: Context) -> NoReturn:
    # grpcio takes a coroutine for a stream, too: it would write its messages to the context.
    await refuse_because(context, grpc.StatusCode.UNAVAILABLE, "out of order, as you asked", "OUTAGE")
