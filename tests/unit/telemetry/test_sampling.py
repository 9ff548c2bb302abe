"""The share of traces that is recorded."""

from __future__ import annotations

import pytest

from api_gateway.telemetry.sampling import Sampling


@pytest.mark.parametrize(
    ("ratio", "low_half", "is_picked"),
    [
        pytest.param(1.0, "f" * 16, True, id="all"),
        pytest.param(0.0, "0" * 16, False, id="none"),
        pytest.param(0.5, "7" + "f" * 15, True, id="just_below"),
        pytest.param(0.5, "8" + "0" * 15, False, id="just_not"),
        pytest.param(1e-19, "0" * 16, True, id="smallest"),
    ],
)
def test_last_half_of_the_trace_id_decides(ratio: float, low_half: str, is_picked: bool) -> None:
    """The same id is picked by everybody with the same ratio, whatever its first half."""
    for first_half in ("0" * 16, "f" * 16):
        assert Sampling(ratio).picks(first_half + low_half) is is_picked
