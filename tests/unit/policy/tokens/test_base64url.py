"""base64url without its usual tolerance."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.policy.tokens.base64url import decode_base64url


@given(st.binary(min_size=1))
def test_round_trip(data: bytes) -> None:
    """J21: what an encoder writes is read."""
    assert decode_base64url(base64.urlsafe_b64encode(data).rstrip(b"=")) == data


@given(st.text(alphabet="ABCXYZabcxyz0189-_+/=\n ", max_size=12).map(str.encode))
def test_only_one_text_for_each_value(text: bytes) -> None:
    """J21: what is read is exactly what an encoder would write."""
    try:
        data = decode_base64url(text)
    except ValueError:
        return
    assert base64.urlsafe_b64encode(data).rstrip(b"=") == text


@pytest.mark.parametrize("text", [b"", b"A", b"AAAAA", b"AB", b"AAB", b"AA==", b"AA\n", b"A A", b"+/AA", "é".encode()])
def test_other_texts(text: bytes) -> None:
    """J21: length, alphabet, unused bits."""
    with pytest.raises(ValueError, match="base64url"):
        decode_base64url(text)
