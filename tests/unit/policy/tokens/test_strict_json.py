"""JSON objects, read strictly. The junk is in tests/security/test_jwt_form.py; here are the bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.policy.tokens.strict_json import parse_object

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), values))
def test_objects_are_read(value: dict[str, Any]) -> None:
    """J22: what a serializer writes is read, in ASCII and in UTF-8."""
    for is_ascii in (True, False):
        try:
            data = json.dumps(value, ensure_ascii=is_ascii).encode()
        except UnicodeEncodeError:
            continue
        assert parse_object(data, max_depth=64) == value


@pytest.mark.parametrize(("depth", "is_good"), [(1, True), (7, True), (8, False), (5_000, False), (100_000, False)])
def test_depth(depth: int, is_good: bool) -> None:
    """J40: the object itself is the first of 8 levels; far more is no RecursionError."""
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        data = b'{"x":' + opening * depth + (b"1" if opening != b"[" else b"") + closing * depth + b"}"
        if is_good:
            parse_object(data, max_depth=8)
        else:
            with pytest.raises(ValueError, match="nested"):
                parse_object(data, max_depth=8)
