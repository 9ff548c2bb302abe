"""Request lines and fields that have two readings, or that nothing behind the edge should ever see."""

from __future__ import annotations

import pytest

from tests.support.http_application import SmallApplication
from tests.support.http_rig import Rig
from tests.support.raw_http import get


def send(data: bytes, *, segment_bytes: int = 100_000) -> tuple[Rig, SmallApplication]:
    application = SmallApplication()
    rig = Rig(application)
    rig.receive(*(data[at : at + segment_bytes] for at in range(0, len(data), segment_bytes)))
    return rig, application


def check_refused(data: bytes, status: int = 400) -> None:
    """One error, then the end; neither this request nor the one behind it is executed."""
    for segment_bytes in (100_000, 1 if len(data) < 1_000 else 777):
        rig, application = send(data + get("/echo"), segment_bytes=segment_bytes)
        assert [(answer.status, answer.is_last) for answer in rig.answers()] == [(status, True)]
        assert application.targets == []
        assert rig.transport.is_half_closed


def seen(data: bytes) -> dict[str, object]:
    """Return what the application saw of one request."""
    rig, _ = send(data)
    (answer,) = rig.answers()
    echoed: dict[str, object] = answer.json()
    return echoed


def line(text: bytes) -> bytes:
    return text + b"\r\nHost: gateway.test\r\n\r\n"


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(b"http://evil.test/echo", id="absolute_form"),
        pytest.param(b"https://gateway.test/echo", id="absolute_form_of_ours"),
        pytest.param(b"*", id="asterisk"),
        pytest.param(b"gateway.test:80", id="authority_form"),
        pytest.param(b"echo", id="no_slash"),
        pytest.param(b"?x=1", id="query_only"),
        pytest.param(b"/echo#fragment", id="fragment"),
        pytest.param(b"/echo?x=1#fragment", id="fragment_behind_query"),
        pytest.param(b"/ec\x00ho", id="nul"),
        pytest.param(b"/ec\tho", id="tab"),
        pytest.param(b"/ec\x0bho", id="vertical_tab"),
        pytest.param(b"/ec ho", id="space"),
        pytest.param(b"/ec\x7fho", id="delete"),
        pytest.param(b"/ec\xc3\xa9ho", id="utf8"),
        pytest.param(b"/echo?x=\xff", id="byte_in_query"),
        pytest.param(b"", id="nothing"),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS"])
def test_targets_other_than_a_path_are_refused(method: bytes, target: bytes) -> None:
    """H4: one form, one reading. Requests in absolute form are for proxies, and name a second host."""
    check_refused(line(b"%b %b HTTP/1.1" % (method, target)))


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        pytest.param(b"/echo?", "/echo", "", id="empty_query"),
        pytest.param(b"/echo?a?b", "/echo", "a?b", id="question_marks"),
        pytest.param(b"/echo?a=%00%0d%0a", "/echo", "a=%00%0d%0a", id="encoded_controls_stay_encoded"),
        pytest.param(b'/echo?"<>\\^`{|}', "/echo", '"<>\\^`{|}', id="characters_that_should_be_encoded"),
    ],
)
def test_targets_are_passed_on_as_they_are(target: bytes, path: str, query: str) -> None:
    echoed = seen(line(b"GET %b HTTP/1.1" % target))
    assert (echoed["path"], echoed["query"]) == (path, query)


@pytest.mark.parametrize("target", [b"//evil.test/echo", b"/a/../echo", b"/%2e%2e/echo", b"/./echo"])
def test_odd_paths_are_left_to_the_router(target: bytes) -> None:
    """H4, H10: it refuses them, or normalises them, in one place for everybody (semantics 9)."""
    rig, application = send(line(b"GET %b HTTP/1.1" % target))
    assert [answer.status for answer in rig.answers()] == [404]
    assert application.targets == [target.decode()]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        pytest.param(b"GET /echo", 505, id="0.9"),
        pytest.param(b"GET /echo HTTP/0.9", 505, id="0.9_named"),
        pytest.param(b"GET /echo HTTP/2.0", 505, id="2.0"),
        pytest.param(b"GET /echo HTTP/1.2", 400, id="1.2"),
        pytest.param(b"GET /echo HTTP/3.0", 400, id="3.0"),
        pytest.param(b"GET /echo HTTP/1.10", 400, id="1.10"),
        pytest.param(b"GET /echo HTTP/11", 400, id="no_dot"),
        pytest.param(b"GET /echo http/1.1", 400, id="lower_case"),
        pytest.param(b"GET /echo HTTP/1.1 ", 400, id="space_behind"),
        pytest.param(b"GET /echo HTTP/1.1\t", 400, id="tab_behind"),
        pytest.param(b"GET /echo HTTPS/1.1", 400, id="https"),
        pytest.param(b"GET\t/echo\tHTTP/1.1", 400, id="tabs"),
        pytest.param(b" GET /echo HTTP/1.1", 400, id="space_before"),
        pytest.param(b"GET /echo HTTP/1.1\r\n Folded: line", 400, id="folded_line"),
        pytest.param(b"PRI * HTTP/2.0", 400, id="http2_preface"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="tls_hello"),
        pytest.param(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2", 400, id="proxy_protocol"),
    ],
)
def test_malformed_request_lines_are_refused(request_line: bytes, status: int) -> None:
    """H4, F9."""
    check_refused(line(request_line), status)


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(b"get", id="lower_case"),
        pytest.param(b"GET\x00", id="nul"),
        pytest.param(b'G=":<>(e)', id="separators"),
        pytest.param(b"BREW", id="unknown"),
        pytest.param(b"GETT", id="longer"),
        pytest.param(b"GE", id="shorter"),
        pytest.param(b"G" * 10_240, id="10_kib"),
        pytest.param(b"CONNECT", id="connect"),
        pytest.param("GÉT".encode(), id="no_ascii"),
        pytest.param(b"", id="none"),
    ],
)
def test_methods_that_nobody_knows_are_refused(method: bytes) -> None:
    """H6."""
    check_refused(line(b"%b /echo HTTP/1.1" % method))


