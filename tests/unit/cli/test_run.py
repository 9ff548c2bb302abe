"""How `run` finds its settings. That it serves is shown end to end."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from api_gateway.cli.run import Launch, _share_state, run_gateway, serve
from api_gateway.cli.screen import Screen
from api_gateway.cli.worker_factory import ServingPlan
from api_gateway.config.settings import Settings
from api_gateway.state.directory import RuntimeDirectory

FILE = """
server: {port: 1, host: "127.0.0.3", workers: 2}
services: {users: {endpoint: "http://localhost:50051"}}
"""
ENVIRON = {"API_GATEWAY__SERVER__PORT": "2", "API_GATEWAY__SERVER__WORKERS": "3"}


def test_options_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(FILE)
    server = Launch(config=file, port=0, environ=ENVIRON).load().settings.server
    assert (server.host, server.port, server.workers) == ("127.0.0.3", 0, 3)
    server = Launch(config=file, workers=1, host="::1", environ={}).load().settings.server
    assert (server.host, server.port, server.workers) == ("::1", 1, 1)


def test_a_reload_reads_the_file_again(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(FILE)
    launch = Launch(config=file, environ={})
    assert launch.load().settings.server.workers == 2
    file.write_text(FILE.replace("workers: 2", "workers: 4"))
    assert launch.load().settings.server.workers == 4


def test_the_origin_names_file_and_backends(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(FILE)
    loaded = Launch(config=file, backends=["http://localhost:1"], environ={}).load()
    assert loaded.origin == f"{file} and --backend"
    assert len(loaded.settings.services) == 2


def test_a_wrong_configuration_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.yaml"
    assert run_gateway(Screen(), Launch(config=missing, environ={})) == 1
    assert str(missing) in capsys.readouterr().err


def test_the_shared_state_takes_what_the_settings_allow(tmp_path: Path) -> None:
    """semantics 39: `rate_limit.max_memory`, and one MiB for breakers."""
    settings = Settings.model_validate(
        {"services": {"users": {"endpoint": "http://127.0.0.1:1"}}, "rate_limit": {"max_memory": "3MiB"}}
    )
    _share_state(settings, tmp_path / "state").close()
    assert (tmp_path / "state" / "data.mdb").stat().st_size == 4 * 1024 * 1024


def test_no_place_for_the_runtime_directory_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> RuntimeDirectory:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(RuntimeDirectory, "create", refuse)
    settings = Settings.model_validate({"services": {"users": {"endpoint": "http://localhost:50051"}}})
    assert serve(Screen(), ServingPlan(settings=settings, origin="a test")) == 1
    assert "name one that can be written in TMPDIR" in capsys.readouterr().err
