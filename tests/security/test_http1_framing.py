"""Request smuggling: where a body begins and ends must have one reading only (RFC 9112 sections 6 and 7.1).

Each case is followed by a request to /smuggled, which must never be executed where the framing is refused. What is
taken although it is unusual stands in a table of its own, with the reason.
"""

from __future__ import annotations

import pytest

from tests.support.http_application import SmallApplication
from tests.support.http_rig import Rig
from tests.support.raw_http import Answer, get, request

SMUGGLED = get("/smuggled")


def send(data: bytes, *, segment_bytes: int) -> tuple[list[Answer], SmallApplication, Rig]:
    application = SmallApplication()
    rig = Rig(application)
    rig.receive(*(data[at : at + segment_bytes] for at in range(0, len(data), segment_bytes)))
    return rig.answers(), application, rig


def check_refused(data: bytes, status: int) -> None:
    """One error, then the end; nothing behind it is read; whole and byte by byte."""
    for segment_bytes in (len(data) + len(SMUGGLED), 1):
        answers, application, rig = send(data + SMUGGLED, segment_bytes=segment_bytes)
        assert [(answer.status, answer.is_last) for answer in answers] == [(status, True)]
        assert "/smuggled" not in application.targets
        assert rig.transport.is_half_closed


def check_taken(data: bytes, body: str | None) -> None:
    for segment_bytes in (len(data) + len(SMUGGLED), 1):
        answers, application, _ = send(data + get("/echo?next"), segment_bytes=segment_bytes)
        assert application.targets == ["/echo", "/echo"]
        assert [answer.json()["body"] for answer in answers] == [body, None]
        assert answers[1].json()["query"] == "next"


