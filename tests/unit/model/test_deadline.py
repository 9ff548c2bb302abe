"""Timeouts as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.model.deadline import format_grpc_timeout, parse_grpc_timeout, parse_seconds

ARABIC_ONE = "\N{ARABIC-INDIC DIGIT ONE}"
"""A digit to Python, not to the grammar."""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1H", 3600.0),
        ("2M", 120.0),
        ("3S", 3.0),
        ("4m", 0.004),
        ("5u", 0.000005),
        ("6n", 6e-9),
        ("99999999S", 99_999_999.0),
        pytest.param("0S", 0.0, id="zero has expired already"),
    ],
)
def test_reads_every_unit(text: str, seconds: float) -> None:
    """G7: at most 8 digits and a unit."""
    assert parse_grpc_timeout(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "1", "S", "1s", "-1S", "+1S", "1.5S", " 1S", "1S ", "123456789S", "1_0S", f"{ARABIC_ONE}S", "1SS"],
)
def test_refuses_what_is_not_in_the_grammar(text: str) -> None:
    """G7: nothing but the grammar; `int()` alone would take several of these."""
    with pytest.raises(ValueError, match="expected 1 to 8 digits"):
        parse_grpc_timeout(text)


@pytest.mark.parametrize(("text", "seconds"), [("2.5", 2.5), ("10", 10.0), ("0.001", 0.001)])
def test_reads_seconds(text: str, seconds: float) -> None:
    """semantics 30: X-Request-Timeout in seconds, may be fractional."""
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "-1", "1e3", "nan", "inf", "1_0", " 1", "0x1", "1.", ".5", ARABIC_ONE, "123456789", "1.1234567890"]
)
def test_refuses_odd_seconds(text: str) -> None:
    """semantics 30: malformed is 400; `float()` alone would take several of these."""
    with pytest.raises(ValueError, match="decimal number"):
        parse_seconds(text)


@given(st.floats(min_value=1e-6, max_value=3.6e11))
def test_what_is_written_can_be_read_and_is_never_longer(seconds: float) -> None:
    """G7, G8: at most 8 digits, and the backend never gets more time than is left."""
    text = format_grpc_timeout(seconds).decode()
    assert len(text) <= 9
    assert 0 < parse_grpc_timeout(text) <= seconds * (1 + 1e-9)


def test_nothing_left_is_still_positive() -> None:
    """G7: the value must be positive even when less than a microsecond is left."""
    assert format_grpc_timeout(1e-9) == b"1u"
