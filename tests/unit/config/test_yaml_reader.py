"""YAML into values with places, and every way in which it can be wrong."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.config.problem import ConfigError, KeyPath, Place
from api_gateway.config.yaml_reader import MAX_DEPTH, MAX_VALUES, read_document, read_value

LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def read(text: str) -> dict[str, object]:
    document, problems = read_document(text, "g.yaml")
    assert not problems
    return document.values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("", {}, id="empty"),
        pytest.param("# only words\n", {}, id="comment"),
        pytest.param(
            "a: 1\nb: 1.5\nc: true\nd: x\ne:\nf: 'y'",
            {"a": 1, "b": 1.5, "c": True, "d": "x", "e": None, "f": "y"},
            id="scalars",
        ),
        pytest.param("a: [1, {b: 2}]", {"a": [1, {"b": 2}]}, id="flow"),
        pytest.param("on: 1\n8080: 2\nnull: 3", {"on": 1, "8080": 2, "null": 3}, id="keys_are_their_text"),
        pytest.param("a: 2026-01-01", {"a": "2026-01-01"}, id="a_date_is_text"),
        pytest.param("a: 1:30\nb: 1:30.5", {"a": "1:30", "b": "1:30.5"}, id="no_sexagesimal_numbers"),
        pytest.param("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}, id="alias"),
        pytest.param(
            "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}, id="merge"
        ),
        pytest.param(
            "d: {c: 3, <<: [{c: 4, e: 5}, {e: 6, f: 7}]}", {"d": {"c": 3, "e": 5, "f": 7}}, id="merge_list_first_wins"
        ),
        pytest.param("a: &x {<<: {b: 1}}\nc: {<<: *x}", {"a": {"b": 1}, "c": {"b": 1}}, id="merge_of_a_merge"),
        pytest.param("a: |\n  -----BEGIN\n  x\n", {"a": "-----BEGIN\nx\n"}, id="block_text"),
    ],
)
def test_values(text: str, values: dict[str, object]) -> None:
    assert read(text) == values


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        pytest.param("a:\n\tb: 1", (2, 1), "a tab cannot indent in YAML", id="tab"),
        pytest.param("a: @x", (1, 4), 'a value cannot start with "@"', id="reserved_character"),
        pytest.param("a: b: c", (1, 5), "a second colon in one line, or wrong indentation", id="second_colon"),
        pytest.param("a: *x", (1, 4), "this alias has no anchor", id="undefined_alias"),
        pytest.param("a: &x 1\nb: &x 2", (2, 4), "this anchor is defined twice", id="duplicate_anchor"),
        pytest.param("a: 1\n---\nb: 2", (2, 1), "a second document starts here", id="two_documents"),
        pytest.param("a: 1\nb: x\x07", (2, 5), "the character U+0007 may not stand in YAML", id="control_character"),
        pytest.param("a: 1\r\nb: 2\r\nc: @", (3, 4), 'a value cannot start with "@"', id="windows_line_ends"),
        pytest.param("- a", (1, 1), "expected sections with keys, got a list", id="list"),
        pytest.param("\n  hello", (2, 3), "expected sections with keys, got a single value", id="text"),
        pytest.param("a: " + "[" * 40, (1, 35), f"more than {MAX_DEPTH} levels of nesting", id="deep_flow"),
        pytest.param("- " * 5000 + "a", (1, 65), f"more than {MAX_DEPTH} levels of nesting", id="deep_block"),
        pytest.param(
            "a: &a [*a]",
            (1, 4),
            f"more than {MAX_VALUES:,} values or {MAX_DEPTH} levels, aliases included",
            id="alias_to_itself",
        ),
    ],
)
def test_text_that_cannot_be_read(text: str, place: tuple[int, int], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_document(text, "g.yaml")
    (problem,) = caught.value.problems
    assert problem.message == message
    assert problem.place == Place("g.yaml", *place)


@pytest.mark.parametrize(
    ("text", "place", "path", "message"),
    [
        pytest.param("a: 1\nb: 2\na: 3", (3, 1), ("a",), "given twice; first in line 1", id="duplicate"),
        pytest.param("s: {x: 1, 'x': 2}", (1, 11), ("s", "x"), "given twice; first in line 1", id="duplicate_quoted"),
        pytest.param(
            "a: !!python/name:os.system ''",
            (1, 4),
            ("a",),
            'the tag "python/name:os.system" is not allowed',
            id="python_tag",
        ),
        pytest.param("a: !secret x", (1, 4), ("a",), 'the tag "!secret" is not allowed', id="own_tag"),
        pytest.param("a: !!binary eA==", (1, 4), ("a",), 'the tag "binary" is not allowed', id="binary"),
        pytest.param("a: !!int x", (1, 4), ("a",), "cannot be read as YAML's type int", id="no_int"),
        pytest.param("a: !!bool x", (1, 4), ("a",), "cannot be read as YAML's type bool", id="no_bool"),
        pytest.param("a: " + "9" * 5000, (1, 4), ("a",), "cannot be read as YAML's type int", id="endless_number"),
        pytest.param("a: {'': 1}", (1, 5), ("a",), "a key is missing before the colon", id="no_key"),
        pytest.param("[a]: 1", (1, 1), (), "a key must be plain text", id="list_as_key"),
        pytest.param(
            "a: {<<: 1}",
            (1, 9),
            ("a",),
            'expected a section, or a list of sections, after "<<", got a single value',
            id="merge_of_a_number",
        ),
    ],
)
def test_mistake_that_does_not_stop_the_reading(text: str, place: tuple[int, int], path: KeyPath, message: str) -> None:
    document, (problem,) = read_document(text + "\nlast: 1\n", "g.yaml")
    assert problem.message == message
    assert problem.place == Place("g.yaml", *place)
    assert problem.path == path
    assert document.values["last"] == 1


@pytest.mark.parametrize("merge", [pytest.param("", id="alias"), pytest.param("<<: ", id="merge")])
def test_nest_of_aliases_is_refused_before_it_unfolds(merge: str) -> None:
    """Nine lines would unfold into some 400 million values."""
    lines = ["a0: &a0 {x: 1}"]
    for level in range(1, 10):
        inner = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(f"a{level}: &a{level} {{{merge}[{inner}]}}" if merge else f"a{level}: &a{level} [{inner}]")
    with pytest.raises(ConfigError, match="aliases included"):
        read_document("\n".join(lines), "g.yaml")


def test_places_are_those_of_keys_and_values() -> None:
    document, _ = read_document('server:\n  port: 1\n  "höst": [a,  b]\n', "g.yaml")
    assert document.place_of_key(("server", "port")) == Place("g.yaml", 2, 3)
    assert document.place_of_value(("server", "port")) == Place("g.yaml", 2, 9)
    assert document.place_of_value(("server", "höst", 1)) == Place("g.yaml", 3, 16)


@pytest.mark.parametrize(
    ("text", "value", "quote"),
    [
        pytest.param("9000", 9000, "", id="number"),
        pytest.param("'9000'", "9000", "'", id="quoted"),
        pytest.param("", None, "", id="nothing"),
        pytest.param("[a, {b: c}]", ["a", {"b": "c"}], "", id="flow"),
    ],
)
def test_single_value(text: str, value: object, quote: str) -> None:
    assert read_value(text, "variable X") == (value, quote)


@pytest.mark.parametrize("text", [pytest.param("{", id="syntax"), pytest.param("{a: 1, a: 2}", id="duplicate")])
def test_mistake_in_a_single_value_names_its_source_only(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_value(text, "variable X")
    assert caught.value.problems[0].place == Place("variable X")


plain_data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")))
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.from_regex("[a-z]{1,8}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.from_regex("[a-z]{1,8}", fullmatch=True), plain_data, max_size=4), st.booleans())
def test_what_a_yaml_writer_wrote_is_read_back(values: dict[str, object], is_flow: bool) -> None:
    assert read(yaml.safe_dump(values, default_flow_style=is_flow, allow_unicode=True)) == values


@given(st.text(st.characters(codec="utf-8"), max_size=200) | st.text("ab:{}[]-&*!|>'\"%@`#,?<\n\t 01~", max_size=60))
def test_no_text_raises_anything_but_config_error(text: str) -> None:
    try:
        read_document(text, "g.yaml")
    except ConfigError as error:
        for problem in error.problems:
            assert problem.line is not None
            assert 1 <= problem.line <= len(LINE_BREAK.split(text))
