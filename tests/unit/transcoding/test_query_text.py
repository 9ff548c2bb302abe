"""Query strings and forms, taken apart."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.model.errors import GatewayError
from api_gateway.transcoding.query_text import MANY_ESCAPES, MAX_PARAMETERS, MAX_QUERY_CHARS, parse_form, parse_query
from tests.support.cpu_time import cheapest_cpu_s


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        pytest.param("", [], id="empty"),
        pytest.param("a=1", [("a", "1")], id="one"),
        pytest.param("a=1&a=2&b=", [("a", "1"), ("a", "2"), ("b", "")], id="order_and_repetition"),
        pytest.param("a", [("a", "")], id="no_equals_sign"),
        pytest.param("&&a=1&&", [("a", "1")], id="empty_parts"),
        pytest.param("a=b=c", [("a", "b=c")], id="second_equals_sign"),
        pytest.param("=x", [("", "x")], id="no_key"),
        pytest.param("a=x+y%20z%2B", [("a", "x y z+")], id="plus_is_a_space"),
        pytest.param("%61%5Bk%5d=%C3%A9", [("a[k]", "é")], id="escapes_in_keys"),
        pytest.param("a=%26%3D", [("a", "&=")], id="escaped_separators"),
        pytest.param("a=%00", [("a", "\0")], id="nul"),
        pytest.param("a;b=1", [("a;b", "1")], id="semicolon_is_no_separator"),
    ],
)
def test_query_is_split_and_decoded(query: str, pairs: list[tuple[str, str]]) -> None:
    """semantics 3, 11: `+` is a space in a query."""
    assert parse_query(query) == pairs


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        pytest.param("a=%", "INVALID_QUERY", id="percent_at_end"),
        pytest.param("a=%4", "INVALID_QUERY", id="half_escape"),
        pytest.param("a=%zz", "INVALID_QUERY", id="no_hex"),
        pytest.param("a=%u0041", "INVALID_QUERY", id="percent_u"),
        pytest.param("a=%+1", "INVALID_QUERY", id="plus_in_escape"),
        pytest.param("a=%ff", "INVALID_QUERY", id="not_utf8"),
        pytest.param("%ff=1", "INVALID_QUERY", id="key_not_utf8"),
        pytest.param("a=%c3", "INVALID_QUERY", id="cut_utf8"),
        pytest.param("a=%ed%a0%80", "INVALID_QUERY", id="surrogate"),
        pytest.param("a=%c0%af", "INVALID_QUERY", id="overlong"),
        pytest.param("a=é", "INVALID_QUERY", id="raw_non_ascii"),
        pytest.param("&".join(["a=1"] * (MAX_PARAMETERS + 1)), "TOO_MANY_PARAMETERS", id="1001_parameters"),
        pytest.param("a" * (MAX_QUERY_CHARS + 1), "INVALID_QUERY", id="too_long"),
    ],
)
def test_broken_query_is_refused(query: str, reason: str) -> None:
    """semantics 16, H11."""
    with pytest.raises(GatewayError) as caught:
        parse_query(query)
    assert (caught.value.http, caught.value.reason) == (400, reason)


def test_limit_itself_is_allowed() -> None:
    assert len(parse_query("&".join(["a=1"] * MAX_PARAMETERS))) == MAX_PARAMETERS


def test_form_is_read_like_a_query_but_may_be_long() -> None:
    """semantics 14."""
    assert parse_form("a=é&b=+".encode()) == [("a", "é"), ("b", " ")]
    assert len(parse_form(b"a=" + b"x" * 1_000_000)[0][1]) == 1_000_000
    for body in (b"a=\xff", b"a=%", b"a=%ff"):
        with pytest.raises(GatewayError) as caught:
            parse_form(body)
        assert caught.value.reason == "INVALID_FORM"


@pytest.mark.parametrize(
    "query", [pytest.param("a=1&" * 10_000, id="10000_parameters"), pytest.param("%41" * 350_000, id="1_MiB")]
)
def test_refusal_is_cheap(query: str) -> None:
    """H11: less than 10 ms of CPU."""

    def refuse() -> None:
        with pytest.raises(GatewayError):
            parse_query(query)

    assert cheapest_cpu_s(refuse, enough_s=0.010) <= 0.010


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=8))
def test_agrees_with_the_standard_library(pairs: list[tuple[str, str]]) -> None:
    query = urlencode(pairs)
    expected = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair != ("", "")]
    assert parse_query(query) == expected


@given(st.text("a%=&+4gé\x00", max_size=40))
def test_any_text_parses_or_gives_the_declared_error(query: str) -> None:
    """H11, H22."""
    try:
        parse_query(query)
    except GatewayError as error:
        assert error.http == 400


@given(st.text(st.sampled_from('ab"\\%+é☃\n\t\x00 &=/\x7f😀') | st.characters(exclude_categories=["Cs"]), max_size=60))
def test_many_escapes_are_decoded_like_few(text: str) -> None:
    """The fast decoder agrees with the plain one."""
    escaped = quote(text, safe="") + "%61" * (MANY_ESCAPES + 1)
    plain = "a" * (MANY_ESCAPES + 1)
    assert parse_query(f"k={escaped}") == [("k", text + plain)]
    assert parse_query(f"k={quote(text, safe='')}") == [("k", text)]


@pytest.mark.parametrize("value", ["%ff" * 99, "%c3" * 99, "%ed%a0%80" * 99], ids=["bytes", "cut", "surrogates"])
def test_many_escapes_that_are_not_utf_8_are_refused(value: str) -> None:
    """semantics 16."""
    with pytest.raises(GatewayError, match="not valid UTF-8") as caught:
        parse_query(f"a={value}")
    assert caught.value.http == 400
