"""Bytes to requests: heads, bodies, limits. What smugglers try stands in tests/security."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from api_gateway.edge.body import HIGH_WATER_BYTES
from api_gateway.edge.request_reader import MAX_FRAMING_BYTES, RequestReader
from tests.support.cpu_time import cheapest_cpu_s
from tests.support.raw_http import get, post, post_chunked, request
from tests.support.request_wire import LIMITS, Wire, content, read


def test_request_is_read() -> None:
    wire = Wire()
    wire.receive(
        b"POST /a%20b?x=1&y=?2 HTTP/1.1\r\nHost: example.org\r\nX-Thing: \t one \t\r\nContent-Length: 2\r\n\r\nhi"
    )
    request, body, keep_alive = wire.reader.requests[0]
    assert (request.method, request.path, request.query) == ("POST", "/a%20b", "x=1&y=?2")
    assert request.headers == {b"host": b"example.org", b"x-thing": b"one", b"content-length": b"2"}
    assert (request.peer, request.is_tls, request.started_s, request.http_version) == ("192.0.2.7", True, 50.0, "1.1")
    assert request.repeated == frozenset()
    assert request.body is body
    assert keep_alive
    assert content(body) == "hi"


def test_repeated_fields_are_joined_and_named() -> None:
    """RFC 9110 section 5.3; cookies by their own separator (RFC 6265 section 5.4)."""
    wire = read(get("/", "X-A: 1", "Cookie: a=1", "x-a: 2", "X-B: 1", "cookie: b=2"))
    request = wire.reader.requests[0][0]
    assert request.headers[b"x-a"] == b"1, 2"
    assert request.headers[b"cookie"] == b"a=1; b=2"
    assert request.repeated == {b"x-a", b"cookie"}


def test_repeated_fields_of_one_request_are_not_those_of_the_next() -> None:
    wire = read(get("/", "X-A: 1", "X-A: 2") + get("/", "X-A: 1"))
    assert [request.repeated for request, _, _ in wire.reader.requests] == [{b"x-a"}, frozenset()]


def test_trailers_are_not_merged_into_the_request() -> None:
    """RFC 9110 section 6.5.1: a trailer could carry an identity, a second Host or another length past all checks."""
    head = request("POST", "/", "Transfer-Encoding: chunked", "X-A: 1")
    trailer = b"Authorization: Bearer stolen\r\nX-A: 2\r\nHost: evil\r\nX-Forwarded-For: 10.0.0.1\r\n"
    wire = read(head + b"2\r\nhi\r\n0\r\n" + trailer + b"\r\n" + get("/next"))
    first, second = (request for request, _, _ in wire.reader.requests)
    assert first.headers == {b"host": b"gateway.test", b"transfer-encoding": b"chunked", b"x-a": b"1"}
    assert first.repeated == frozenset()
    assert second.headers == {b"host": b"gateway.test"}
    assert wire.seen[0][-1] == "hi"


def test_time_of_a_request_is_that_of_its_first_byte() -> None:
    wire = Wire()
    wire.receive(b"G")
    wire.clock.now_s = 60.0
    wire.receive(get("/")[1:])
    assert wire.reader.requests[0][0].started_s == 50.0


@pytest.mark.parametrize(
    ("lines", "version", "expected"),
    [
        pytest.param([], "HTTP/1.1", True, id="1.1"),
        pytest.param(["Connection: close"], "HTTP/1.1", False, id="1.1_close"),
        pytest.param(["Connection: CLOSE"], "HTTP/1.1", False, id="1.1_close_in_capitals"),
        pytest.param(["Connection: keep-alive, close"], "HTTP/1.1", False, id="1.1_close_in_a_list"),
        pytest.param(["Connection: x", "Connection: close"], "HTTP/1.1", False, id="1.1_close_in_a_second_field"),
        pytest.param([], "HTTP/1.0", False, id="1.0"),
        pytest.param(["Connection: keep-alive"], "HTTP/1.0", True, id="1.0_keep_alive"),
        pytest.param(["Connection: Upgrade", "Upgrade: websocket"], "HTTP/1.1", False, id="upgrade_not_taken"),
        pytest.param(["Upgrade: h2c"], "HTTP/1.1", True, id="upgrade_without_connection_means_nothing"),
    ],
)
def test_whether_the_client_wants_to_go_on(lines: list[str], version: str, expected: bool) -> None:
    wire = read(request("GET", "/", *lines, version=version))
    assert [keep_alive for _, _, keep_alive in wire.reader.requests] == [expected]
    assert wire.refused is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(post(b"12345"), "12345", id="length"),
        pytest.param(request("POST", "/", "Content-Length: 005") + b"12345", "12345", id="length_with_zeros"),
        pytest.param(request("POST", "/", "Content-Length: 5 \t") + b"12345", "12345", id="length_with_space_behind"),
        pytest.param(request("POST", "/", "Content-Length: 0"), "no body", id="length_zero"),
        pytest.param(request("POST", "/", "Content-Length: 00"), "", id="length_zeros"),
        pytest.param(request("POST", "/"), "no body", id="neither"),
        pytest.param(post_chunked(b"123", b"45"), "12345", id="chunks"),
        pytest.param(post_chunked(), "", id="no_chunk"),
        pytest.param(request("POST", "/", "transfer-encoding: CHUNKED") + b"1\r\nx\r\n0\r\n\r\n", "x", id="capitals"),
        pytest.param(request("GET", "/", "Content-Length: 1") + b"x", "x", id="get_with_body"),
    ],
)
def test_bodies(data: bytes, expected: str) -> None:
    wire = read(data)
    assert [seen[-1] for seen in wire.seen] == [expected]
    assert wire.reader.body is None


def test_declared_length_is_known_before_the_body_comes() -> None:
    wire = read(request("POST", "/", "Content-Length: 18446744073709551615"))
    assert wire.reader.body is not None
    assert wire.reader.body.declared_bytes == 2**64 - 1


@pytest.mark.parametrize(
    ("lines", "version", "is_awaited"),
    [
        pytest.param(["Expect: 100-continue"], "HTTP/1.1", True, id="expected"),
        pytest.param(["Expect: 100-Continue "], "HTTP/1.1", True, id="case_and_space"),
        pytest.param(["Expect: 100-continue"], "HTTP/1.0", False, id="ignored_in_1.0"),
        pytest.param(["Expect: anything"], "HTTP/1.0", False, id="anything_ignored_in_1.0"),
        pytest.param([], "HTTP/1.1", False, id="not_expected"),
    ],
)
def test_expectation(lines: list[str], version: str, is_awaited: bool) -> None:
    """H15, RFC 9110 section 10.1.1."""
    wire = read(request("POST", "/", "Content-Length: 1", *lines, version=version))
    assert wire.reader.body is not None
    assert wire.reader.body.is_continue_awaited is is_awaited


def test_expectation_without_a_body_means_nothing() -> None:
    assert len(read(get("/", "Expect: anything")).seen) == 1


def test_unread_body_presses() -> None:
    wire = read(request("POST", "/", "Content-Length: 1000000"), bytes(HIGH_WATER_BYTES), b"x")
    assert wire.pressures == 1


@pytest.mark.parametrize(
    ("data", "refused"),
    [
        pytest.param(get("/" + "a" * 99), None, id="target_at_limit"),
        pytest.param(get("/" + "a" * 100), (414, "URI_TOO_LONG"), id="target_above_limit"),
        pytest.param(get("/?" + "a" * 99), (414, "URI_TOO_LONG"), id="target_above_limit_by_query"),
        pytest.param(get("/", *(f"X-{n}: v" for n in range(9))), None, id="count_at_limit"),
        pytest.param(get("/", *(f"X-{n}: v" for n in range(10))), (431, "HEADER_TOO_LARGE"), id="count_above_limit"),
        pytest.param(get("/", *("X: v" for _ in range(10))), (431, "HEADER_TOO_LARGE"), id="count_of_one_name"),
        # The names and values of `Host: gateway.test` take 16 bytes.
        pytest.param(get("/", "X: " + "v" * 1_007), None, id="size_at_limit"),
        pytest.param(get("/", "X: " + "v" * 1_008), (431, "HEADER_TOO_LARGE"), id="size_above_limit"),
        pytest.param(get("/", "X" * 1_008 + ": v"), (431, "HEADER_TOO_LARGE"), id="size_above_limit_by_name"),
    ],
)
@pytest.mark.parametrize("segment_bytes", [1, 7, 700, 10_000])
def test_limits_of_heads_are_exact_however_they_are_cut(
    data: bytes, refused: tuple[int, str] | None, segment_bytes: int
) -> None:
    """Semantics 46: URI, header list and header count; the same behind another request in one segment."""
    for before in (b"", get("/first"), post(b"x" * 2_000, "/first")):
        stream = before + data
        wire = read(*(stream[at : at + segment_bytes] for at in range(0, len(stream), segment_bytes)))
        assert wire.refused == refused
        assert len(wire.seen) == (1 if before else 0) + (refused is None)


def test_head_without_end_is_refused_once_it_is_too_long() -> None:
    """A field that never ends, or never gets its colon, is not collected for ever."""
    for start in (b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\n"):
        wire = Wire()
        wire.receive(start)
        sent = 0
        while wire.refused is None:
            wire.receive(b"a" * 100)
            sent += 100
            assert sent < 2_000
        assert wire.refused == (431, "HEADER_TOO_LARGE")


def test_long_values_in_tiny_segments_take_linear_time() -> None:
    """10,000 segments of 6 bytes are a value near the limit; each is appended, none is copied a hundred times over."""

    def receive() -> None:
        wire = Wire(replace(LIMITS, max_header_bytes=65_536))
        wire.receive(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        for _ in range(10_000):
            wire.receive(b"abcdef")
        wire.receive(b"\r\n\r\n")
        assert len(wire.reader.requests[0][0].headers[b"x"]) == 60_000

    assert cheapest_cpu_s(receive, enough_s=2.0) <= 2.0


def test_many_names_in_an_unfinished_head_are_not_kept() -> None:
    """A segment of 256 KB may hold 40,000 of them, which take 30 times as much memory until the head times out."""
    names = b"".join(b"%x:\r\n" % n for n in range(13))
    wire = read(b"GET / HTTP/1.1\r\n" + names)
    assert wire.refused == (431, "HEADER_TOO_LARGE")
    assert wire.reader._headers == {}


def test_many_names_in_an_unfinished_trailer_are_not_kept() -> None:
    names = b"".join(b"%x:\r\n" % n for n in range(13))
    wire = read(request("POST", "/", "Transfer-Encoding: chunked") + b"0\r\n", names)
    assert wire.refused == (431, "HEADER_TOO_LARGE")
    assert wire.reader._headers == {}


def test_many_values_of_one_name_are_bounded_by_their_count() -> None:
    wire = read(b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 60_000)
    assert wire.refused == (431, "HEADER_TOO_LARGE")


def test_empty_lines_between_requests_leave_nothing_behind() -> None:
    """llhttp skips them (RFC 9112 section 2.2); the idle timeout bounds them, see test_http1.py."""
    wire = Wire()
    for _ in range(1_000):
        wire.receive(b"\r\n" * 1_000)
    assert (wire.reader.is_in_head, wire.refused, wire.seen) == (False, None, [])
    wire.receive(get("/after")[:10], get("/after")[10:])
    assert wire.seen == [("GET", "/after", "", "1.1", "no body")]


@pytest.mark.parametrize(
    "framing",
    [
        pytest.param(b"1;" + b"e" * 10_000 + b"\r\nx\r\n", id="extensions"),
        pytest.param(b"0\r\n" + b"X: " + b"t" * 200_000, id="one_long_trailer"),
        pytest.param(b"0" * 200_000 + b"1\r\nx\r\n", id="zeros_before_a_size"),
    ],
)
def test_framing_of_chunks_is_bounded(framing: bytes) -> None:
    """Otherwise a body below its limit could keep a connection busy with gigabytes, or be collected as one trailer."""
    wire = Wire()
    wire.receive(request("POST", "/", "Transfer-Encoding: chunked"))
    endless = itertools.cycle(framing[at : at + 1_000] for at in range(0, len(framing), 1_000))
    sent = 0
    while wire.refused is None:
        segment = next(endless)
        wire.receive(segment)
        sent += len(segment)
        assert sent < MAX_FRAMING_BYTES + 2_000
    assert wire.refused == (400, "INVALID_HTTP")
    body = wire.reader.requests[0][1]
    assert body is not None
    with pytest.raises(Exception, match="more framing than content"):
        body.read(10_000)


def test_too_many_trailers_are_refused() -> None:
    trailers = b"".join(b"X-%d: v\r\n" % n for n in range(20))
    wire = read(request("POST", "/", "Transfer-Encoding: chunked") + b"0\r\n" + trailers + b"\r\n")
    assert wire.refused == (431, "HEADER_TOO_LARGE")


@pytest.mark.parametrize("chunk_bytes", [1, 2, 100])
def test_small_chunks_are_no_offence(chunk_bytes: int) -> None:
    chunk = b"%x\r\n%b\r\n" % (chunk_bytes, b"x" * chunk_bytes)
    wire = Wire()
    wire.receive(request("POST", "/", "Transfer-Encoding: chunked"))
    for _ in range(300):
        wire.receive(chunk * 200)
    wire.receive(b"0\r\n\r\n")
    assert wire.refused is None
    assert len(wire.seen[0][-1]) == 300 * 200 * chunk_bytes


def test_requests_that_may_wait_are_counted() -> None:
    """H3 in large: what came before is answered, the one too many is not executed."""
    assert len(read(get("/") * 5).seen) == 5
    wire = read(get("/") * 6)
    assert len(wire.seen) == 5
    assert wire.refused == (400, "TOO_MANY_PIPELINED_REQUESTS")


def test_nothing_is_read_behind_a_refused_request() -> None:
    wire = read(get("/first") + b"BAD REQUEST\r\n\r\n" + get("/third"))
    assert [seen[1] for seen in wire.seen] == ["/first"]
    assert wire.refused == (400, "INVALID_HTTP")


def test_body_that_breaks_fails_its_reader() -> None:
    wire = read(request("POST", "/", "Transfer-Encoding: chunked") + b"3\r\nabc\r\nxyz\r\n")
    body = wire.reader.requests[0][1]
    assert body is not None
    with pytest.raises(Exception, match=r"not a valid HTTP/1\.1 request"):
        body.read(100)
    assert wire.reader.body is None


def test_mistake_in_a_callback_is_not_taken_for_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: RequestReader, name: bytes, value: bytes) -> None:
        raise KeyError(name)

    monkeypatch.setattr(RequestReader, "on_header", broken)
    with pytest.raises(Exception, match="callback error"):
        read(get("/"))
