"""Responses as bytes."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.edge import response_writer
from api_gateway.edge.response_writer import encode_chunk, encode_response, encode_stream_head, has_body
from api_gateway.model.headers import HeaderBlock
from api_gateway.model.message import Response
from tests.support.raw_http import parse_answer


@pytest.fixture
def fixed_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response_writer, "time", lambda: 784_111_777.9)


@pytest.mark.usefixtures("fixed_date")
def test_answer_byte_for_byte() -> None:
    """RFC 9112 section 2.1; the date in the form of RFC 9110 section 5.6.7, whose example it is."""
    response = Response(200, [(b"content-type", b"text/plain"), (b"x-a", b"")], b"hi")
    assert encode_response(response, is_head=False, keep_alive=True, is_http_1_0=False) == (
        b"HTTP/1.1 200 OK\r\n"
        b"content-type: text/plain\r\n"
        b"x-a: \r\n"
        b"content-length: 2\r\n"
        b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"\r\n"
        b"hi"
    )


def test_fields_that_answers_have_in_common_are_encoded_once() -> None:
    common = HeaderBlock((b"x-b", b"2"), (b"x-c", b"3"))
    first = encode_response(
        Response(429, [(b"x-a", b"1")], common=common), is_head=False, keep_alive=True, is_http_1_0=False
    )
    assert first.startswith(b"HTTP/1.1 429 Too Many Requests\r\nx-a: 1\r\nx-b: 2\r\nx-c: 3\r\ncontent-length: 0\r\n")
    kept = common.encoded
    second = encode_stream_head(Response(429, [], common=common), is_chunked=False, keep_alive=True)
    assert second.startswith(b"HTTP/1.1 429 Too Many Requests\r\nx-b: 2\r\nx-c: 3\r\ndate: ")
    assert common.encoded is kept


@pytest.mark.usefixtures("fixed_date")
def test_stream_head_byte_for_byte() -> None:
    head = encode_stream_head(Response(200, []), is_chunked=True, keep_alive=True)
    assert head == (b"HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ntransfer-encoding: chunked\r\n\r\n")


@pytest.mark.parametrize(
    ("keep_alive", "is_http_1_0", "expected"),
    [(True, False, None), (True, True, b"keep-alive"), (False, False, b"close"), (False, True, b"close")],
)
def test_connection_header(keep_alive: bool, is_http_1_0: bool, expected: bytes | None) -> None:
    data = encode_response(Response(200, []), is_head=False, keep_alive=keep_alive, is_http_1_0=is_http_1_0)
    parsed = parse_answer(data)
    assert parsed is not None
    assert parsed[0].header(b"connection") == expected


@pytest.mark.parametrize(
    ("status", "is_head", "length", "body"),
    [
        pytest.param(200, False, b"4", b"body", id="ordinary"),
        pytest.param(200, True, b"4", b"", id="head"),
        pytest.param(204, False, None, b"", id="204"),
        pytest.param(304, False, None, b"", id="304"),
        pytest.param(204, True, None, b"", id="204_to_head"),
        pytest.param(404, False, b"4", b"body", id="error"),
        pytest.param(299, False, b"4", b"body", id="status_without_a_phrase"),
    ],
)
def test_length_and_body(status: int, is_head: bool, length: bytes | None, body: bytes) -> None:
    """RFC 9110 section 8.6, RFC 9112 section 6.3."""
    data = encode_response(Response(status, [], b"body"), is_head=is_head, keep_alive=True, is_http_1_0=False)
    head, _, rest = data.partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert (fields.get(b"content-length"), rest) == (length, body)


def test_status_line_has_its_space_even_without_a_phrase() -> None:
    """RFC 9112 section 4."""
    data = encode_response(Response(299, []), is_head=False, keep_alive=True, is_http_1_0=False)
    assert data.startswith(b"HTTP/1.1 299 \r\n")


def test_date_moves_with_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    dates = []
    for now in (1_000_000_000.2, 1_000_000_000.9, 1_000_000_001.0):
        monkeypatch.setattr(response_writer, "time", lambda now=now: now)
        data = encode_response(Response(200, []), is_head=False, keep_alive=True, is_http_1_0=False)
        parsed = parse_answer(data)
        assert parsed is not None
        dates.append(parsedate_to_datetime((parsed[0].header(b"date") or b"").decode()).timestamp())
    assert dates == [1_000_000_000, 1_000_000_000, 1_000_000_001]


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [("GET", 200, True), ("HEAD", 200, False), ("GET", 204, False), ("GET", 304, False), ("POST", 500, True)],
)
def test_where_bytes_may_follow(method: str, status: int, expected: bool) -> None:
    assert has_body(Response(status, []), method) is expected


@given(
    st.integers(200, 599),
    st.lists(st.tuples(st.from_regex(rb"[a-z][a-z0-9-]{0,8}", fullmatch=True), st.sampled_from([b"", b"v", b"a, b"]))),
    st.binary(max_size=200),
)
def test_what_is_written_can_be_read(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers = [(b"x-" + name, value) for name, value in headers]
    response = Response(status, headers, body)
    parsed = parse_answer(encode_response(response, is_head=False, keep_alive=True, is_http_1_0=False) + b"next")
    assert parsed is not None
    answer, rest = parsed
    assert (answer.status, rest) == (status, b"next")
    assert list(answer.headers[: len(headers)]) == headers
    assert answer.body == (b"" if status in (204, 304) else body)


@given(st.lists(st.binary(min_size=1, max_size=300)))
def test_chunks_can_be_read(parts: list[bytes]) -> None:
    head = encode_stream_head(Response(200, []), is_chunked=True, keep_alive=True)
    data = head + b"".join(map(encode_chunk, parts)) + response_writer.LAST_CHUNK
    parsed = parse_answer(data)
    assert parsed is not None
    assert parsed[0].body == b"".join(parts)
