"""The same requests to our gateway and to a live Envoy: no difference that is not listed, no entry that is dead."""

from __future__ import annotations

import re
import sys
from collections import Counter

import pytest

from bench.envoy import find_envoy
from bench.processes import BenchError
from tests.differential.compare import Pair
from tests.differential.intended import DIFFERENCES
from tests.differential.run import run_all
from tests.support.processes import ROOT

FEWEST_REQUESTS = 2_000
SHOWN = 20


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """All cases, with both outcomes. Fails without Envoy; where it has no package it is skipped, with the reason."""
    try:
        find_envoy()
    except BenchError as error:
        if sys.platform == "linux":
            pytest.fail(f"nothing to compare with: {error}")
        pytest.skip(f"requirements/dev.in has Envoy for Linux only; {error}")
    return run_all()


def test_there_are_enough_requests(pairs: list[Pair]) -> None:
    assert len({pair.case for pair in pairs}) >= FEWEST_REQUESTS


def test_every_difference_is_listed(pairs: list[Pair]) -> None:
    unlisted = [pair for pair in pairs if pair.aspects and not explanations(pair)]
    assert not unlisted, "\n".join([f"{len(unlisted)} differences, for example", *map(str, unlisted[:SHOWN])])


def test_every_entry_of_the_list_explains_something_by_itself(pairs: list[Pair]) -> None:
    needed = Counter(found[0] for pair in pairs if pair.aspects and len(found := explanations(pair)) == 1)
    assert [entry.name for entry in DIFFERENCES if entry.name not in needed] == []


def test_our_gateway_answers_everything_and_never_with_500(pairs: list[Pair]) -> None:
    """semantics 16. The backend's own INTERNAL, UNKNOWN and DATA_LOSS are 500 by contract."""
    wrong = [pair for pair in pairs if pair.ours.status in (0, 500) and not pair.case.area.startswith("error")]
    assert wrong == []


def explanations(pair: Pair) -> list[str]:
    """Return the names of the entries that explain a pair's differences."""
    return [entry.name for entry in DIFFERENCES if entry.explains(pair)]


def test_the_list_is_in_the_documents() -> None:
    """docs/transcoding.md names every intended difference, in the words of the list."""
    wanted = [f"| {entry.name} | {re.sub('^H?[0-9]+: ', '', entry.reason)} |" for entry in DIFFERENCES]
    table = (ROOT / "docs" / "transcoding.md").read_text().partition("## Compared with Envoy")[2]
    found = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert found == wanted, "write this table:\n" + "\n".join(wanted)
