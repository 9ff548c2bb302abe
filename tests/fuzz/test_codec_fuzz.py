"""A short run of the fuzzer of the native JSON codec; `make fuzz-codec` runs it for ten minutes."""

from __future__ import annotations

import pytest

from api_gateway.transcoding.native_codec import is_available
from tests.fuzz.codec import fuzz

pytestmark = pytest.mark.skipif(
    not is_available(), reason="the native codec is built with the compiled gateway; make test-compiled runs these"
)


def test_both_codecs_agree_on_a_few_thousand_cases() -> None:
    """reliability H14: three rounds over the schema of the tests, three over random ones."""
    findings = fuzz("fixed", rounds=6, cases=700)
    assert findings.faults == []
    assert min(findings.taken.values()) > findings.cases / 10


def test_a_seed_decides_all_cases() -> None:
    """So that a fault can be seen again."""
    first, second = (fuzz("again", rounds=2, cases=100) for _ in range(2))
    assert first == second
