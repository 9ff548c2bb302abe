"""One record, one line, whatever a client put into it."""

from __future__ import annotations

import unicodedata
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.telemetry.log_line import MAX_LINE_BYTES, Timestamps, encode_json, encode_text, escape_invisible

NOW = "2024-01-15T10:30:45Z"
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
TEXTS = st.text(st.characters(exclude_categories=()), max_size=200)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.binary(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4) | st.tuples(inner),
    max_leaves=10,
)


def check(line: bytes) -> dict[str, Any]:
    """Return the object of a line that is one line, valid JSON, short enough and without invisible characters."""
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) <= MAX_LINE_BYTES
    assert not any(unicodedata.category(character) in INVISIBLE for character in line[:-1].decode())
    record: dict[str, Any] = orjson.loads(line)
    return record


@given(st.dictionaries(TEXTS, VALUES, max_size=6), TEXTS)
def test_every_record_is_one_valid_line(fields: dict[str, Any], target: str) -> None:
    """H19: nothing in a value or a name breaks the line."""
    record = check(encode_json(NOW, "INFO", target, fields))
    assert list(record) == ["timestamp", "level", "target", "fields"]


@given(st.dictionaries(TEXTS, VALUES, max_size=6))
def test_every_record_is_one_line_of_text(fields: dict[str, Any]) -> None:
    """H19: the form for terminals cannot be broken either."""
    fields.pop("stack", None)
    line = encode_text(NOW, "INFO", "api_gateway.test", fields)
    assert line.count(b"\n") == 1
    assert not any(unicodedata.category(character) in INVISIBLE for character in line[:-1].decode())


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        pytest.param("a\r\nb", r"a\r\nb", id="line_break"),
        pytest.param("\x1b[31m", r"\u001b[31m", id="terminal_colour"),
        pytest.param("\x00", r"\u0000", id="nul"),
        pytest.param("\x7f", r"\u007f", id="delete"),
        pytest.param("\x85", r"\u0085", id="c1_next_line"),
        pytest.param("\u2028\u2029", r"\u2028\u2029", id="separators"),
        pytest.param("\u202e\u2066", r"\u202e\u2066", id="bidi"),
        pytest.param("\ufeff", r"\ufeff", id="byte_order_mark"),
        pytest.param("\U000e0041", r"\udb40\udc41", id="tag_character"),
        pytest.param('"}\n{"level":"x', r"\"}\n{\"level\":\"x", id="break_out"),
        pytest.param("${jndi:ldap://x} %n %s", "${jndi:ldap://x} %n %s", id="formats_are_text"),
        pytest.param("Jürgen 日本 😀", "Jürgen 日本 😀", id="visible_stays"),
    ],
)
def test_invisible_characters_are_escaped_and_come_back(text: str, escaped: str) -> None:
    """H19: seen as escapes in the file, and as themselves once the JSON is read."""
    line = encode_json(NOW, "INFO", "t", {"message": text})
    assert f'"message":"{escaped}"'.encode() in line
    assert check(line)["fields"]["message"] == text


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"message": "m", "agent": "x" * 65_536}, id="long_text"),
        pytest.param({"message": "m", "agent": "\x01" * 65_536}, id="long_text_that_grows_by_escapes"),
        pytest.param({"message": "\U000e0041" * 65_536}, id="long_message"),
        pytest.param({"message": "m", **{f"field{i}": "x" * 100 for i in range(1000)}}, id="many_fields"),
        pytest.param({"message": "m", "list": list(range(100_000))}, id="long_list"),
        pytest.param({"message": "m", "x" * 65_536: 1}, id="long_name"),
    ],
)
def test_long_record_is_cut(fields: dict[str, object]) -> None:
    """semantics 46: one log line has at most 16 KiB."""
    record = check(encode_json(NOW, "INFO", "t", fields))
    assert record["fields"]["truncated"] is True
    assert record["fields"]["message"]


class _Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def _cycle() -> list[object]:
    cycle: list[object] = []
    cycle.append(cycle)
    return cycle


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("\ud800", "?", id="lone_surrogate"),
        pytest.param(2**70, str(2**70), id="large_integer"),
        pytest.param(ValueError("x"), "ValueError('x')", id="foreign_type"),
        pytest.param(_Unspeakable(), "<_Unspeakable>", id="repr_raises"),
        pytest.param(float("nan"), None, id="not_a_number"),
        pytest.param(10**5000, "<int>", id="integer_too_long_for_text"),
        pytest.param({1: 2}, {"1": 2}, id="key_is_no_text"),
    ],
)
def test_values_that_json_does_not_know(value: object, expected: object) -> None:
    assert check(encode_json(NOW, "INFO", "t", {"message": "m", "value": value}))["fields"]["value"] == expected


def test_cycle_ends() -> None:
    check(encode_json(NOW, "INFO", "t", {"message": "m", "value": _cycle()}))


def test_text_shows_stack_lines_indented() -> None:
    line = encode_text(NOW, "ERROR", "t", {"message": "failed", "route": "/a b", "stack": "one\ntwo\x1b"})
    assert line.decode() == f'{NOW} ERROR t: failed route="/a b"\n    one\n    two\\u001b\n'


def test_timestamp_is_rfc_3339_and_follows_the_second() -> None:
    timestamps = Timestamps()
    assert timestamps.at(1705314645.999) == NOW
    assert timestamps.at(1705314645.0) == NOW
    assert timestamps.at(1705314646.0) == "2024-01-15T10:30:46Z"


def test_plain_text_is_left_alone() -> None:
    assert escape_invisible("GET /api/users ~") == "GET /api/users ~"
