"""Checking a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from api_gateway.cli.check import check_configuration
from api_gateway.cli.screen import Screen

SERVICE = 'services: {users: {endpoint: "http://localhost:50051"}}\n'


def test_a_right_file_is_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(SERVICE)
    assert check_configuration(Screen(), config=file) == 0
    assert capsys.readouterr() == (f"{file}: ok, 1 service\n", "")


def test_variables_that_count_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_GATEWAY__SERVER__PORT", "1")
    file = tmp_path / "gateway.yaml"
    file.write_text(SERVICE)
    assert check_configuration(Screen(), config=file) == 0
    assert capsys.readouterr().out.splitlines()[1] == "with values from the environment: API_GATEWAY__SERVER__PORT"


def test_a_wrong_file_is_1_with_every_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(SERVICE + "sever: {}\nlog: {level: LOUD}\n")
    assert check_configuration(Screen(), config=file) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(": ")[1] for line in err.splitlines()] == [f"{file}:2:1", f"{file}:3:14"]