def with_fields(*fields: bytes, body: bytes = b"0\r\n\r\n", version: bytes = b"HTTP/1.1") -> bytes:
    return b"POST /echo %b\r\nHost: a\r\n" % version + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([CHUNKED, b"Content-Length: 5"], id="te_then_cl"),
        pytest.param([b"Content-Length: 5", CHUNKED], id="cl_then_te"),
        pytest.param([b"Content-Length: 0", CHUNKED], id="cl_zero_then_te"),
        pytest.param([b"Content-Length: 5", b"Content-Length: 5"], id="cl_twice_the_same"),
        pytest.param([b"Content-Length: 5", b"Content-Length: 6"], id="cl_twice_different"),
        pytest.param([b"Content-Length: 5, 5"], id="cl_list_the_same"),
        pytest.param([b"Content-Length: 5, 6"], id="cl_list_different"),
        pytest.param([b"Content-Length: 5,"], id="cl_comma"),
        pytest.param([b"Content-Length: +5"], id="cl_plus"),
        pytest.param([b"Content-Length: -5"], id="cl_minus"),
        pytest.param([b"Content-Length: -0"], id="cl_minus_zero"),
        pytest.param([b"Content-Length: 0x5"], id="cl_hex"),
        pytest.param([b"Content-Length: 5_0"], id="cl_underscore"),
        pytest.param([b"Content-Length: 5e0"], id="cl_exponent"),
        pytest.param([b"Content-Length: 5.0"], id="cl_fraction"),
        pytest.param([b"Content-Length: "], id="cl_empty"),
        pytest.param([b"Content-Length:"], id="cl_nothing"),
        pytest.param([b"Content-Length: five"], id="cl_word"),
        pytest.param([b"Content-Length: 5 5"], id="cl_space_inside"),
        pytest.param([b"Content-Length: \x0b5"], id="cl_vertical_tab"),
        pytest.param([b"Content-Length: \x0c5"], id="cl_form_feed"),
        pytest.param([b"Content-Length: 5\x00"], id="cl_nul"),
        pytest.param([b"Content-Length: \xa05"], id="cl_no_break_space"),
        pytest.param([b"Content-Length: \xd9\xa5"], id="cl_arabic_digit"),
        pytest.param([b'Content-Length: "5"'], id="cl_quoted"),
        pytest.param([b"Content-Length: 18446744073709551616"], id="cl_2_to_64"),
        pytest.param([b"Content-Length: " + b"9" * 5_000], id="cl_5000_digits"),
        pytest.param([b"Content-Length : 5"], id="cl_space_before_colon"),
        pytest.param([b"Content-Length\t: 5"], id="cl_tab_before_colon"),
        pytest.param([b" Content-Length: 5"], id="cl_folded_onto_host"),
        pytest.param([b"Content-Length:\r\n 5"], id="cl_obs_fold"),
        pytest.param([b"Transfer-Encoding : chunked"], id="te_space_before_colon"),
        pytest.param([b"Transfer-Encoding\x0b: chunked"], id="te_vertical_tab_before_colon"),
        pytest.param([b"Transfer-Encoding: \x0bchunked"], id="te_vertical_tab"),
        pytest.param([b"Transfer-Encoding: chunked\x00"], id="te_nul"),
        pytest.param([b"Transfer-Encoding:\r\n chunked"], id="te_obs_fold"),
        pytest.param([b"X: y\r\n\tTransfer-Encoding: chunked"], id="te_in_a_fold"),
        pytest.param([b"Transfer-Encoding: "], id="te_empty"),
        pytest.param([CHUNKED, CHUNKED], id="te_twice"),
        pytest.param([b"Transfer-Encoding: identity", CHUNKED], id="te_identity_and_chunked"),
        pytest.param([CHUNKED, b"Transfer-Encoding: identity"], id="te_chunked_and_identity"),
        pytest.param([b"Transfer-Encoding: chunked, identity"], id="te_chunked_then_identity"),
        pytest.param([b"Transfer-Encoding: identity, chunked"], id="te_identity_then_chunked"),
        pytest.param([b"Transfer-Encoding: chunked, chunked"], id="te_chunked_chunked"),
        pytest.param([b"Transfer-Encoding: gzip, chunked"], id="te_gzip_chunked"),
        pytest.param([b"Transfer-Encoding: ,chunked"], id="te_comma_before"),
        pytest.param([b"Transfer-Encoding: chunked,"], id="te_comma_behind"),
        pytest.param([b"Transfer-Encoding: xchunked"], id="te_xchunked"),
        pytest.param([b"Transfer-Encoding: chunkedx"], id="te_chunkedx"),
        pytest.param([b"Transfer-Encoding: chunked;q=1"], id="te_parameter"),
        pytest.param([b'Transfer-Encoding: "chunked"'], id="te_quoted"),
        pytest.param([b"Transfer-Encoding: chunked\t"], id="te_tab_behind"),
        pytest.param([b"Content-Length: 5\nTransfer-Encoding: chunked"], id="te_behind_a_bare_line_feed"),
        pytest.param([b"Content-Length: 5\rTransfer-Encoding: chunked"], id="te_behind_a_bare_return"),
    ],
)
def test_ambiguous_framing_is_refused(fields: list[bytes]) -> None:
    """H1."""
    check_refused(with_fields(*fields), 400)


@pytest.mark.parametrize(
    "encoding",
    [b"gzip", b"identity", b"deflate", b"chu nked", b"\x80"],
    ids=["gzip", "identity", "deflate", "space", "byte"],
)
def test_other_transfer_encodings_are_not_implemented(encoding: bytes) -> None:
    """H1, RFC 9112 section 6.1: 501 and the end."""
    check_refused(with_fields(b"Transfer-Encoding: " + encoding), 501)