def test_connect_to_an_authority_is_refused() -> None:
    """H6: this is no tunnel."""
    check_refused(line(b"CONNECT backend.internal:443 HTTP/1.1"))


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "QUERY"])
def test_known_methods_are_left_to_the_router(method: str) -> None:
    """H6: it answers 405 to those that no route has."""
    assert seen(line(method.encode() + b" /echo HTTP/1.1"))["method"] == method


@pytest.mark.parametrize(
    "hosts",
    [
        pytest.param([], id="missing"),
        pytest.param([b""], id="empty"),
        pytest.param([b"a", b"b"], id="two"),
        pytest.param([b"a", b"a"], id="two_the_same"),
        pytest.param([b"", b"a"], id="two_one_empty"),
        pytest.param([b"user@a"], id="userinfo"),
        pytest.param([b"a,b"], id="comma"),
        pytest.param([b"a, b"], id="list"),
        pytest.param([b"a/b"], id="slash"),
        pytest.param([b"a#b"], id="hash"),
        pytest.param([b"a?b"], id="question_mark"),
        pytest.param([b"a b"], id="space"),
        pytest.param([b"a\tb"], id="tab"),
        pytest.param([b"a\\b"], id="backslash"),
        pytest.param([b"a:b"], id="port_no_number"),
        pytest.param([b"a:123456"], id="port_too_long"),
        pytest.param([b"a:80:80"], id="two_ports"),
        pytest.param([b":80"], id="port_only"),
        pytest.param([b"[::1"], id="ipv6_open"),
        pytest.param([b"[::1]x"], id="ipv6_and_more"),
        pytest.param([b"[zz]"], id="ipv6_wrong"),
        pytest.param([b"a\x00b"], id="nul"),
        pytest.param(["ä.test".encode()], id="no_ascii"),
        pytest.param([b"a" * 256], id="256_bytes"),
        pytest.param([b"a" * 60_000], id="60_kb"),
        pytest.param([b"<script>"], id="markup"),
    ],
)
def test_host_must_be_one_name(hosts: list[bytes]) -> None:
    """H5, RFC 9112 section 3.2: it becomes metadata."""
    fields = b"".join(b"Host: " + host + b"\r\n" for host in hosts)
    check_refused(b"GET /echo HTTP/1.1\r\n" + fields + b"\r\n")


def test_host_is_checked_each_time_it_changes() -> None:
    """A good one that was seen before is not checked again; anything else is."""
    good, bad = get("/echo"), b"GET /echo HTTP/1.1\r\nHost: a b\r\n\r\n"
    missing = b"GET /echo HTTP/1.1\r\n\r\n"
    for last in (bad, missing):
        rig, application = send(good + good + last + good)
        assert [answer.status for answer in rig.answers()] == [200, 200, 400]
        assert application.targets == ["/echo", "/echo"]


@pytest.mark.parametrize(
    "host",
    [b"a", b"a.b-c_d.test", b"a:80", b"a:", b"127.0.0.1:8080", b"[::1]", b"[2001:db8::7]:443", b"[::ffff:1.2.3.4]"],
)
def test_hosts_that_are_names(host: bytes) -> None:
    headers = seen(b"GET /echo HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")["headers"]
    assert headers == {"host": host.decode()}


