"""Bodies of many JSON texts, cut while they arrive (semantics 25)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.model.errors import GatewayError
from api_gateway.transcoding.json_stream import MAX_LEVELS, LineSplitter, Splitter, ValueSplitter

LIMIT_BYTES = 1_000
Texts = list[tuple[int, bytes]]


def split(splitter: Splitter, *parts: bytes) -> Texts:
    texts: Texts = []
    for part in parts:
        texts += splitter.feed(part)
    return texts + splitter.finish()


CASES = [
    pytest.param(LineSplitter, b"", [], id="no_lines"),
    pytest.param(LineSplitter, b'{"a":1}\n\n \t\r\n{"a":2}', [b'{"a":1}', b'{"a":2}'], id="last_line_without_its_end"),
    pytest.param(LineSplitter, b'"x"\r\n5\n', [b'"x"\r', b"5"], id="lines_of_any_value"),
    pytest.param(ValueSplitter, b"", [], id="no_values"),
    pytest.param(ValueSplitter, b" [ ] ", [], id="empty_array"),
    pytest.param(ValueSplitter, b'[{"a":[1,2]} , 5,"x]"]\n', [b'{"a":[1,2]} ', b"5", b'"x]"'], id="array"),
    pytest.param(
        ValueSplitter, b'["a\\"]","\\\\",{"k\\"}":"[{"}]', [b'"a\\"]"', b'"\\\\"', b'{"k\\"}":"[{"}'], id="quotes"
    ),
    pytest.param(ValueSplitter, b'{"a":1}{"b":{}}\n {}', [b'{"a":1}', b'{"b":{}}', b"{}"], id="objects_in_a_row"),
]


@pytest.mark.parametrize(("kind", "body", "expected"), CASES)
def test_texts_are_found_wherever_the_body_is_cut(
    kind: type[LineSplitter | ValueSplitter], body: bytes, expected: list[bytes]
) -> None:
    whole = split(kind(LIMIT_BYTES), body)
    assert [text for _, text in whole] == expected
    assert all(body[offset : offset + len(text)] == text for offset, text in whole)
    assert split(kind(LIMIT_BYTES), *(body[i : i + 1] for i in range(len(body)))) == whole
    for cut in range(len(body)):
        assert split(kind(LIMIT_BYTES), body[:cut], body[cut:]) == whole


@given(st.lists(st.recursive(st.text() | st.integers() | st.booleans(), st.lists)), st.data())
def test_any_array_comes_apart_as_it_was_written(values: list[object], data: st.DataObject) -> None:
    body = json.dumps(values, ensure_ascii=data.draw(st.booleans())).encode()
    cut = data.draw(st.integers(0, len(body)))
    assert [json.loads(text) for _, text in split(ValueSplitter(10**9), body[:cut], body[cut:])] == values


def test_a_text_is_there_as_soon_as_it_is_whole() -> None:
    lines, objects, array = (kind(LIMIT_BYTES) for kind in (LineSplitter, ValueSplitter, ValueSplitter))
    assert lines.feed(b"1\n2") == [(0, b"1")]
    assert objects.feed(b"{}{") == [(0, b"{}")]
    assert array.feed(b"[{},") == [(1, b"{}")]


@pytest.mark.parametrize(
    ("body", "message", "count"),
    [
        pytest.param(b"[{},]", "expected a value", 1, id="comma_before_the_end"),
        pytest.param(b"[,{}]", "expected a value", 0, id="comma_first"),
        pytest.param(b"[{}", "not closed", 0, id="open_array"),
        pytest.param(b"[{},", "not closed", 1, id="open_after_comma"),
        pytest.param(b"[] {}", "follows", 0, id="something_behind"),
        pytest.param(b"[1}", "nothing opened", 0, id="wrong_bracket"),
        pytest.param(b'{"a":1', "cut off", 0, id="object_cut"),
        pytest.param(b"{} 5", "expected a JSON array", 1, id="number_in_a_row_of_objects"),
        pytest.param(b"a=1", "expected a JSON array", 0, id="a_form"),
        pytest.param(b"[" + b"[" * (MAX_LEVELS + 1), "levels", 0, id="too_deep"),
    ],
)
def test_what_cannot_be_cut_is_400(body: bytes, message: str, count: int) -> None:
    splitter = ValueSplitter(LIMIT_BYTES)
    with pytest.raises(GatewayError, match=message) as caught:
        split(splitter, body)
    assert (caught.value.http, caught.value.reason, splitter.count) == (400, "INVALID_JSON", count)


@pytest.mark.parametrize("kind", [LineSplitter, ValueSplitter])
def test_each_text_is_bounded_and_their_number_is_not(kind: type[LineSplitter | ValueSplitter]) -> None:
    text = b'{"a":"%b"}' % (b"x" * (LIMIT_BYTES - 8))
    splitter = kind(LIMIT_BYTES)
    for _ in range(5):
        assert len(splitter.feed(text + b"\n")) == 1
    with pytest.raises(GatewayError) as caught:
        splitter.feed(b'{"a":"' + b"x" * LIMIT_BYTES)
    assert (caught.value.http, caught.value.reason, caught.value.close) == (413, "MESSAGE_TOO_LARGE", True)


def test_many_small_texts_in_one_part_are_cut_in_linear_time() -> None:
    """A part of 64 KiB holds 20,000 of them; each looked at once."""
    assert len(ValueSplitter(LIMIT_BYTES).feed(b"[" + b"{}," * 21_000)) == 21_000
