"""Path variables that are ordinary strings, beside the plain way through a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.transcoding.string_variables import compile_string_variables, encode_varint
from tests.unit.transcoding.scenes import descriptor


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), st.sampled_from(["", "a"]))
def test_serializes_what_a_message_serializes(first: str, second: str) -> None:
    """semantics 10: the same bytes as with a message object, empty strings left out."""
    message = descriptor("Names")
    serialize = compile_string_variables(message, ("snake_case_name", "renamed"))
    assert serialize is not None
    expected = message.type(snake_case_name=first, renamed=second)
    assert serialize((first, second)) == expected.to_binary()


def test_half_a_surrogate_pair_is_refused() -> None:
    """It cannot be a UTF-8 string; the binding makes 400 of it."""
    serialize = compile_string_variables(descriptor("Scalars"), ("a_string",))
    assert serialize is not None
    with pytest.raises(UnicodeEncodeError):
        serialize(("\ud800",))


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        pytest.param("Scalars", ("an_int32",), id="a number"),
        pytest.param("Scalars", ("a_bytes",), id="bytes"),
        pytest.param("Optionals", ("a_string",), id="a string with presence"),
        pytest.param("Optionals", ("a_message.a_string",), id="a path into another message"),
        pytest.param("Oneofs", ("text",), id="a member of a oneof"),
        pytest.param("Repeated", ("strings",), id="a list"),
        pytest.param("Maps", ("string_string",), id="a map"),
        pytest.param("legacy.Legacy", ("name",), id="a message with required fields"),
    ],
)
def test_leaves_the_rest_to_messages(name: str, paths: tuple[str, ...]) -> None:
    """Whatever is not simply a string has rules of its own."""
    assert compile_string_variables(descriptor(name), paths) is None


@pytest.mark.parametrize(
    ("number", "encoded"),
    [(0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02"), (2**64 - 1, b"\xff" * 9 + b"\x01")],
)
def test_encodes_varints(number: int, encoded: bytes) -> None:
    """The examples of the protobuf encoding guide, and the edges."""
    assert encode_varint(number) == encoded