def test_http_1_0_needs_no_host() -> None:
    assert seen(b"GET /echo HTTP/1.0\r\n\r\n")["headers"] == {}


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(b"X Y: v", id="space_in_name"),
        pytest.param(b"X : v", id="space_before_colon"),
        pytest.param(b"X\t: v", id="tab_before_colon"),
        pytest.param(b": v", id="no_name"),
        pytest.param(b"X", id="no_colon"),
        pytest.param(b"X\x00: v", id="nul_in_name"),
        pytest.param(b"X\x0b: v", id="control_in_name"),
        pytest.param("É: v".encode(), id="no_ascii_in_name"),
        pytest.param(b"X\xa0: v", id="no_break_space_in_name"),
        pytest.param(b'"X": v', id="quotes_in_name"),
        pytest.param(b"X(Y): v", id="parentheses_in_name"),
        pytest.param(b"X@Y: v", id="at_in_name"),
        pytest.param(b"[X]: v", id="brackets_in_name"),
        pytest.param(b"X: a\x00b", id="nul_in_value"),
        pytest.param(b"X: a\x01b", id="control_in_value"),
        pytest.param(b"X: a\x0bb", id="vertical_tab_in_value"),
        pytest.param(b"X: a\x1bb", id="escape_in_value"),
        pytest.param(b"X: a\x7fb", id="delete_in_value"),
        pytest.param(b"X: a\rb", id="return_in_value"),
        pytest.param(b"X: a\nY: b", id="line_feed_in_value"),
        pytest.param(b"X: a\r\n b", id="fold_by_space"),
        pytest.param(b"X: a\r\n\tb", id="fold_by_tab"),
        pytest.param(b"X:\r\n b", id="fold_of_nothing"),
        pytest.param(b"X: a\r\n \r\n", id="fold_of_space"),
    ],
)
def test_malformed_fields_are_refused(field: bytes) -> None:
    """H7, H8, G9, G10, RFC 9112 section 5."""
    check_refused(b"GET /echo HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        pytest.param(b"\x85a\x85", "\x85a\x85", id="next_line"),
        pytest.param(b"\xa0a\xa0", "\xa0a\xa0", id="no_break_space"),
        pytest.param(b"\xc3\xa9", "\xc3\xa9", id="utf8"),
        pytest.param(b"\xff\xfe", "\xff\xfe", id="obs_text"),
        pytest.param(b" \t a \t ", "a", id="space_around"),
        pytest.param(b"a \t b", "a \t b", id="space_inside"),
        pytest.param(b"", "", id="empty"),
        pytest.param(b"  ", "", id="only_space"),
        pytest.param(b":::", ":::", id="colons"),
    ],
)
def test_values_are_unchanged_but_for_the_space_around_them(sent: bytes, value: str) -> None:
    """H8: bytes that Python's str.strip() takes for space stay. Real space behind a value is no part of it."""
    headers = seen(b"GET /echo HTTP/1.1\r\nHost: a\r\nX:" + sent + b"\r\n\r\n")["headers"]
    assert headers == {"host": "a", "x": value}


def test_names_with_underscores_are_names_of_their_own() -> None:
    """H7: never taken for the name with hyphens, see test_http1_shadows.py for what becomes of them."""
    headers = seen(get("/echo", "X_User_Id: 1", "X-User-Id: 2", "X-User_Id: 3"))["headers"]
    assert headers == {"host": "gateway.test", "x_user_id": "1", "x-user-id": "2", "x-user_id": "3"}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\r\n\r\n" + line(b"GET /echo HTTP/1.1"), id="empty_lines_before"),  # RFC 9112 section 2.2
        pytest.param(b"\n\n" + line(b"GET /echo HTTP/1.1"), id="line_feeds_before"),  # the same, tolerated
        pytest.param(line(b"GET  /echo HTTP/1.1"), id="two_spaces_before_target"),  # RFC 9112 section 3: may be
        pytest.param(line(b"GET /echo   HTTP/1.1"), id="spaces_before_version"),  # the same
        # llhttp does not tell the protocol's name. Answered in HTTP, by the same framing.
        pytest.param(line(b"GET /echo RTSP/1.0"), id="rtsp"),
    ],
)
def test_unusual_lines_with_one_reading_are_taken(data: bytes) -> None:
    echoed = seen(data)
    assert (echoed["method"], echoed["path"], echoed["query"]) == ("GET", "/echo", "")


def test_refusals_quote_nothing_of_what_was_sent() -> None:
    """H19: no log line, terminal or page is written by who sends rubbish."""
    marker = b"\x1b[31mSECRET"
    for data in (marker, line(b"GET /echo HTTP/" + marker), line(b"GET /echo HTTP/1.1\r\nX: " + marker)):
        rig, application = send(data)
        (answer,) = rig.answers()
        assert b"SECRET" not in answer.body
        assert "SECRET" not in application.refused[0].message
