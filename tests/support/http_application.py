"""A small real application for the edge: it answers by path, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from api_gateway.deadlines import DeadlineWheel
from api_gateway.edge.address_share import AddressShare
from api_gateway.edge.application import EdgeLimits
from api_gateway.edge.respond import error_response
from api_gateway.edge.server import Server, listen
from api_gateway.model.errors import GatewayError
from api_gateway.model.message import Request, Response
from api_gateway.model.status import Code
from api_gateway.waiting import Pending

Handler = Callable[[Request], Awaitable[Response]]

BODY_LIMIT_BYTES = 1024 * 1024


class SmallApplication:
    """Implements `edge.application.Application`.

    `/echo` tells what it was asked, `/hold` waits until `release`, `/ignore` does not read the body, `/sized?n` answers
    with n bytes, `/close` asks for the connection to be closed; `handlers` adds paths.
    """

    def __init__(self, handlers: Mapping[str, Handler] | None = None) -> None:
        self.targets: list[str] = []
        """Paths of the requests that were executed, in order."""
        self.refused: list[GatewayError] = []
        self.cancelled: list[str] = []
        """Paths of the requests that were cancelled."""
        self.peers: set[str] = set()
        self._holding: list[Pending[None]] = []
        self._handlers: dict[str, Handler] = {
            "/echo": echo,
            "/hold": self._hold,
            "/ignore": _ignore,
            "/sized": _sized,
            "/close": _close,
            **(handlers or {}),
        }

    @property
    def held(self) -> int:
        """Requests that wait for `release`."""
        return sum(not pending.done() for pending in self._holding)

    def release(self) -> None:
        """Let `/hold` answer."""
        holding, self._holding = self._holding, []
        for pending in holding:
            pending.resolve(None)

    async def handle(self, request: Request) -> Response:
        """Answer by path."""
        self.targets.append(request.path)
        self.peers.add(request.peer)
        try:
            return await self._handlers.get(request.path, _not_found)(request)
        except GatewayError as error:
            return error_response(error)
        except asyncio.CancelledError:
            self.cancelled.append(request.path)
            raise

    def refuse(self, error: GatewayError, *, peer: str) -> Response:
        """Answer as the gateway does."""
        self.refused.append(error)
        self.peers.add(peer)
        return error_response(error)

    async def _hold(self, request: Request) -> Response:
        pending: Pending[None] = Pending()
        self._holding.append(pending)
        await pending
        return Response(200, [], b"released")


async def read_body(request: Request, limit_bytes: int = BODY_LIMIT_BYTES) -> bytes:
    """Read the whole body, as the proxy does."""
    if request.body is None:
        return b""
    body = request.body.read(limit_bytes)
    return body if isinstance(body, bytes) else await body


async def echo(request: Request) -> Response:
    """Tell what was asked."""
    body = await read_body(request)
    seen = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "version": request.http_version,
        "headers": {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.items()},
        "repeated": sorted(name.decode("latin-1") for name in request.repeated),
        "body": None if request.body is None else body.decode("latin-1"),
    }
    return Response(200, [(b"content-type", b"application/json")], json.dumps(seen).encode())


async def _ignore(request: Request) -> Response:
    return Response(200, [], b"not read")


async def _sized(request: Request) -> Response:
    return Response(200, [], b"x" * (int(request.query[:7]) if request.query.isdecimal() else 0))


async def _close(request: Request) -> Response:
    return Response(200, [], b"last", close=True)


async def _not_found(request: Request) -> Response:
    raise GatewayError(Code.NOT_FOUND, "there is nothing here", reason="ROUTE_NOT_FOUND")


@dataclass(frozen=True, slots=True)
class Served:
    """A server that listens."""

    application: SmallApplication
    server: Server
    address: tuple[str, int]


@asynccontextmanager
async def serving(
    application: SmallApplication, limits: EdgeLimits | None = None, share: AddressShare | None = None
) -> AsyncIterator[Served]:
    """Serve on a loopback port until the block ends; then nothing of it is left."""
    loop = asyncio.get_running_loop()
    wheel = DeadlineWheel(loop)
    server = Server(application, limits or EdgeLimits(), loop=loop, wheel=wheel, share=share)
    listener = listen("127.0.0.1", 0)
    host, port = listener.getsockname()
    await server.start([listener])
    try:
        yield Served(application, server, (host, port))
    finally:
        await server.drain(0)
        # The transports close in the loop's next turns.
        for _ in range(3):
            await asyncio.sleep(0)
        wheel.close()


async def until(condition: Callable[[], object], *, timeout_s: float = 30.0) -> None:
    """Wait until something is so. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - most conditions have no event, the state of a transport for one
            await asyncio.sleep(0.001)
