"""THE REQUEST: match, admit, bind, call, encode, settle; from top to bottom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from .model.deadline import parse_grpc_timeout, parse_seconds
from .model.errors import GatewayError, Source, bad_request
from .model.exchange import Exchange
from .model.message import Request, Response
from .model.policy import Policy
from .model.status import Code
from .model.upstream import Answers
from .model.websocket import Handshake
from .policy.chain import Permit
from .policy.client_address import ClientAddress
from .routing.path import normalise_path
from .routing.route import Route
from .routing.table import RouteTable
from .streams.conversation import SocketConversation, match_socket, refuse_socket, upgrade_headers
from .streams.duplex import Duplex, only_message
from .streams.requests import messages_of_body
from .telemetry.log import get_logger
from .telemetry.trace_context import request_id
from .telemetry.tracing import Tracing, note
from .transcoding.content_type import refuse_encoded
from .transcoding.headers import ForwardedHeaders, request_metadata, response_headers, success_status
from .transcoding.request_stream import TextMessages, read_messages
from .transcoding.streaming import RAW, StreamedAnswer, choose_framing

_log = get_logger("api_gateway.proxy")

_NO_BODY_TYPE: Final = b""


class Endpoint(Protocol):
    """Something the gateway answers itself, such as `/health`."""

    template: str
    policies: Sequence[Policy]

    async def answer(self, request: Request) -> Response:
        """Answer one request that its policies admitted. May raise GatewayError."""


class ErrorResponder(Protocol):
    """Turns an error into an answer; `edge.respond.ErrorAnswers` is the one there is."""

    def __call__(self, error: GatewayError, *, registry: Any, headers: Sequence[tuple[bytes, bytes]]) -> Response:
        """Return the answer."""

    def in_stream(self, error: GatewayError, *, registry: Any) -> bytes:
        """Return the JSON that tells of an error inside an answer that has begun."""


class CrossOrigin(Protocol):
    """What pages of other origins may do; `edge.cors.Cors` is the one there is."""

    def preflight(self, request: Request) -> Response | None:
        """Return the answer to a preflight, None for any other request."""

    def admits(self, request: Request) -> bool:
        """Whether a page may open a WebSocket."""

    def headers(self, request: Request) -> Sequence[tuple[bytes, bytes]]:
        """Return the headers of any other answer."""


class ExchangeListener(Protocol):
    """Hears of every finished exchange, once."""

    def started(self) -> None:
        """A request has begun."""

    def finished(self, exchange: Exchange) -> None:
        """A request has ended."""


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
        self._unmatched_policies = unmatched_policies
        self._respond = respond
        self._forwarded = forwarded
        self._listener = listener
        self._cross_origin = cross_origin
        self._max_timeout_s = max_timeout_s
        self._tracing = tracing
        self.routes: RouteTable[Route] = RouteTable.build(())
        """The table in force. Replaced whole, never changed."""

    async def handle(self, request: Request) -> Response:
        """Answer one request. Raises nothing but CancelledError, when the client has gone away."""
        exchange = Exchange(request)
        self._listener.started()
        route: Route | None = None
        permit: Permit | None = None
        try:
            self._identify(exchange)
            try:
                request.path = path = normalise_path(request.path)
                found = None
                if path not in self._endpoint_paths:
                    matched = match_socket(self.routes, request, path) if request.handshake is not None else None
                    found = matched or self.routes.match(request.method, path)
            except GatewayError as error:
                options = self._answer_options(exchange, error)
                if options is not None:
                    return self._finished(exchange, options)
                await self._admit_unmatched(exchange)
                raise
            if found is None:
                return self._finished(exchange, await self._operate(exchange))
            route, variables = found
            exchange.route, exchange.service = route.template, route.service
            exchange.deadline_s = request.started_s + self._timeout_s(request, route)

            permit = Permit(route.policies)
            waiting = permit.obtain(exchange, self._clock())
            if waiting is not None:
                await waiting

            if request.handshake is not None:
                return self._open_socket(exchange, route, permit, variables, request.handshake)
            if route.method.is_client_streaming:
                return await self._stream_requests(exchange, route, permit, variables)
            body = b""
            if request.body is not None:
                refuse_encoded(request.headers)
                received = request.body.read(route.body_limit_bytes, exchange.deadline_s)
                body = received if isinstance(received, bytes) else await received
            message = route.binding.bind(
                variables, request.query, body, request.headers.get(b"content-type", _NO_BODY_TYPE)
            )

            exchange.called_s = self._clock()
            if route.method.is_server_streaming:
                return await self._stream(exchange, route, permit, message)
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
            response = self._success(exchange, content_type, content, reply.headers, reply.trailers)
        except GatewayError as error:
            response = self._failure(exchange, route, error)
        except asyncio.CancelledError:
            exchange.status, exchange.error_reason = 499, "CLIENT_GONE"
            note(exchange, "client gone")
            exchange.grpc_code = None
            self._end(exchange, permit)
            raise
        except Exception as mistake:
            response = self._failure(exchange, route, self._unexpected(exchange, mistake))
        exchange.status = response.status
        self._end(exchange, permit)
        return response

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
        return self._finished(exchange, self._failure(exchange, None, error))

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

    async def _operate(self, exchange: Exchange) -> Response:
        request = exchange.request
        method = "GET" if request.method == "HEAD" else request.method
        endpoint = self._endpoints.get((method, request.path))
        if endpoint is None:
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
        waiting = Permit(endpoint.policies).obtain(exchange, self._clock())
        if waiting is not None:
            await waiting
        response = await endpoint.answer(request)
        response.headers.extend(exchange.response_headers)
        return response

    def _answer_options(self, exchange: Exchange, error: GatewayError) -> Response | None:
        """Answer OPTIONS where no route does: a preflight, or which methods there are (semantics 8)."""
        request = exchange.request
        if request.method != "OPTIONS" or error.http != 405:
            return None
        preflight = self._cross_origin.preflight(request) if self._cross_origin is not None else None
        if preflight is not None:
            preflight.headers.append((b"x-request-id", exchange.request_id.encode()))
            return preflight
        return Response(204, [*error.headers, *exchange.response_headers])

    async def _admit_unmatched(self, exchange: Exchange) -> None:
        """Count what has a broken path or matches no route against the client's limit all the same."""
        waiting = Permit(self._unmatched_policies).obtain(exchange, self._clock())
        if waiting is not None:
            await waiting

    def _timeout_s(self, request: Request, route: Route) -> float:
        """Return the smallest of the route's, the server's and the client's timeouts (semantics 30)."""
        headers = request.headers
        timeout_s = route.timeout_s
        if b"x-request-timeout" in headers:
            timeout_s = min(timeout_s, _parse_timeout(headers, b"x-request-timeout", parse_seconds))
        if b"grpc-timeout" in headers:
            timeout_s = min(timeout_s, _parse_timeout(headers, b"grpc-timeout", parse_grpc_timeout))
        return timeout_s

    async def _stream(self, exchange: Exchange, route: Route, permit: Permit, message: bytes) -> Response:
        """Start a server stream. What fails before its first message is an error like any other (semantics 24)."""
        stream = route.channel.stream(
            route.grpc_path,
            deadline_s=exchange.deadline_s,
            metadata=request_metadata(exchange, self._forwarded),
            is_idempotent=route.is_idempotent,
            trace=exchange.trace,
        )
        try:
            await stream.send(message)
            stream.close_send()
            return await self._answer_in_parts(exchange, route, permit, stream)
        except BaseException:
            stream.cancel()
            raise

    async def _stream_requests(
        self, exchange: Exchange, route: Route, permit: Permit, variables: tuple[str, ...]
    ) -> Response:
        """Call with a stream of requests, each sent on as it arrives (semantics 25)."""
        request = exchange.request
        if request.body is not None:
            refuse_encoded(request.headers)
        messages = read_messages(
            route.binding,
            variables,
            request.query,
            request.headers.get(b"content-type", _NO_BODY_TYPE),
            limit_bytes=route.body_limit_bytes,
        )
        exchange.called_s = self._clock()
        stream = route.channel.stream(
            route.grpc_path,
            deadline_s=exchange.deadline_s,
            metadata=request_metadata(exchange, self._forwarded),
            trace=exchange.trace,
        )
        requests = messages_of_body(request.body, messages)
        duplex = Duplex(stream, requests, idle_s=route.idle_timeout_s, clock=self._clock)
        try:
            duplex.start()
            if route.method.is_server_streaming:
                return await self._answer_in_parts(exchange, route, permit, duplex)
            reply = await only_message(duplex, route.service)
            exchange.attempts = duplex.attempts
            exchange.grpc_code = Code.OK
            content_type, content = route.encoder.encode(reply)
        except BaseException:
            duplex.cancel()
            raise
        response = self._success(exchange, content_type, content, duplex.headers, duplex.trailers)
        exchange.status = response.status
        self._end(exchange, permit)
        return response

    def _open_socket(
        self, exchange: Exchange, route: Route, permit: Permit, variables: tuple[str, ...], handshake: Handshake
    ) -> Response:
        """Accept a WebSocket for a call (semantics 25)."""
        request = exchange.request
        refuse_socket(handshake, is_admitted=self._cross_origin is None or self._cross_origin.admits(request))
        exchange.called_s = self._clock()
        response = Response(101, [*exchange.response_headers, *upgrade_headers(handshake)])
        response.conversation = SocketConversation(
            lambda: route.channel.stream(
                route.grpc_path,
                deadline_s=exchange.deadline_s,
                metadata=request_metadata(exchange, self._forwarded),
                trace=exchange.trace,
            ),
            TextMessages(
                route.frames or route.binding,
                variables,
                request.query,
                takes_one=not route.method.is_client_streaming,
            ),
            max_message_bytes=route.body_limit_bytes,
            idle_s=route.idle_timeout_s,
            clock=self._clock,
            encode=lambda data: route.encoder.encode(data)[1],
            explain=lambda error: self._respond.in_stream(error, registry=route.registry),
            on_end=lambda error, is_complete: self._stream_ended(exchange, permit, error, is_complete),
        )
        exchange.status = response.status
        return response

    def _stream_ended(self, exchange: Exchange, permit: Permit, error: GatewayError | None, is_complete: bool) -> None:
        if error is not None:
            self._note(exchange, error)
        elif is_complete:
            exchange.grpc_code = Code.OK
        else:
            exchange.error_reason = "CLIENT_GONE"
            note(exchange, "client gone")
        self._end(exchange, permit)

    async def _answer_in_parts(self, exchange: Exchange, route: Route, permit: Permit, stream: Answers) -> Response:
        """Wait for the first message, and answer with it and all that follow."""
        first = await stream.receive()
        note(exchange, "first message")
        exchange.attempts = stream.attempts
        framing = choose_framing(exchange.request.headers.get(b"accept", b""))
        content_type = framing.content_type
        if route.encoder.is_raw:
            framing = RAW
            content_type = route.encoder.encode(first)[0] if first is not None else RAW.content_type

        answer = StreamedAnswer(
            stream,
            first,
            framing,
            encode=lambda data: route.encoder.encode(data)[1],
            explain=lambda error: self._respond.in_stream(error, registry=route.registry),
            on_end=lambda error, is_complete: self._stream_ended(exchange, permit, error, is_complete),
        )
        response = self._success(exchange, content_type, b"", stream.headers, [])
        response.stream = answer
        exchange.status = response.status
        return response

    def _success(
        self,
        exchange: Exchange,
        content_type: bytes,
        content: bytes,
        headers: list[tuple[bytes, bytes]],
        trailers: list[tuple[bytes, bytes]],
    ) -> Response:
        answer = [(b"content-type", content_type), *exchange.response_headers]
        status = 200
        if headers or trailers:
            metadata = headers + trailers
            status = success_status(metadata)
            answer.extend(response_headers(metadata))
        return Response(status, answer, content)

    def _failure(self, exchange: Exchange, route: Route | None, error: GatewayError) -> Response:
        self._note(exchange, error)
        return self._respond(
            error, registry=route.registry if route is not None else None, headers=exchange.response_headers
        )

    def _note(self, exchange: Exchange, error: GatewayError) -> None:
        exchange.error_reason = error.reason or ("UPSTREAM_STATUS" if error.source is Source.UPSTREAM else "")
        exchange.error_detail = error.log_reason
        if error.source is Source.UPSTREAM:
            exchange.grpc_code = error.code
            exchange.attempts = error.attempts

    def _unexpected(self, exchange: Exchange, error: Exception) -> GatewayError:
        _log.error("unexpected error", exc_info=error, request_id=exchange.request_id, path=exchange.request.path)
        return GatewayError(Code.INTERNAL, "the gateway failed to handle this request", reason="INTERNAL")

    def _finished(self, exchange: Exchange, response: Response) -> Response:
        exchange.status = response.status
        self._end(exchange, None)
        return response

    def _end(self, exchange: Exchange, permit: Permit | None) -> None:
        now_s = self._clock()
        exchange.duration_s = now_s - exchange.request.started_s
        if permit is not None:
            permit.settle(exchange, now_s)
        self._listener.finished(exchange)


def _parse_timeout(headers: Mapping[bytes, bytes], name: bytes, parse: Callable[[str], float]) -> float:
    try:
        return parse(headers[name].decode("ascii"))
    except ValueError as error:
        shown = name.decode()
        raise bad_request(f"the header {shown} is malformed: {error}", "INVALID_TIMEOUT") from None
