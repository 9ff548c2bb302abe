"""What a span tells of a request, a call and other work. Names and parents in real traces are in tests/e2e."""

from __future__ import annotations

import pytest

from api_gateway.model.trace import WorkSpan
from tests.unit.telemetry.span_records import (
    OFFSET_NS,
    PARENT,
    SPAN,
    TRACE,
    attributes,
    call_span,
    encoder,
    finished,
    message,
    span_fields,
)

STATUS, EVENTS, DROPPED_ATTRIBUTES, DROPPED_EVENTS, FLAGS = 15, 11, 10, 12, 16
ERROR = [b"\x18\x02"]


def test_server_span() -> None:
    exchange = finished(headers={b"host": b"api.example:8443", b"user-agent": b"curl/8"})
    exchange.request.is_tls = True
    assert exchange.trace is not None
    span = span_fields(encoder().request(exchange, exchange.trace))
    assert span[1] == [bytes.fromhex(TRACE)]
    assert span[2] == [bytes.fromhex(SPAN)]
    assert span[3] == [b"a=b"]
    assert span[4] == [bytes.fromhex(PARENT)]
    assert span[5] == [b"GET /api/users/:id"]
    assert span[6] == [2]
    assert span[7] == [(OFFSET_NS + 1_000_000_000).to_bytes(8, "little")]
    assert span[8] == [(OFFSET_NS + 1_250_000_000).to_bytes(8, "little")]
    assert span[FLAGS] == [(0x301).to_bytes(4, "little")]
    assert STATUS not in span
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.route": "/api/users/:id",
        "http.response.status_code": 200,
        "url.path": "/api/users/1",
        "url.scheme": "https",
        "client.address": "192.0.2.7",
        "server.address": "api.example",
        "server.port": 8443,
        "user_agent.original": "curl/8",
        "network.protocol.version": "1.1",
    }


@pytest.mark.parametrize(
    ("status", "reason", "grpc_code", "error_type"),
    [
        pytest.param(404, "", 5, None, id="clients_mistake"),
        pytest.param(429, "RATE_LIMITED", None, None, id="refused"),
        pytest.param(499, "CLIENT_GONE", None, None, id="client_gone"),
        pytest.param(200, "CLIENT_GONE", None, None, id="client_left_a_stream"),
        pytest.param(500, "UPSTREAM_STATUS", 13, "500", id="backend_failed"),
        pytest.param(503, "CIRCUIT_OPEN", None, "CIRCUIT_OPEN", id="gateway_refused"),
        pytest.param(200, "UPSTREAM_STATUS", 13, "INTERNAL", id="stream_broke"),
        pytest.param(200, "UPSTREAM_RESET", 14, "UPSTREAM_RESET", id="stream_was_lost"),
    ],
)
def test_error_status(status: int, reason: str, grpc_code: int | None, error_type: str | None) -> None:
    """Semantic conventions for HTTP servers: 5xx is an error, 4xx is not."""
    exchange = finished()
    exchange.status, exchange.error_reason, exchange.grpc_code = status, reason, grpc_code
    assert exchange.trace is not None
    span = span_fields(encoder().request(exchange, exchange.trace))
    assert attributes(span).get("error.type") == error_type
    assert span.get(STATUS) == (ERROR if error_type else None)
    assert attributes(span).get("api_gateway.reason") == (reason or None)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param(b"api.example", ("api.example", None), id="no_port"),
        pytest.param(b"[::1]:8080", ("::1", 8080), id="ipv6"),
        pytest.param(b"[::1]", ("::1", None), id="ipv6_no_port"),
        pytest.param(b"caf\xe9:1", ("caf\ufffd", 1), id="not_utf8"),
    ],
)
def test_host(host: bytes, expected: tuple[str, int | None]) -> None:
    exchange = finished(headers={b"host": host})
    assert exchange.trace is not None
    found = attributes(span_fields(encoder().request(exchange, exchange.trace)))
    assert (found["server.address"], found.get("server.port")) == expected


def test_unknown_methods_share_a_name() -> None:
    """H20: what clients invent makes no new names."""
    exchange = finished(method="BREW")
    exchange.route = ""
    assert exchange.trace is not None
    span = span_fields(encoder().request(exchange, exchange.trace))
    assert span[5] == [b"HTTP"]
    assert attributes(span)["http.request.method"] == "_OTHER"
    assert attributes(span)["http.request.method_original"] == "BREW"


