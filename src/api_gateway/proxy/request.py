"""THE REQUEST: match, admit, bind, call, encode, settle; from top to bottom."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from ..model.deadline import parse_grpc_timeout, parse_seconds
from ..model.errors import GatewayError, Source, bad_request
from ..model.exchange import Exchange
from ..model.message import Request, Response
from ..model.policy import Policy
from ..model.status import Code
from ..policy.chain import Permit, Refusing, abide_by
from ..policy.client_address import ClientAddress
from ..routing.path import normalise_path
from ..routing.route import Route
from ..routing.table import RouteTable
from ..streams.conversation import match_socket
from ..telemetry.log import get_logger
from ..telemetry.trace_context import request_id
from ..telemetry.tracing import Tracing
from ..transcoding.content_type import refuse_encoded
from ..transcoding.headers import ForwardedHeaders, request_metadata
from .ending import Ending, note_error, success
from .parts import CrossOrigin, Endpoint, ErrorResponder, ExchangeListener
from .streamed import NO_BODY_TYPE, StreamedCalls

_log = get_logger("api_gateway.proxy")


class Proxy:
    """Answers every request of a worker. Implements `edge.application.Application`."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        client_address: ClientAddress,
        endpoints: Mapping[tuple[str, str], Endpoint],
        unmatched_policies: Sequence[Policy],
        respond: ErrorResponder,
        forwarded: ForwardedHeaders,
        listener: ExchangeListener,
        cross_origin: CrossOrigin | None,
        max_timeout_s: float,
        tracing: Tracing,
    ) -> None:
        self._clock = clock
        self._client_address = client_address
        self._endpoints = endpoints
        self._endpoint_paths = frozenset(path for _, path in endpoints)
        # Of paths that nobody is kept from, nobody is kept from by the wrong method either (semantics 38).
        self._exempt_paths = frozenset(path for (_, path), endpoint in endpoints.items() if not endpoint.policies)
        self._unmatched_policies = unmatched_policies
        self._respond = respond
        self._forwarded = forwarded
        self._listener = listener
        self._ending = ending = Ending(clock, listener)
        self._streams = StreamedCalls(
            clock=clock, respond=respond, forwarded=forwarded, cross_origin=cross_origin, ending=ending
        )
        self._cross_origin = cross_origin
        self._max_timeout_s = max_timeout_s
        self._tracing = tracing
        self.routes: RouteTable[Route] = RouteTable.build(())
        """The table in force. Replaced whole, never changed."""
        self.wait_for_routes: Callable[[], Awaitable[object]] | None = None
        """Waits, for a bounded time, until every service was heard; None once that is so."""

    def handle(self, request: Request) -> Response | Coroutine[Any, None, Response]:
        """Answer one request: at once if it is refused without a wait, else by the coroutine returned.

        Neither raises anything but CancelledError, when the client has gone away. Like errors that are values, the
        answer at once is there because a refusal must be cheap: together they save 1.5 of its 10 us.
        """
        exchange = Exchange(request)
        self._listener.started()
        return self._serve(exchange, is_first=True)

    def _serve(self, exchange: Exchange, *, is_first: bool) -> Response | Coroutine[Any, None, Response]:
        """Answer an exchange; not for the first time when it has waited for routes."""
        request = exchange.request
        route: Route | None = None
        permit: Permit | None = None
        try:
            if is_first:
                self._identify(exchange)
            found = self._find(request)
            if found is None:
                return self._conclude(exchange, self._operate(exchange))
            route, variables = found
            exchange.route, exchange.service = route.template, route.service
            permit = self._permit(exchange, route)
            decision = permit.obtain(exchange, self._clock())
            if not isinstance(decision, GatewayError):
                return self._forward(exchange, route, permit, variables, decision)
            response = self._failure(exchange, route, decision)
        # What was raised is kept in no variable: its traceback holds this frame, and cycles are work for the collector.
        except GatewayError as error:
            if route is None:
                wait = self.wait_for_routes
                if wait is not None and is_first and _may_match_later(request, error):
                    return self._serve_later(exchange, wait())
                return self._conclude(exchange, self._answer_unmatched(exchange, error))
            response = self._failure(exchange, route, error)
        except Exception as mistake:
            response = self._failure(exchange, route, self._unexpected(exchange, mistake))
        return self._ending.finished(exchange, permit, response)

    async def _forward(
        self,
        exchange: Exchange,
        route: Route,
        permit: Permit,
        variables: tuple[str, ...],
        waiting: Awaitable[None] | None,
    ) -> Response:
        """Call the backend once no policy has to be waited for any more."""
        request = exchange.request
        try:
            if waiting is not None:
                await waiting
            if request.handshake is not None:
                return self._streams.open_socket(exchange, route, permit, variables, request.handshake)
            if route.method.is_client_streaming:
                return await self._streams.send_stream(exchange, route, permit, variables)
            body = b""
            if request.body is not None:
                refuse_encoded(request.headers)
                received = request.body.read(route.body_limit_bytes, exchange.deadline_s)
                body = received if isinstance(received, bytes) else await received
            message = route.binding.bind(
                variables, request.query, body, request.headers.get(b"content-type", NO_BODY_TYPE)
            )

            exchange.called_s = self._clock()
            if route.method.is_server_streaming:
                return await self._streams.answer_stream(exchange, route, permit, message)
            reply = await route.channel.unary(
                route.grpc_path,
                message,
                deadline_s=exchange.deadline_s,
                metadata=request_metadata(exchange, self._forwarded),
                is_idempotent=route.is_idempotent,
                trace=exchange.trace,
            )
            exchange.grpc_code = Code.OK
            exchange.attempts = reply.attempts

            content_type, content = route.encoder.encode(reply.message)
            response = success(exchange, content_type, content, reply.headers, reply.trailers)
        except GatewayError as error:
            response = self._failure(exchange, route, error)
        except asyncio.CancelledError:
            self._ending.abandoned(exchange, permit)
            raise
        except Exception as mistake:
            response = self._failure(exchange, route, self._unexpected(exchange, mistake))
        return self._ending.finished(exchange, permit, response)

    async def _serve_later(self, exchange: Exchange, routes: Awaitable[object]) -> Response:
        """Answer what no route is known for yet, once every service was heard: other workers may have known it."""
        try:
            await routes
        except asyncio.CancelledError:
            self._ending.abandoned(exchange, None)
            raise
        answer = self._serve(exchange, is_first=False)
        return answer if isinstance(answer, Response) else await answer

    async def _conclude(self, exchange: Exchange, work: Awaitable[Response]) -> Response:
        """End an exchange that no route is for with the answer that somebody works on."""
        try:
            response = await work
        except GatewayError as error:
            response = self._failure(exchange, None, error)
        except asyncio.CancelledError:
            self._ending.abandoned(exchange, None)
            raise
        except Exception as mistake:
            response = self._failure(exchange, None, self._unexpected(exchange, mistake))
        return self._ending.finished(exchange, None, response)

    def refuse(self, error: GatewayError, *, peer: str) -> Response:
        """Answer what could not be read as a request."""
        request = Request(
            method="",
            path="",
            query="",
            headers={},
            repeated=frozenset(),
            body=None,
            peer=peer,
            started_s=self._clock(),
        )
        exchange = Exchange(request)
        self._listener.started()
        self._identify(exchange)
        return self._ending.finished(exchange, None, self._failure(exchange, None, error))

    # The steps

    def _identify(self, exchange: Exchange) -> None:
        """Give the exchange its ids and the client's address."""
        headers = exchange.request.headers
        self._client_address.admit(exchange, 0.0)
        self._tracing.begin(exchange)
        incoming = headers.get(b"x-request-id")
        # Without an id from the caller, the trace's serves as well: unique, and one less to look up.
        exchange.request_id = exchange.trace_id if incoming is None else request_id(incoming)
        identifier = (b"x-request-id", exchange.request_id.encode())
        exchange.metadata.append(identifier)
        exchange.response_headers.append(identifier)
        if self._cross_origin is not None:
            exchange.response_headers += self._cross_origin.headers(exchange.request)

    def _find(self, request: Request) -> tuple[Route, tuple[str, ...]] | None:
        """Return the route and the values of its variables, None for a path the gateway answers itself."""
        request.path = path = normalise_path(request.path)
        if path in self._endpoint_paths:
            return None
        matched = match_socket(self.routes, request, path) if request.handshake is not None else None
        return matched or self.routes.match(request.method, path)

    async def _operate(self, exchange: Exchange) -> Response:
        request = exchange.request
        method = "GET" if request.method == "HEAD" else request.method
        endpoint = self._endpoints.get((method, request.path))
        if endpoint is None:
            if request.path not in self._exempt_paths:
                await abide_by(Permit(self._unmatched_policies).obtain(exchange, self._clock()))
            allowed = ", ".join(sorted(method for method, path in self._endpoints if path == request.path))
            raise GatewayError(
                Code.UNIMPLEMENTED,
                "this path does not answer to this method",
                reason="METHOD_NOT_ALLOWED",
                source=Source.CLIENT,
                http=405,
                headers=((b"allow", allowed.encode()),),
            )
        exchange.route = endpoint.template
        if method == "GET":
            # Probes and scrapes come all the time, and nobody asks what became of one.
            exchange.trace = None
        exchange.deadline_s = request.started_s + self._max_timeout_s
        await abide_by(Permit(endpoint.policies).obtain(exchange, self._clock()))
        response = await endpoint.answer(request)
        response.headers.extend(exchange.response_headers)
        return response

    async def _answer_unmatched(self, exchange: Exchange, error: GatewayError) -> Response:
        """Answer what has a broken path or matches no route; it counts against the client's limit all the same.

        OPTIONS on a known path is told which methods there are (semantics 8), and a preflight what pages may do.
        Preflights alone never count: browsers send them unasked, a page could not read a 429 to one, and answers cost
        no more than refusals.
        """
        is_options = exchange.request.method == "OPTIONS" and error.http == 405
        if is_options:
            preflight = self._answer_preflight(exchange)
            if preflight is not None:
                return preflight
        decision = Permit(self._unmatched_policies).obtain(exchange, self._clock())
        if isinstance(decision, GatewayError):
            return self._failure(exchange, None, decision)
        if decision is not None:
            await decision
        if is_options:
            return Response(204, [*error.headers, *exchange.response_headers])
        return self._failure(exchange, None, error)

    def _answer_preflight(self, exchange: Exchange) -> Response | None:
        preflight = self._cross_origin.preflight(exchange.request) if self._cross_origin is not None else None
        if preflight is not None:
            preflight.headers.append((b"x-request-id", exchange.request_id.encode()))
        return preflight

    def _permit(self, exchange: Exchange, route: Route) -> Permit:
        """Set the deadline, by the smallest of the route's, the server's and the client's timeouts (semantics 30).

        Returns the permit to obtain. A malformed timeout is refused by its last policy: the request counts against the
        limit like any other (semantics 32).
        """
        headers = exchange.request.headers
        timeout_s = route.timeout_s
        policies = route.policies
        if b"x-request-timeout" in headers or b"grpc-timeout" in headers:
            try:
                timeout_s = min(timeout_s, _client_timeout_s(headers))
            except GatewayError as malformed:
                policies = (*policies, Refusing(malformed.with_traceback(None)))
        exchange.deadline_s = exchange.request.started_s + timeout_s
        return Permit(policies)

    def _failure(self, exchange: Exchange, route: Route | None, error: GatewayError) -> Response:
        note_error(exchange, error)
        return self._respond(
            error, registry=route.registry if route is not None else None, headers=exchange.response_headers
        )

    def _unexpected(self, exchange: Exchange, error: Exception) -> GatewayError:
        _log.error("unexpected error", exc_info=error, request_id=exchange.request_id, path=exchange.request.path)
        return GatewayError(Code.INTERNAL, "the gateway failed to handle this request", reason="INTERNAL")


def _client_timeout_s(headers: Mapping[bytes, bytes]) -> float:
    timeout_s = math.inf
    if b"x-request-timeout" in headers:
        timeout_s = _parse_timeout(headers, b"x-request-timeout", parse_seconds)
    if b"grpc-timeout" in headers:
        timeout_s = min(timeout_s, _parse_timeout(headers, b"grpc-timeout", parse_grpc_timeout))
    return timeout_s


def _may_match_later(request: Request, error: GatewayError) -> bool:
    """Whether no route was found, and not because the path is broken."""
    return error.code == Code.NOT_FOUND or (error.http == 405 and request.method != "OPTIONS")


def _parse_timeout(headers: Mapping[bytes, bytes], name: bytes, parse: Callable[[str], float]) -> float:
    try:
        return parse(headers[name].decode("ascii"))
    except ValueError as error:
        shown = name.decode()
        raise bad_request(f"the header {shown} is malformed: {error}", "INVALID_TIMEOUT") from None
