"""What an exact limit passes: told from the times of requests, for a load that is steady and for one that is not."""

from __future__ import annotations

import random

import pytest

from api_gateway.state.window import judge
from scenarios.guard.accuracy import LIMIT, TOLERANCE, WINDOW_S, exact_range
from scenarios.guard.flood import Answers

BEGIN_S = 1_000.005
INTERVAL_S = 0.001


def played(chance: random.Random, *, stop_s: float, stops: float) -> Answers:
    """Ask the real arithmetic three seconds long; this share of requests and of answers is held up for so long."""
    counts: dict[int, int] = {}
    answers = Answers()
    now_s = BEGIN_S + chance.uniform(0.0, stop_s)
    first_s = now_s
    for number in range(3_000):
        now_s = sent_s = max(now_s, first_s + number * INTERVAL_S)
        now_s += chance.uniform(0.0, stop_s) * (chance.random() < stops)
        window = int(now_s // WINDOW_S)
        elapsed_s = now_s - window * WINDOW_S
        passes = judge(counts.get(window, 0), counts.get(window - 1, 0), elapsed_s, WINDOW_S, LIMIT)[0] >= 0
        counts[window] = counts.get(window, 0) + passes
        now_s += 1e-4 + chance.uniform(0.0, stop_s) * (chance.random() < stops)
        answers.statuses[200 if passes else 429] += 1
        answers.times.append((now_s, now_s - sent_s, 200 if passes else 429))
    return answers


def test_a_steady_load_leaves_no_room() -> None:
    """R1."""
    fewest, most = exact_range(played(random.Random(1), stop_s=0.0, stops=0.0), LIMIT, WINDOW_S, 0.0)
    assert 3 * LIMIT - 1 < fewest <= most < 3 * LIMIT + 1


@pytest.mark.parametrize("seed", range(20))
def test_a_busy_machine_changes_what_is_right_and_not_whether_it_is(seed: int) -> None:
    answers = played(random.Random(seed), stop_s=0.9, stops=0.001)
    fewest, most = exact_range(answers, LIMIT, WINDOW_S, 0.0)
    assert fewest * (1 - TOLERANCE) <= answers.statuses[200] <= most * (1 + TOLERANCE)


def test_the_clock_of_the_windows_may_be_another_one() -> None:
    answers = played(random.Random(1), stop_s=0.0, stops=0.0)
    late = Answers(times=[(done_s - 700.25, took_s, status) for done_s, took_s, status in answers.times])
    assert exact_range(late, LIMIT, WINDOW_S, 700.25) == pytest.approx(exact_range(answers, LIMIT, WINDOW_S, 0.0))