def test_nothing_secret_and_nothing_long() -> None:
    """product.md section 5: no query, no token, and bounded texts."""
    exchange = finished(
        "/x/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlMTIzNDU2Nzg5/" + "p" * 5_000,
        headers={b"authorization": b"Bearer abc", b"user-agent": b"u" * 5_000, b"host": b"h" * 5_000},
    )
    assert exchange.trace is not None
    data = encoder().request(exchange, exchange.trace)
    assert len(data) < 2_500
    for secret in (b"token=secret", b"Bearer", b"c2lnbmF0dXJl"):
        assert secret not in data


def test_attributes_and_events_beyond_the_bounds_are_counted() -> None:
    """`max_attributes_per_span`, `max_events_per_span`."""
    exchange = finished()
    assert exchange.trace is not None
    for at_s in range(5):
        exchange.trace.add_event("seen", float(at_s))
    made = encoder(max_attributes=3, max_events=2)
    span = span_fields(made.request(exchange, exchange.trace))
    assert list(attributes(span)) == ["http.request.method", "http.route", "http.response.status_code"]
    assert span[DROPPED_ATTRIBUTES] == [4]
    assert len(span[EVENTS]) == 2
    assert message(span[EVENTS][1]) == {1: [(OFFSET_NS + 1_000_000_000).to_bytes(8, "little")], 2: [b"seen"]}
    assert span[DROPPED_EVENTS] == [3]


def test_client_span() -> None:
    span = span_fields(encoder().call(call_span()))
    assert (span[2], span[4], span[5], span[6]) == ([b"\xbb" * 8], [bytes.fromhex(SPAN)], [b"a.B/Get"], [3])
    assert attributes(span) == {
        "rpc.system.name": "grpc",
        "rpc.method": "a.B/Get",
        "rpc.response.status_code": "OK",
        "server.address": "users.internal",
        "server.port": 50051,
        "api_gateway.service": "users",
    }
    assert STATUS not in span


@pytest.mark.parametrize(
    ("code", "status", "error_type", "expected"),
    [
        pytest.param(5, "NOT_FOUND", "", "NOT_FOUND", id="stated"),
        pytest.param(14, "UNAVAILABLE", "UPSTREAM_RESET", "UPSTREAM_RESET", id="lost"),
        pytest.param(99, "99", "", "UNKNOWN", id="undefined_code"),
    ],
)
def test_client_span_of_a_failure(code: int, status: str, error_type: str, expected: str) -> None:
    """Semantic conventions for gRPC clients: everything but OK is an error."""
    span = span_fields(encoder().call(call_span(code=code, error_type=error_type)))
    assert attributes(span)["rpc.response.status_code"] == status
    assert attributes(span)["error.type"] == expected
    assert span[STATUS] == ERROR


def test_client_span_of_a_later_attempt_in_a_stream() -> None:
    made = call_span()
    made.attempt, made.sent, made.received, made.first_received_s = 2, 3, 4, 1.15
    span = span_fields(encoder().call(made))
    found = attributes(span)
    assert (found["api_gateway.attempt"], found["api_gateway.messages.sent"]) == (2, 3)
    assert found["api_gateway.messages.received"] == 4
    assert message(span[EVENTS][0])[2] == [b"first message received"]


def test_span_of_other_work() -> None:
    made = WorkSpan("GET key set", 1.0, 1.5, [("url.full", "https://x/keys"), ("n", 7)], "KEYS_NOT_FETCHED")
    made.trace_id, made.span_id = TRACE, SPAN
    span = span_fields(encoder().work(made))
    assert 4 not in span
    assert attributes(span) == {"url.full": "https://x/keys", "n": 7, "error.type": "KEYS_NOT_FETCHED"}
    assert span[STATUS] == ERROR


def test_parts_kept_for_routes_are_bounded() -> None:
    """C13: what clients invent is not kept for ever."""
    made = encoder()
    for number in range(100):
        exchange = finished(headers={b"host": b"h%d" % number})
        assert exchange.trace is not None
        found = attributes(span_fields(made.request(exchange, exchange.trace)))
        assert found["server.address"] == f"h{number}"
