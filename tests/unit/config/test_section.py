"""What all sections have in common."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from api_gateway.config.section import Section


class Lamp(Section):
    """A section for these tests."""

    watts: int = 40


def test_sections_refuse_unknown_keys_and_change() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Lamp.model_validate({"wats": 1})
    with pytest.raises(ValidationError, match="frozen"):
        Lamp().watts = 1  # type: ignore[misc]  # the test is about this mistake


def test_a_bool_is_no_number() -> None:
    with pytest.raises(ValidationError, match="expected a number, got true"):
        Lamp.model_validate({"watts": True})