def test_transfer_encoding_in_http_1_0_is_refused() -> None:
    """H1, RFC 9112 section 6.1: a message that cannot be is taken for smuggling."""
    check_refused(with_fields(CHUNKED, b"Connection: keep-alive", version=b"HTTP/1.0"), 400)


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(b"0x2\r\nab\r\n0\r\n\r\n", id="hex_prefix"),
        pytest.param(b"1_0\r\nab\r\n0\r\n\r\n", id="underscore"),
        pytest.param(b"+2\r\nab\r\n0\r\n\r\n", id="plus"),
        pytest.param(b"-1\r\nab\r\n0\r\n\r\n", id="minus"),
        pytest.param(b" 2\r\nab\r\n0\r\n\r\n", id="space_before"),
        pytest.param(b"\t2\r\nab\r\n0\r\n\r\n", id="tab_before"),
        pytest.param(b"2 \r\nab\r\n0\r\n\r\n", id="space_behind"),
        pytest.param(b"2 ;a\r\nab\r\n0\r\n\r\n", id="space_before_extension"),
        pytest.param(b"2;\r\nab\r\n0\r\n\r\n", id="extension_without_name"),
        pytest.param(b"2;a\nb\r\nab\r\n0\r\n\r\n", id="line_feed_in_extension"),
        pytest.param(b"2;a\rb\r\nab\r\n0\r\n\r\n", id="return_in_extension"),
        pytest.param(b"2;\x00\r\nab\r\n0\r\n\r\n", id="nul_in_extension"),
        pytest.param(b"\r\nab\r\n0\r\n\r\n", id="no_size"),
        pytest.param(b"g\r\nab\r\n0\r\n\r\n", id="no_digit"),
        pytest.param(b"\xd9\xa2\r\nab\r\n0\r\n\r\n", id="arabic_digit"),
        pytest.param(b"10000000000000002\r\nab\r\n0\r\n\r\n", id="17_digits"),
        pytest.param(b"ffffffffffffffffff\r\nab\r\n0\r\n\r\n", id="18_digits"),
        pytest.param(b"2\nab\r\n0\r\n\r\n", id="bare_line_feed_behind_size"),
        pytest.param(b"2\r\nab\n0\r\n\r\n", id="bare_line_feed_behind_data"),
        pytest.param(b"2\r\nab0\r\n\r\n", id="nothing_behind_data"),
        pytest.param(b"2\r\nabc\r\n0\r\n\r\n", id="data_longer_than_said"),
        pytest.param(b"2\r\nab\r\n0\n\n", id="bare_line_feeds_at_the_end"),
        pytest.param(b"2\r\nab\r\n0\r\n\n", id="bare_line_feed_at_the_very_end"),
        pytest.param(b"2\r\nab\r\n0\r\nX Y: v\r\n\r\n", id="trailer_with_space"),
        pytest.param(b"2\r\nab\r\n0\r\nX\r\n\r\n", id="trailer_without_colon"),
        pytest.param(b"2\r\nab\r\n0\r\nX: a\r\n b\r\n\r\n", id="trailer_folded"),
        pytest.param(b"2\r\nab\r\n0\r\nX: a\nY: b\r\n\r\n", id="trailer_with_bare_line_feed"),
        pytest.param(b"2\r\nab\r\n0\r\nContent-Length: 5\r\n\r\n", id="trailer_content_length"),
        pytest.param(b"2\r\nab\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", id="trailer_transfer_encoding"),
    ],
)
def test_invalid_chunks_are_refused(chunks: bytes) -> None:
    """H2: the request waits for its body, and gets an error instead of one."""
    check_refused(with_fields(CHUNKED, body=chunks), 400)


