"""Some scenarios in short, so that runner and peers work whenever they are needed; `make faults` runs them all."""

from __future__ import annotations

import pytest

from scenarios.__main__ import run
from scenarios.catalogue import SCENARIOS
from scenarios.figures import plain

SCALE = 0.05


@pytest.mark.parametrize("name", ["B8", "B9"])
def test_a_short_run_meets_its_line(name: str) -> None:
    """B8, B9: refused and broken streams, with the oracle's verdict on every answer.

    All but that it came in time: that is for a machine of its own, `make faults`.
    """
    scenario = next(each for each in SCENARIOS if each.name == name)
    result = run(scenario, SCALE)
    missed = [mark for mark in result.marks if mark.is_met is False and "LATE" not in mark.name]
    assert not missed, plain(result)
    assert any(mark.is_met for mark in result.marks)


def test_scenarios_have_names_of_their_own() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
