"""One line a request: the promised fields, and nothing that must stay secret."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api_gateway.telemetry.access_log import AccessLog, line_fields
from api_gateway.telemetry.log_line import Level, encode_json
from tests.unit.telemetry.capture import Capture, finished


def line_of(**facts: Any) -> dict[str, Any]:
    with Capture() as capture:
        AccessLog(capture.writer).record(finished(**facts))
        (line,) = capture.lines
        return line


def test_line_of_a_call() -> None:
    line = line_of(
        route="/api/users/:id",
        service="users",
        client_address="198.51.100.1",
        trace_id="a" * 32,
        span_id="b" * 16,
        grpc_code=0,
        user_id="alice",
        duration_s=0.0451234,
    )
    line.pop("timestamp")
    assert line == {
        "level": "INFO",
        "target": "api_gateway.proxy",
        "fields": {
            "message": "request completed",
            "path": "/api/users/123",
            "method": "GET",
            "status": 200,
            "duration_ms": 45.123,
            "request_id": "request-1",
            "client_ip": "198.51.100.1",
            "trace_id": "a" * 32,
            "span_id": "b" * 16,
            "route": "/api/users/:id",
            "service": "users",
            "grpc_status": "OK",
            "user_id": "alice",
        },
    }


def test_detail_is_told_short_and_without_secrets() -> None:
    """semantics 35: what clients are not told, the log tells; H19: never a token."""
    fields = line_of(status=401, error_reason="TOKEN_INVALID", error_detail="expired")["fields"]
    assert (fields["reason"], fields["detail"]) == ("TOKEN_INVALID", "expired")
    detail = "rejected: Bearer abc123XYZ is old" + "x" * 10_000
    shown = line_of(status=401, error_detail=detail)["fields"]["detail"]
    assert shown.startswith("rejected: Bearer [redacted] is oldxxx") and len(shown) < 600


@pytest.mark.parametrize(("attempts", "shown"), [(0, None), (1, None), (2, 2)])
def test_attempts_are_told_when_there_were_several(attempts: int, shown: int | None) -> None:
    assert line_of(attempts=attempts)["fields"].get("attempts") == shown


def test_absent_facts_are_left_out() -> None:
    fields = line_of(status=404, error_reason="ROUTE_NOT_FOUND")["fields"]
    assert fields == {
        "message": "request completed",
        "path": "/api/users/123",
        "method": "GET",
        "status": 404,
        "duration_ms": 0.0,
        "request_id": "request-1",
        "client_ip": "192.0.2.7",
        "reason": "ROUTE_NOT_FOUND",
    }


@pytest.mark.parametrize(
    ("code", "name"),
    [(0, "OK"), (5, "NOT_FOUND"), (16, "UNAUTHENTICATED"), (17, "UNKNOWN"), (-1, "UNKNOWN")],
)
def test_grpc_status_is_a_name(code: int, name: str) -> None:
    assert line_of(grpc_code=code)["fields"]["grpc_status"] == name


@pytest.mark.parametrize(
    ("level", "is_enabled", "statuses"),
    [
        pytest.param("DEBUG", True, [200, 404, 500], id="debug"),
        pytest.param("INFO", True, [200, 404, 500], id="info"),
        pytest.param("WARN", True, [500], id="warn"),
        pytest.param("ERROR", True, [500], id="error"),
        pytest.param("INFO", False, [], id="off"),
    ],
)
def test_levels(level: Level, is_enabled: bool, statuses: list[int]) -> None:
    with Capture() as capture:
        log = AccessLog(capture.writer, level=level, is_enabled=is_enabled)
        for status in (200, 404, 500):
            log.record(finished(status=status))
        assert [line["fields"]["status"] for line in capture.lines] == statuses
        assert all((line["level"] == "ERROR") == (line["fields"]["status"] >= 500) for line in capture.lines)


def test_query_is_never_logged() -> None:
    """H19: tokens travel in queries."""
    with Capture() as capture:
        AccessLog(capture.writer).record(finished())
        assert b"never-logged" not in capture.data


def test_token_in_the_path_is_removed() -> None:
    """H19."""
    path = "/reset/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"
    assert line_of(path=path)["fields"]["path"] == "/reset/[redacted]"


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"path": '/a"}\r\n{"level":"x\u2028\u202e'}, id="path"),
        pytest.param({"method": 'G=":<>(e)\r\n'}, id="method"),
        pytest.param({"user_id": "\r\n\x1b[2J\u2029" + "x" * 65_536}, id="user"),
        pytest.param({"request_id": "\x00\x7f\x85"}, id="request_id"),
        pytest.param({"path": "/" + "\x01" * 65_536}, id="long_path"),
        pytest.param({"path": "/\ud800"}, id="surrogate"),
    ],
)
def test_nothing_breaks_the_line(facts: dict[str, Any]) -> None:
    """H19: one physical line, valid JSON, no raw control characters, bounded."""
    with Capture() as capture:
        AccessLog(capture.writer).record(finished(**facts))
        data = capture.data
        assert len(capture.lines) == 1
    assert data.count(b"\n") == 1
    assert len(data) <= 16_384
    assert all(character.isprintable() for character in data[:-1].decode())


def test_text_format() -> None:
    with Capture() as capture:
        AccessLog(capture.writer, line_format="text").record(finished())
        assert b" INFO  api_gateway.proxy: request completed path=/api/users/123 method=GET status=200" in capture.data


def test_successes_can_be_sampled() -> None:
    """Of a thousand about a tenth, and every mistake and failure."""
    with Capture() as capture:
        log = AccessLog(capture.writer, sample_successes=0.1)
        log._draw = random.Random(1).random
        for _ in range(1_000):
            log.record(finished(status=200))
        for status in (400, 404, 429, 499, 500, 503):
            log.record(finished(status=status))
        statuses = [line["fields"]["status"] for line in capture.lines]
    assert 60 < statuses.count(200) < 140
    assert statuses[-6:] == [400, 404, 429, 499, 500, 503]


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (1.0, 100)])
def test_none_or_all_successes(share: float, count: int) -> None:
    with Capture() as capture:
        log = AccessLog(capture.writer, sample_successes=share)
        for _ in range(100):
            log.record(finished(status=204))
        assert len(capture.lines) == count


TEXTS = st.text(max_size=40) | st.sampled_from(
    ['"', "\\", "\x00", "\n", "\x7f", "\u2028", "\ud800", "é", "x" * 3000, "", "/a eyJ/"]
)
"""What can stand in a request: most of it plain, some of it to be escaped, shortened or redacted."""


@given(
    path=TEXTS,
    user_id=TEXTS,
    route=TEXTS,
    client_address=TEXTS,
    error_reason=TEXTS,
    error_detail=st.sampled_from(["", "", "expired"]),
    status=st.integers(100, 599),
    grpc_code=st.none() | st.integers(-1, 99),
    attempts=st.integers(0, 12),
    trace_id=st.sampled_from(["", "a" * 32]),
    duration_s=st.floats(0, 1e5),
)
@example(
    path="/plain",
    user_id="",
    route="",
    client_address="::1",
    error_reason="",
    error_detail="",
    status=200,
    grpc_code=0,
    attempts=1,
    trace_id="",
    duration_s=0.000_000_4,
)
def test_a_line_is_the_same_however_it_is_made(**facts: Any) -> None:
    """What is put together by hand where nothing is to be escaped says what the encoder would."""
    exchange = finished(**facts)
    with Capture() as capture:
        AccessLog(capture.writer).record(exchange)
        (line,) = capture.lines
    timestamp, level = line["timestamp"], line["level"]
    assert level == ("INFO" if facts["status"] < 500 else "ERROR")
    assert line == orjson.loads(encode_json(timestamp, level, "api_gateway.proxy", line_fields(exchange)))
