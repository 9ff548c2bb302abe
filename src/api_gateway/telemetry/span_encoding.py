"""The gateway's records as spans: names, attributes and status by OpenTelemetry's conventions for HTTP and RPC.

Those for RPC are the ones that took the place of `rpc.system`, `rpc.service` and `rpc.grpc.status_code`.

Never part of a span: the query string, headers other than Host and User-Agent, bodies, users, messages of backends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from api_gateway.model.exchange import Exchange
from api_gateway.model.status import code_name
from api_gateway.model.trace import CallSpan, Trace, WorkSpan

from . import otlp
from .redaction import redact_text

MAX_PATH_CHARACTERS: Final = 1_024
MAX_HEADER_BYTES: Final = 256
MAX_KEPT_HEADS: Final = 20_000
"""Parts that are the same for all requests of a route, or all calls of a method, are made once for so many of them."""

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"))
_METHOD: Final = otlp.key("http.request.method")
_METHOD_ORIGINAL: Final = otlp.key("http.request.method_original")
_STATUS: Final = otlp.key("http.response.status_code")
_PATH: Final = otlp.key("url.path")
_SCHEME: Final = otlp.key("url.scheme")
_ROUTE: Final = otlp.key("http.route")
_ERROR_TYPE: Final = otlp.key("error.type")
_CLIENT_ADDRESS: Final = otlp.key("client.address")
_PEER_ADDRESS: Final = otlp.key("network.peer.address")
_PROTOCOL_VERSION: Final = otlp.key("network.protocol.version")
_SERVER_ADDRESS: Final = otlp.key("server.address")
_SERVER_PORT: Final = otlp.key("server.port")
_USER_AGENT: Final = otlp.key("user_agent.original")
_SERVICE: Final = otlp.key("api_gateway.service")
_REASON: Final = otlp.key("api_gateway.reason")
_REQUEST_ID: Final = otlp.key("api_gateway.request_id")
_ATTEMPT: Final = otlp.key("api_gateway.attempt")
_SENT: Final = otlp.key("api_gateway.messages.sent")
_RECEIVED: Final = otlp.key("api_gateway.messages.received")
_RPC_SYSTEM: Final = otlp.text_attribute(otlp.key("rpc.system.name"), b"grpc")
_RPC_METHOD: Final = otlp.key("rpc.method")
_RPC_STATUS: Final = otlp.key("rpc.response.status_code")

_HTTP: Final = otlp.text_attribute(_SCHEME, b"http")
_HTTPS: Final = otlp.text_attribute(_SCHEME, b"https")
_STATUSES: Final = [otlp.int_attribute(_STATUS, status) for status in range(600)]
_CODES: Final = [otlp.text_attribute(_RPC_STATUS, code_name(code).encode()) for code in range(17)]
_VERSIONS: Final = {text: otlp.text_attribute(_PROTOCOL_VERSION, text.encode()) for text in ("1.0", "1.1", "2")}


class SpanEncoder:
    """Makes spans of records. One for each worker; not thread-safe."""

    __slots__ = ("_call_heads", "_hosts", "_max_attributes", "_max_events", "_offset_ns", "_request_heads", "_wall_ns")

    def __init__(self, *, max_attributes: int, max_events: int, wall_clock_offset_ns: Callable[[], int]) -> None:
        """Prepare; `wall_clock_offset_ns` tells what to add to the monotonic clock to get the time since 1970."""
        self._max_attributes = max_attributes
        self._max_events = max_events
        self._wall_ns = wall_clock_offset_ns
        self._offset_ns = 0
        self._request_heads: dict[tuple[str, str], tuple[bytes, list[bytes]]] = {}
        self._call_heads: dict[tuple[bytes, str, int, str], tuple[bytes, list[bytes]]] = {}
        self._hosts: dict[bytes, list[bytes]] = {}

    def look_at_clock(self) -> None:
        """Follow changes of the wall clock; to be called before some spans are encoded."""
        self._offset_ns = self._wall_ns()

    def request(self, exchange: Exchange, trace: Trace) -> bytes:
        """Return the server span of a finished request."""
        request = exchange.request
        head, always = self._request_head(request.method, exchange.route)
        status = exchange.status
        attributes = [
            *always,
            _STATUSES[status] if 0 <= status < 600 else otlp.int_attribute(_STATUS, status),
            otlp.text_attribute(_PATH, _path(request.path)),
            _HTTPS if request.is_tls else _HTTP,
        ]
        failure = _failure(exchange)
        if failure:
            attributes.append(otlp.text_attribute(_ERROR_TYPE, failure.encode()))
        attributes.append(otlp.text_attribute(_CLIENT_ADDRESS, exchange.client_address.encode()))
        host = request.headers.get(b"host")
        if host is not None:
            attributes += self._host(host)
        agent = request.headers.get(b"user-agent")
        if agent is not None:
            attributes.append(otlp.text_attribute(_USER_AGENT, otlp.utf8(agent[:MAX_HEADER_BYTES])))
        version = _VERSIONS.get(request.http_version)
        if version is not None:
            attributes.append(version)
        if request.peer != exchange.client_address:
            attributes.append(otlp.text_attribute(_PEER_ADDRESS, request.peer.encode()))
        if exchange.service:
            attributes.append(otlp.text_attribute(_SERVICE, exchange.service.encode()))
        if exchange.error_reason:
            attributes.append(otlp.text_attribute(_REASON, exchange.error_reason.encode()))
        if exchange.request_id != trace.trace_id:
            attributes.append(otlp.text_attribute(_REQUEST_ID, exchange.request_id.encode()))
        parts = self._limited(attributes)
        if trace.events is not None:
            parts += self._events(trace.events)
        if failure:
            parts.append(otlp.STATUS_ERROR)
        started_s = request.started_s
        return otlp.span(
            trace.trace_id,
            trace.span_id,
            trace.parent_span_id,
            trace.tracestate,
            head,
            self._ns(started_s),
            self._ns(started_s + exchange.duration_s),
            parts,
            trace.flags | otlp.HAS_IS_REMOTE | (otlp.IS_REMOTE if trace.parent_span_id else 0),
        )

    def call(self, span: CallSpan) -> bytes:
        """Return the client span of an attempt."""
        head, always = self._call_head(span)
        code = span.grpc_code
        attributes = [*always, _CODES[code] if 0 <= code < 17 else otlp.text_attribute(_RPC_STATUS, b"%d" % code)]
        if code != 0:
            attributes.append(otlp.text_attribute(_ERROR_TYPE, (span.error_type or code_name(code)).encode()))
        if span.attempt > 1:
            attributes.append(otlp.int_attribute(_ATTEMPT, span.attempt))
        if span.sent >= 0:
            attributes.append(otlp.int_attribute(_SENT, span.sent))
            attributes.append(otlp.int_attribute(_RECEIVED, span.received))
        parts = self._limited(attributes)
        if span.first_received_s:
            parts += self._events([("first message received", span.first_received_s)])
        if code != 0:
            parts.append(otlp.STATUS_ERROR)
        trace = span.trace
        return otlp.span(
            trace.trace_id,
            span.span_id,
            trace.span_id,
            trace.tracestate,
            head,
            self._ns(span.started_s),
            self._ns(span.ended_s),
            parts,
            trace.flags | otlp.HAS_IS_REMOTE,
        )

    def work(self, span: WorkSpan) -> bytes:
        """Return the client span of other work."""
        attributes: list[bytes] = []
        for name, value in span.attributes:
            if isinstance(value, int):
                attributes.append(otlp.int_attribute(otlp.key(name), value))
            else:
                attributes.append(otlp.text_attribute(otlp.key(name), value.encode("utf-8", "replace")))
        if span.error_type:
            attributes.append(otlp.text_attribute(_ERROR_TYPE, span.error_type.encode("utf-8", "replace")))
        parts = self._limited(attributes)
        if span.error_type:
            parts.append(otlp.STATUS_ERROR)
        return otlp.span(
            span.trace_id,
            span.span_id,
            span.parent_span_id,
            "",
            otlp.name_field(span.name) + otlp.KIND_CLIENT,
            self._ns(span.started_s),
            self._ns(span.ended_s),
            parts,
            otlp.SAMPLED | otlp.HAS_IS_REMOTE,
        )

    # Parts

    def _ns(self, time_s: float) -> int:
        return int(time_s * 1e9) + self._offset_ns

    def _limited(self, attributes: list[bytes]) -> list[bytes]:
        excess = len(attributes) - self._max_attributes
        if excess <= 0:
            return attributes
        return [*attributes[: self._max_attributes], otlp.dropped_attributes(excess)]

    def _events(self, events: list[tuple[str, float]]) -> list[bytes]:
        kept = [otlp.event(name, self._ns(at_s)) for name, at_s in events[: self._max_events]]
        if len(events) > len(kept):
            kept.append(otlp.dropped_events(len(events) - len(kept)))
        return kept

    def _request_head(self, method: str, route: str) -> tuple[bytes, list[bytes]]:
        found = self._request_heads.get((method, route))
        if found is not None:
            return found
        shown = method if method in _METHODS else "_OTHER"
        # The name of an unknown method is "HTTP": names must be few.
        name = shown if shown != "_OTHER" else "HTTP"
        attributes = [otlp.text_attribute(_METHOD, shown.encode())]
        if route:
            name = f"{name} {route}"
            attributes.append(otlp.text_attribute(_ROUTE, route.encode("utf-8", "replace")))
        if shown == "_OTHER" and method:
            original = method[:32].encode("utf-8", "replace")
            attributes.append(otlp.text_attribute(_METHOD_ORIGINAL, original))
        found = otlp.name_field(name) + otlp.KIND_SERVER, attributes
        if len(self._request_heads) >= MAX_KEPT_HEADS:
            self._request_heads.clear()
        self._request_heads[method, route] = found
        return found

    def _call_head(self, span: CallSpan) -> tuple[bytes, list[bytes]]:
        known = (span.path, span.host, span.port, span.service)
        found = self._call_heads.get(known)
        if found is not None:
            return found
        full_name = span.path.decode("utf-8", "replace").lstrip("/")
        attributes = [
            _RPC_SYSTEM,
            otlp.text_attribute(_RPC_METHOD, full_name.encode()),
            otlp.text_attribute(_SERVER_ADDRESS, span.host.encode()),
            otlp.int_attribute(_SERVER_PORT, span.port),
            otlp.text_attribute(_SERVICE, span.service.encode()),
        ]
        found = otlp.name_field(full_name) + otlp.KIND_CLIENT, attributes
        if len(self._call_heads) >= MAX_KEPT_HEADS:
            self._call_heads.clear()
        self._call_heads[known] = found
        return found

    def _host(self, host: bytes) -> list[bytes]:
        """Return the attributes of a Host header. Few are ever in use; who sends many gets them made each time."""
        found = self._hosts.get(host)
        if found is not None:
            return found
        name, _, port = host.rpartition(b":")
        if not name or not port.isdigit() or len(port) > 5:
            name, port = host, b""
        name = name.removeprefix(b"[").removesuffix(b"]")
        made = [otlp.text_attribute(_SERVER_ADDRESS, otlp.utf8(name[:MAX_HEADER_BYTES]))]
        if port:
            made.append(otlp.int_attribute(_SERVER_PORT, int(port)))
        if len(self._hosts) < 64 and len(host) <= MAX_HEADER_BYTES:
            self._hosts[host] = made
        return made


def _path(path: str) -> bytes:
    if len(path) > MAX_PATH_CHARACTERS:
        path = path[:MAX_PATH_CHARACTERS]
    # `eyJ` begins every JWT: somebody put one into the path.
    return (redact_text(path) if "eyJ" in path else path).encode("utf-8", "replace")


def _failure(exchange: Exchange) -> str:
    """Return `error.type` of a request that failed by the gateway's or a backend's fault; empty for all others."""
    status = exchange.status
    reason = exchange.error_reason
    if status >= 500:
        return reason if reason and reason != "UPSTREAM_STATUS" else str(status)
    if status < 400 and reason and reason != "CLIENT_GONE":
        # A stream that failed after its head was sent.
        code = exchange.grpc_code
        return reason if reason != "UPSTREAM_STATUS" or code is None else code_name(code)
    return ""
