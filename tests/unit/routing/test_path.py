"""`normalise_path` and the decoding of variables."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.model.errors import GatewayError, Source
from api_gateway.routing.path import decode_segment, decode_segments, normalise_path, percent_decode


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("/", "/", id="root"),
        pytest.param("/api/users/123", "/api/users/123", id="clean"),
        pytest.param("/api/users/", "/api/users/", id="trailing slash kept"),
        pytest.param("/%61pi", "/api", id="escaped letter"),
        pytest.param("/%61%70%69/%7Euser%2d%5F%2E1", "/api/~user-_.1", id="every kind of unreserved"),
        pytest.param("/a%2Fb/%2f", "/a%2Fb/%2f", id="escaped slash stays, in its own case"),
        pytest.param("/v1/x%3Acancel", "/v1/x%3Acancel", id="escaped colon stays, it is no verb"),
        pytest.param("/a%20b%2Bc+d", "/a%20b%2Bc+d", id="space and plus stay"),
        pytest.param("/%C3%A9t%C3%A9", "/%C3%A9t%C3%A9", id="utf-8 stays escaped"),
        pytest.param("/%F0%9F%98%80", "/%F0%9F%98%80", id="four octets"),
        pytest.param("/%2561", "/%2561", id="decoded once only"),
        pytest.param("/.well-known/x", "/.well-known/x", id="leading dot"),
        pytest.param("/a/...", "/a/...", id="three dots"),
        pytest.param("/a./b", "/a./b", id="trailing dot in a segment"),
        pytest.param("/%2e%2e%2e", "/...", id="three escaped dots"),
        pytest.param("/@%40.", "/@%40.", id="dot behind a reserved character"),
        pytest.param('/a|b^c{d}"<>`', '/a|b^c{d}"<>`', id="what clients send raw"),
        pytest.param("/a;v=1/b,c=d(e)!$&'*[f]", "/a;v=1/b,c=d(e)!$&'*[f]", id="sub-delims"),
    ],
)
def test_semantics_9_normal_form(raw: str, expected: str) -> None:
    assert normalise_path(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("", id="nothing"),
        pytest.param("*", id="asterisk form"),
        pytest.param("api", id="no slash"),
        pytest.param("http://host/a", id="absolute form"),
        pytest.param("//", id="two slashes"),
        pytest.param("//api", id="empty first segment"),
        pytest.param("/a//b", id="empty inner segment"),
        pytest.param("/a/b//", id="empty segment before the trailing slash"),
        pytest.param("/.", id="dot"),
        pytest.param("/..", id="dot dot"),
        pytest.param("/a/./b", id="inner dot"),
        pytest.param("/a/../b", id="inner dot dot"),
        pytest.param("/a/..", id="last dot dot"),
        pytest.param("/%2e%2e/a", id="escaped dots"),
        pytest.param("/%2E%2e", id="escaped dots in mixed case"),
        pytest.param("/.%2e/a", id="half escaped dots"),
        pytest.param("/..%2f", id="dot dot escaped slash"),
        pytest.param("/a%2F..%2Fb", id="dot dot between escaped slashes"),
        pytest.param("/a%2f%2e", id="dot behind an escaped slash"),
        pytest.param("/..;/a", id="dot dot semicolon"),
        pytest.param("/..;x=1/a", id="dot dot parameter"),
        pytest.param("/%2e%2e%3b/a", id="escaped dot dot semicolon"),
        pytest.param("/a\\b", id="backslash"),
        pytest.param("/a%5cb", id="escaped backslash"),
        pytest.param("/..%5C..", id="dot dot escaped backslash"),
        pytest.param("/%00", id="nul"),
        pytest.param("/a%0d%0ab", id="escaped line break"),
        pytest.param("/a\nb", id="raw line break"),
        pytest.param("/a\x00", id="raw nul"),
        pytest.param("/%1f", id="unit separator"),
        pytest.param("/%7F", id="delete"),
        pytest.param("/%C2%85", id="next line, a C1 control"),
        pytest.param("/%", id="bare percent"),
        pytest.param("/%4", id="half an escape"),
        pytest.param("/%zz", id="no hexadecimal digits"),
        pytest.param("/%4g", id="one hexadecimal digit"),
        pytest.param("/%u002e", id="non-standard escape"),
        pytest.param("/%c0%ae", id="overlong dot"),
        pytest.param("/%e0%80%af", id="overlong slash"),
        pytest.param("/%ed%a0%80", id="surrogate"),
        pytest.param("/%f4%90%80%80", id="beyond unicode"),
        pytest.param("/%ff", id="not utf-8"),
        pytest.param("/%C3", id="cut utf-8"),
        pytest.param("/%C3/%A9", id="utf-8 across segments"),
        pytest.param("/\u00e9", id="raw non-ascii"),
        pytest.param("/\udcff", id="raw surrogate"),
        pytest.param("/a b", id="raw space"),
        pytest.param("/a?b", id="question mark"),
        pytest.param("/a#b", id="fragment"),
        pytest.param("/" + "../" * 2_700, id="8 KiB of it"),
    ],
)
def test_semantics_9_and_h10_unsafe_paths_are_400(raw: str) -> None:
    with pytest.raises(GatewayError) as caught:
        normalise_path(raw)
    error = caught.value
    assert (error.http, error.reason, error.source, error.close) == (400, "INVALID_PATH", Source.CLIENT, False)
    assert error.message.isascii()


_ODD = st.sampled_from(["/", "%2e", ".", "%2F", "%", "%c0%ae", "\\", "%5c", "%00", "a", "%61", ";", "%25", "\n", "é"])


@given(st.lists(_ODD | st.characters()).map("".join))
def test_semantics_9_what_passes_is_safe_and_stable(tail: str) -> None:
    try:
        path = normalise_path("/" + tail)
    except GatewayError as error:
        assert error.http == 400
        return
    assert normalise_path(path) == path
    assert path.isascii()
    decoded = percent_decode(path)
    assert decoded == percent_decode("/" + tail)
    assert not any(unicodedata.category(character) == "Cc" or character == "\\" for character in decoded)
    assert not {".", ".."} & set(decoded.split("/"))
    assert "//" not in path


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_harmless_text_survives_as_one_segment(text: str) -> None:
    if "\\" in text or {".", ".."} & {part.partition(";")[0] for part in text.split("/")}:
        return
    path = normalise_path("/" + quote(text, safe=""))
    assert decode_segment(path[1:]) == text


@pytest.mark.parametrize(
    ("raw", "single", "multi"),
    [
        pytest.param("abc", "abc", "abc", id="nothing to decode"),
        pytest.param("%2f%23", "/#", "%2f%23", id="reserved"),
        pytest.param("%20%2523", " %23", " %23", id="space and percent"),
        pytest.param("a+b%2B", "a+b+", "a+b%2B", id="plus stays"),
        pytest.param("%40..", "@..", "%40..", id="dots behind a reserved character are no segment"),
        pytest.param("%C3%A9%3A", "é:", "é%3A", id="utf-8"),
        pytest.param(
            "%21%23%24%26%27%28%29%2A%2B%2C%2F%3A%3B%3D%3F%40%5B%5D",
            "!#$&'()*+,/:;=?@[]",
            "%21%23%24%26%27%28%29%2A%2B%2C%2F%3A%3B%3D%3F%40%5B%5D",
            id="all of rfc 6570",
        ),
        pytest.param(
            "%2a%2b%2c%2f%3a%3b%3d%3f%5b%5d", "*+,/:;=?[]", "%2a%2b%2c%2f%3a%3b%3d%3f%5b%5d", id="in lower case"
        ),
        pytest.param("%22%25%2D%2E%3C%3E%5E%7C%7E", '"%-.<>^|~', '"%-.<>^|~', id="what is not reserved"),
    ],
)
def test_semantics_3_decoding_of_variables(raw: str, single: str, multi: str) -> None:
    assert decode_segment(raw) == single
    assert decode_segments(raw) == multi


def test_semantics_3_example_of_several_segments() -> None:
    assert decode_segments("%2f%23/%20%2523") == "%2f%23/ %23"


@pytest.mark.parametrize("raw", ["a%2F..%2Fb", "..", "%00", "%5C", "%ff", "%4"])
def test_h10_decoding_judges_again(raw: str) -> None:
    with pytest.raises(GatewayError):
        decode_segment(raw)
    with pytest.raises(GatewayError):
        decode_segments(f"x/{raw}")
