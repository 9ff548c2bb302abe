"""Calls with a stream of answers, of requests, of both over a WebSocket: begun where a unary call would be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..model.errors import GatewayError
from ..model.exchange import Exchange
from ..model.message import Response
from ..model.status import Code
from ..model.upstream import Answers
from ..model.websocket import Handshake
from ..policy.chain import Permit
from ..routing.route import Route
from ..streams.conversation import SocketConversation, refuse_socket, upgrade_headers
from ..streams.duplex import Duplex, only_message
from ..streams.requests import messages_of_body
from ..telemetry.tracing import note
from ..transcoding.content_type import refuse_encoded
from ..transcoding.headers import ForwardedHeaders, request_metadata
from ..transcoding.request_stream import TextMessages, read_messages
from ..transcoding.streaming import RAW, StreamedAnswer, choose_framing
from .ending import Ending, note_error, success
from .parts import CrossOrigin, ErrorResponder

NO_BODY_TYPE: Final = b""
"""The content type of a request that has none."""


class StreamedCalls:
    """Makes calls that outlive their first message. An exchange ends when its stream does, not when it is answered.

    Whatever is raised, or cancelled, before an answer is returned cancels the call.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        respond: ErrorResponder,
        forwarded: ForwardedHeaders,
        cross_origin: CrossOrigin | None,
        ending: Ending,
    ) -> None:
        self._clock = clock
        self._respond = respond
        self._forwarded = forwarded
        self._cross_origin = cross_origin
        self._ending = ending

    async def answer_stream(self, exchange: Exchange, route: Route, permit: Permit, message: bytes) -> Response:
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

    async def send_stream(
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
            request.headers.get(b"content-type", NO_BODY_TYPE),
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
        response = success(exchange, content_type, content, duplex.headers, duplex.trailers)
        exchange.status = response.status
        self._ending.end(exchange, permit)
        return response

    def open_socket(
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
            on_end=lambda error, is_complete: self._ended(exchange, permit, error, is_complete),
        )
        exchange.status = response.status
        return response

    def _ended(self, exchange: Exchange, permit: Permit, error: GatewayError | None, is_complete: bool) -> None:
        if error is not None:
            note_error(exchange, error)
        elif is_complete:
            exchange.grpc_code = Code.OK
        else:
            exchange.error_reason = "CLIENT_GONE"
            note(exchange, "client gone")
        self._ending.end(exchange, permit)

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
            on_end=lambda error, is_complete: self._ended(exchange, permit, error, is_complete),
        )
        response = success(exchange, content_type, b"", stream.headers, [])
        response.stream = answer
        exchange.status = response.status
        return response
