"""What people read when the gateway starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from api_gateway.cli.screen import Screen
from api_gateway.cli.start_screen import show_listening
from api_gateway.config.settings import Settings

ADDRESS = ("0.0.0.0", 8080)


def screen_of(
    capsys: pytest.CaptureFixture[str], *, addresses: Sequence[tuple[Any, ...]] = (ADDRESS,), **sections: Any
) -> str:
    settings = Settings.model_validate({"services": {"users": {"endpoint": "http://localhost:50051"}}, **sections})
    show_listening(Screen(), settings, "gateway.yaml", addresses)
    return capsys.readouterr().err


def test_it_says_where_and_by_what(capsys: pytest.CaptureFixture[str]) -> None:
    first, *_ = screen_of(capsys).splitlines()
    assert first == "API Gateway listens on http://127.0.0.1:8080 (0.0.0.0:8080), configured by gateway.yaml"


def test_what_is_switched_off_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Sections left out are switched off, and the start screen says so (semantics 33)."""
    text = screen_of(capsys)
    assert "authentication  off: every route is open to everybody" in text
    assert "rate limit      off" in text
    assert "traces          off" in text


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        pytest.param({"server": {"workers": 4}}, "workers         4", id="workers"),
        pytest.param(
            {"auth": {"service_endpoint": "http://auth:50051"}},
            "authentication  on, tokens are validated by http://auth:50051",
            id="auth service",
        ),
        pytest.param(
            {"auth": {"jwt": {"secret": "x" * 32}}}, "authentication  on, local JWT validation", id="local validation"
        ),
        pytest.param(
            {"rate_limit": {"enabled": True, "requests_per_minute": 7}},
            "rate limit      7 requests a minute for each client",
            id="limit",
        ),
        pytest.param(
            {"observability": {"tempo_endpoint": "http://tempo:4317", "sample_ratio": 0.05}},
            "traces          5 % of new ones, exported to http://tempo:4317",
            id="traces",
        ),
    ],
)
def test_what_is_on_is_said(sections: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"  {line}\n" in screen_of(capsys, **sections)


def test_no_secret_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert "x" * 32 not in screen_of(capsys, auth={"jwt": {"secret": "x" * 32}})


def test_operators_are_sent_to_their_own_port(capsys: pytest.CaptureFixture[str]) -> None:
    text = screen_of(capsys, addresses=(ADDRESS, ("127.0.0.1", 9901)), admin={"port": 9901})
    assert "  health          http://127.0.0.1:9901/health   metrics http://127.0.0.1:9901/metrics\n" in text
