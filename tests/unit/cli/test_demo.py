"""The demo's settings, and what is said when it cannot start."""

from __future__ import annotations

import pytest

from api_gateway.cli.demo import demo_settings, run_demo
from api_gateway.cli.screen import Screen


def test_it_serves_this_machine_only() -> None:
    settings = demo_settings(1, 2, port=9000, with_auth=False)
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 9000)
    assert {key: service.endpoint for key, service in settings.services.items()} == {
        "user-service": "http://127.0.0.1:1",
        "auth-service": "http://127.0.0.1:2",
    }
    assert settings.auth is None
    assert settings.rate_limit.enabled


def test_authentication_asks_the_example_service() -> None:
    settings = demo_settings(1, 2, port=0, with_auth=True)
    assert settings.auth is not None
    assert settings.auth.service_endpoint == "http://127.0.0.1:2"


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(__import__("sys").modules, "grpc", None)
    assert run_demo(Screen(), port=0, with_auth=False) == 1
    assert capsys.readouterr().err == "error: the demo needs grpcio: pip install 'api-gateway[demo]'\n"


def test_backends_that_do_not_start_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert run_demo(Screen(), port=0, with_auth=False) == 1
    assert "the example backends did not start" in capsys.readouterr().err
