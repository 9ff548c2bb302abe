"""A proxy with the routes of the echo service: real parts below it, a fake service, a clock that is told."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path

from api_gateway.config.settings import CorsSettings
from api_gateway.edge.cors import Cors
from api_gateway.edge.respond import error_response
from api_gateway.model.errors import GatewayError
from api_gateway.model.exchange import Exchange
from api_gateway.model.message import Request, Response
from api_gateway.model.policy import Policy
from api_gateway.policy.client_address import ClientAddress
from api_gateway.proxy import Endpoint, Proxy
from api_gateway.telemetry.sampling import Sampling
from api_gateway.telemetry.tracing import Tracing
from api_gateway.transcoding.headers import ForwardedHeaders
from tests.support.fake_service import FakeService, Reply
from tests.support.gen.echo_pb2 import EchoReply
from tests.unit.discovery.scenes import Compiling

STARTED_S = 100.0
SERVICE_TIMEOUT_S = 5.0
Headers = dict[bytes, bytes]


class Gate:
    """A policy: admits, refuses or waits, and keeps what it hears."""

    def __init__(self) -> None:
        self.error: GatewayError | Exception | None = None
        self.later: Callable[[], Awaitable[None]] | None = None
        self.admitted = 0
        self.settled: list[tuple[int, int | None]] = []
        """HTTP status and gRPC code of each exchange, as they were told."""

    def admit(self, exchange: Exchange, now_s: float) -> Awaitable[None] | None:
        if self.error is not None:
            raise self.error
        self.admitted += 1
        return self.later() if self.later is not None else None

    def settle(self, exchange: Exchange, now_s: float) -> None:
        self.settled.append((exchange.status, exchange.grpc_code))


class Listener:
    """Implements `ExchangeListener`."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended: list[Exchange] = []

    def started(self) -> None:
        self.begun += 1

    def finished(self, exchange: Exchange) -> None:
        self.ended.append(exchange)


class Status:
    """An endpoint of the gateway itself. Implements `Endpoint`."""

    template = "/status"

    def __init__(self, policies: Sequence[Policy]) -> None:
        self.policies = policies

    async def answer(self, request: Request) -> Response:
        return Response(200, [(b"content-type", b"text/plain")], b"fine")


class Whole:
    """A body that is there. Implements `model.message.Body`."""

    def __init__(self, data: bytes, deadlines: list[float], *, later: bool = False) -> None:
        """`deadlines` takes those of its readers."""
        self._data = data
        self._deadlines = deadlines
        self._later = later

    def read(self, limit_bytes: int, deadline_s: float = math.inf) -> bytes | Awaitable[bytes]:
        self._deadlines.append(deadline_s)
        return self._arrive() if self._later else self._data

    async def _arrive(self) -> bytes:
        await asyncio.sleep(0)
        return self._data

    async def chunks(self, limit_bytes: int | None) -> AsyncGenerator[bytes, None]:
        yield self._data


class Scene:
    """A proxy with the routes of the echo service."""

    def __init__(
        self, directory: Path, *, cors: CorsSettings | None = None, operator_policies: Sequence[Policy] | None = None
    ) -> None:
        self.gate, self.operator_gate, self.unmatched_gate = Gate(), Gate(), Gate()
        compiling = Compiling(directory, policies=(self.gate,), service={"timeout_ms": int(SERVICE_TIMEOUT_S * 1000)})
        self.service: FakeService = compiling.service
        self.service.reply = Reply(message=EchoReply(id="i-1").SerializeToString())
        self.listener = Listener()
        self.body_deadlines: list[float] = []
        self.now_s = STARTED_S
        endpoint: Endpoint = Status((self.operator_gate,) if operator_policies is None else operator_policies)
        self.proxy = Proxy(
            clock=lambda: self.now_s,
            client_address=ClientAddress(()),
            endpoints={("GET", "/status"): endpoint},
            unmatched_policies=(self.unmatched_gate,),
            respond=error_response,
            forwarded=ForwardedHeaders(),
            listener=self.listener,
            cross_origin=Cors(cors) if cors is not None else None,
            max_timeout_s=30.0,
            tracing=Tracing(Sampling(0.0)),
        )
        self.proxy.routes = compiling.compile().table

    async def ask(
        self, method: str, path: str, query: str = "", *, headers: Headers | None = None, body: bytes | None = None
    ) -> Response:
        """Send one request that started at STARTED_S."""
        answer = self.proxy.handle(
            Request(
                method=method,
                path=path,
                query=query,
                headers=headers or {},
                repeated=frozenset(),
                body=Whole(body, self.body_deadlines, later=True) if body is not None else None,
                peer="192.0.2.7",
                started_s=STARTED_S,
            )
        )
        return answer if isinstance(answer, Response) else await answer

    @property
    def exchange(self) -> Exchange:
        """The one exchange that was told of, begun and ended once."""
        (exchange,) = self.listener.ended
        assert self.listener.begun == 1
        return exchange
