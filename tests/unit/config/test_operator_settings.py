"""The log and the operators' listener."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from api_gateway.config.operator_settings import AdminSettings, LogSettings


def test_operators_share_the_port_unless_told_otherwise() -> None:
    """H21: and with one of their own, it is this machine's alone."""
    assert AdminSettings().port is None
    assert AdminSettings(port=9901).host == "127.0.0.1"


def test_everything_is_logged_unless_told_otherwise() -> None:
    log = LogSettings()
    assert (log.level, log.levels, log.requests, log.sample_successes) == ("INFO", {}, True, 1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"levels": {"api_gateway.proxy": "LOUD"}}, id="level"),
        pytest.param({"levels": {"": "INFO"}}, id="no name"),
        pytest.param({"levels": {"a b": "INFO"}}, id="no target"),
        pytest.param({"sample_successes": 1.5}, id="above one"),
        pytest.param({"sample_successes": -0.1}, id="below zero"),
    ],
)
def test_mistakes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LogSettings.model_validate(wrong)
