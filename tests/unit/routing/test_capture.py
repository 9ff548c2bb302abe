"""Taking variables out of segments."""

from __future__ import annotations

import pytest

from api_gateway.model.errors import GatewayError
from api_gateway.routing.capture import compile_captures
from api_gateway.routing.template import parse_template


@pytest.mark.parametrize(
    ("text", "segments", "values"),
    [
        pytest.param("/a/b", ["a", "b"], (), id="none"),
        pytest.param("/a/:x", ["a", "1"], ("1",), id="one"),
        pytest.param("/:x/a/:y", ["1", "a", "2"], ("1", "2"), id="two"),
        pytest.param("/{x=a/*}/{y}", ["a", "1", "2"], ("a/1", "2"), id="several segments and one"),
        pytest.param("/{x=**}", [], ("",), id="many of nothing"),
        pytest.param("/{x=**}", ["a", "b", ""], ("a/b/",), id="many"),
        pytest.param("/a/{x=**}/{y}/c", ["a", "1", "2", "3", "c"], ("1/2", "3"), id="behind many"),
        pytest.param("/a/{x=**}/{y}/c", ["a", "3", "c"], ("", "3"), id="behind many of nothing"),
        pytest.param(
            "/{w}/{x=b/**/c}/{y=d/*}", ["1", "b", "2", "c", "d", "3"], ("1", "b/2/c", "d/3"), id="many inside"
        ),
        pytest.param("/**/{y=d/*}", ["1", "2", "d", "3"], ("d/3",), id="behind many without a name"),
    ],
)
def test_both_captures_take_the_same_from_segments_without_escapes(
    text: str, segments: list[str], values: tuple[str, ...]
) -> None:
    capture, capture_decoded = compile_captures(parse_template(text))
    assert capture(segments) == values
    assert capture_decoded(segments) == values


def test_semantics_3_one_segment_is_decoded_fully_several_are_not() -> None:
    _, capture = compile_captures(parse_template("/{x}/{y=b/*}/{z=**}"))
    assert capture(["a%2F%20", "b", "%2F%20", "%2F%20", "c"]) == ("a/ ", "b/%2F ", "%2F /c")


def test_h10_decoded_capture_refuses_what_is_not_safe() -> None:
    _, capture = compile_captures(parse_template("/{x}/{y=**}"))
    for segments in (["a%2F..%2Fb", "c"], ["a", "%2e%2e"], ["%00", "c"], ["a", "%ff"]):
        with pytest.raises(GatewayError):
            capture(segments)


def test_templates_of_one_shape_share_their_functions() -> None:
    one, other = parse_template("/a/:x/b"), parse_template("/c/{y.z}/d/e:v")
    assert compile_captures(one) == compile_captures(other)