@pytest.mark.parametrize(
    ("fields", "sent", "body"),
    [
        pytest.param([CHUNKED], b"2;a=b\r\nab\r\n0\r\n\r\n", "ab", id="extension"),
        pytest.param([CHUNKED], b'2;a="q;\\""\r\nab\r\n0\r\n\r\n', "ab", id="quoted_extension"),
        pytest.param([CHUNKED], b"A\r\n0123456789\r\n0\r\n\r\n", "0123456789", id="upper_case_digit"),
        pytest.param([CHUNKED], b"02\r\nab\r\n000\r\n\r\n", "ab", id="zeros_before"),
        pytest.param([CHUNKED], b"0\r\n\r\n", "", id="nothing"),
        pytest.param([CHUNKED], b"2\r\nab\r\n0\r\nX-Checksum: 1\r\nY: 2\r\n\r\n", "ab", id="trailers"),
        pytest.param([CHUNKED], b"2\r\n\r\n\r\n0\r\n\r\n", "\r\n", id="data_that_looks_like_framing"),
        pytest.param([b"transfer-encoding:chunked"], b"2\r\nab\r\n0\r\n\r\n", "ab", id="no_space"),
        pytest.param([b"TRANSFER-ENCODING: Chunked"], b"2\r\nab\r\n0\r\n\r\n", "ab", id="case"),
        pytest.param([b"Content-Length: 2"], b"ab", "ab", id="length"),
        pytest.param([b"Content-Length:2"], b"ab", "ab", id="length_no_space"),
        pytest.param([b"Content-Length: \t 2"], b"ab", "ab", id="length_space_and_tab"),
        pytest.param([b"Content-Length: 0"], b"", None, id="length_zero"),
        pytest.param([], b"", None, id="neither"),
    ],
)
def test_valid_framing_is_taken(fields: list[bytes], sent: bytes, body: str | None) -> None:
    check_taken(with_fields(*fields, body=sent), body)


@pytest.mark.parametrize(
    ("fields", "sent", "body"),
    [
        pytest.param([b"Content-Length: 0002"], b"ab", "ab", id="zeros_before_a_length"),  # 1*DIGIT, one reading only
        pytest.param([b"Content-Length: 2 "], b"ab", "ab", id="space_behind_a_length"),  # optional space is no content
        pytest.param([b"Transfer-Encoding: chunked "], b"0\r\n\r\n", "", id="space_behind_chunked"),  # the same
        pytest.param([CHUNKED], b"00000000000000000002\r\nab\r\n0\r\n\r\n", "ab", id="20_digits_of_a_small_size"),
        pytest.param([b"Content_Length: 7"], b"", None, id="underscore_is_another_name"),  # and never forwarded
    ],
)
def test_unusual_framing_with_one_reading_is_taken(fields: list[bytes], sent: bytes, body: str | None) -> None:
    """Strict recipients along the way agree on where these end, or refuse them."""
    check_taken(with_fields(*fields, body=sent), body)


def test_rest_of_an_unread_body_is_never_a_request() -> None:
    """The classic: the first request is answered early, its body is a request."""
    inner = get("/smuggled")
    data = request("POST", "/ignore", f"Content-Length: {len(inner)}")
    for at in range(len(inner)):
        application = SmallApplication()
        rig = Rig(application)
        rig.receive(data + inner[:at])
        rig.receive(inner[at:])
        assert application.targets == ["/ignore"]
        assert [answer.is_last for answer in rig.answers()] == [True]


def test_complete_unread_body_is_never_a_request_either() -> None:
    inner = get("/smuggled")
    application = SmallApplication()
    rig = Rig(application)
    rig.receive(request("POST", "/ignore", f"Content-Length: {len(inner)}") + inner + get("/echo"))
    assert application.targets == ["/ignore", "/echo"]
    assert [answer.status for answer in rig.answers()] == [200, 200]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 4"], id="h2c_with_body"),
        pytest.param([b"Connection: Upgrade", b"Upgrade: h2c", CHUNKED], id="h2c_with_chunks"),
        pytest.param([b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 4"], id="websocket_with_body"),
    ],
)
def test_upgrade_with_a_body_is_refused(fields: list[bytes]) -> None:
    """H16: nobody could tell whether what follows is the body or the other protocol."""
    check_refused(with_fields(*fields), 400)


def test_bytes_behind_an_upgrade_are_refused() -> None:
    """H16."""
    check_whole = request("GET", "/echo", "Connection: Upgrade", "Upgrade: h2c") + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    answers, application, rig = send(check_whole, segment_bytes=1_000)
    assert [(answer.status, answer.is_last) for answer in answers] == [(400, True)]
    assert application.targets == []
    assert rig.transport.is_half_closed
