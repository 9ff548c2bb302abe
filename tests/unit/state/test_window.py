"""The arithmetic of the sliding window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.state.window import MAX_COUNT, judge, scale_limit, wait_s


@pytest.mark.parametrize(
    ("current", "previous", "elapsed_s", "limit", "expected"),
    [
        pytest.param(0, 0, 0.0, 100, (99, 60.0), id="first-request"),
        pytest.param(99, 0, 30.0, 100, (0, 30.0), id="last-request-allowed"),
        pytest.param(0, 100, 0.6, 100, (0, 59.4), id="previous-window-faded-by-one"),
        pytest.param(0, 100, 0.301, 100, (0, 59.699), id="previous-window-faded-by-more-than-half-a-request"),
        pytest.param(99, 100, 59.71, 100, (0, 0.29), id="less-than-half-a-request-is-left-of-the-previous-window"),
        pytest.param(0, 1, 30.0, 1, (0, 30.0), id="half-of-the-only-request-rounds-down"),
        pytest.param(0, 100, 30.0, 100, (49, 30.0), id="half-of-the-previous-window"),
        pytest.param(49, 100, 30.0, 100, (0, 30.0), id="both-windows-fill-it"),
        pytest.param(0, 0, 59.0, 1, (0, 1.0), id="limit-of-one"),
    ],
)
def test_passes(current: int, previous: int, elapsed_s: float, limit: int, expected: tuple[int, float]) -> None:
    """semantics 36: current count plus the previous window's share."""
    assert judge(current, previous, elapsed_s, 60.0, limit) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("current", "previous", "elapsed_s", "limit", "expected_wait_s"),
    [
        pytest.param(0, 100, 0.0, 100, 0.3, id="start-of-the-next-window-is-no-second-burst"),
        pytest.param(0, 100, 0.299, 100, 0.001, id="faded-by-less-than-half-a-request"),
        pytest.param(50, 100, 30.0, 100, 0.3, id="both-windows-over-by-one"),
        pytest.param(100, 0, 30.0, 100, 30.3, id="current-window-full"),
        pytest.param(100, 1, 59.9, 100, 0.4, id="current-window-full-and-nothing-before"),
        pytest.param(0, 1, 0.0, 1, 30.0, id="limit-of-one-is-no-two-at-the-edge"),
        pytest.param(1, 0, 0.0, 1, 90.0, id="limit-of-one-fades-to-half-of-it"),
    ],
)
def test_refuses(current: int, previous: int, elapsed_s: float, limit: int, expected_wait_s: float) -> None:
    """semantics 36, 22: the wait is when one request would pass."""
    remaining, seconds = judge(current, previous, elapsed_s, 60.0, limit)
    assert remaining == -1
    assert seconds == pytest.approx(expected_wait_s)


@given(
    current=st.integers(0, 2000),
    previous=st.integers(0, 2000),
    elapsed=st.floats(0, 1, exclude_max=True),
    limit=st.integers(1, 1000),
)
def test_wait_is_long_enough_and_not_too_long(current: int, previous: int, elapsed: float, limit: int) -> None:
    """semantics 22: after the stated wait one request passes, and half a per cent of a window earlier none did."""
    window_s = 60.0
    remaining, seconds = judge(current, previous, elapsed * window_s, window_s, limit)
    if remaining >= 0:
        return
    assert _passes_after(current, previous, elapsed * window_s, window_s, limit, seconds + 1e-6)
    if seconds > 0.3:
        assert not _passes_after(current, previous, elapsed * window_s, window_s, limit, seconds - 0.3)


def _passes_after(current: int, previous: int, elapsed_s: float, window_s: float, limit: int, later_s: float) -> bool:
    windows, elapsed_s = divmod(elapsed_s + later_s, window_s)
    if windows:
        current, previous = (0, current) if windows == 1 else (0, 0)
    return judge(current, previous, elapsed_s, window_s, limit)[0] >= 0


@given(st.lists(st.floats(0, 1.5), max_size=300), st.integers(1, 20))
def test_load_never_exceeds_the_limit(gaps_s: list[float], limit: int) -> None:
    """semantics 39: no 2x at the window's edge: within any tenth of a window no more than the limit passes."""
    now_s, window_s = 0.0, 10.0
    number, current, previous = 0, 0, 0
    passed: list[float] = []
    for gap_s in gaps_s:
        now_s += gap_s
        here = int(now_s // window_s)
        if here != number:
            number, previous, current = here, (current if here == number + 1 else 0), 0
        if judge(current, previous, now_s - here * window_s, window_s, limit)[0] >= 0:
            current += 1
            passed.append(now_s)
            assert sum(at > now_s - window_s / 10 for at in passed) <= limit + 0.1 * limit + 1


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
@pytest.mark.parametrize("first_s", [0.0, 13.7, 59.9])
def test_constant_pressure_gets_exactly_the_limit(limit: int, first_s: float) -> None:
    """semantics 36, R1: at ten times the limit exactly the limit passes per window, and in any other window's length.

    The first two windows are left out of the latter: a burst is taken as spread evenly.
    """
    window_s, pause_s = 60.0, 6.0 / limit
    number, current, previous = 0, 0, 0
    per_window: list[int] = []
    passed: list[float] = []
    for step in range(120 * limit):
        now_s = first_s + step * pause_s
        if int(now_s // window_s) != number:
            per_window.append(current)
            number, previous, current = number + 1, current, 0
        if judge(current, previous, now_s - number * window_s, window_s, limit)[0] >= 0:
            current += 1
            passed.append(now_s)
    assert per_window[1:] == [limit] * (len(per_window) - 1)
    steady = [at for at in passed if at >= 2 * window_s]
    gaps_s = [later - at for at, later in zip(steady, steady[limit:], strict=False)]
    assert min(gaps_s) >= window_s - pause_s


def test_wait_is_never_negative() -> None:
    assert wait_s(0, 1, 59.9, 60.0, 2) == 0.0


@pytest.mark.parametrize(
    ("per_minute", "window_s", "expected"),
    [
        pytest.param(100, 60, 100, id="one-minute"),
        pytest.param(100, 1, 2, id="rounded-up"),
        pytest.param(1, 1, 1, id="at-least-one"),
        pytest.param(100, 3600, 6000, id="an-hour"),
        pytest.param(10**12, 60, MAX_COUNT, id="what-a-counter-holds"),
    ],
)
def test_limit_is_scaled_to_the_window(per_minute: int, window_s: int, expected: int) -> None:
    """semantics 36: requests_per_minute scaled to window_seconds."""
    assert scale_limit(per_minute, window_s) == expected
