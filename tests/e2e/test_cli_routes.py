"""`api-gateway routes`: the table without the gateway."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.backends import Backend
from tests.support.command_line import run_command
from tests.support.gateway import serving, write_config


def test_the_table_is_plain_and_whole(grpcio_backend: Backend) -> None:
    """Columns stand under each other, nothing is cut off, nothing coloured; results go to standard output."""
    done = run_command("routes", "--backend", grpcio_backend.endpoint)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["METHOD", "PATH", "GRPC", "METHOD", "SERVICE", "SOURCE"]
    (get_item,) = [row for row in rows if " /api/items/:id " in row and row.startswith("GET ")]
    assert get_item[head.index("PATH") :].startswith("/api/items/:id ")
    assert get_item[head.index("GRPC METHOD") :].startswith("tests.echo.EchoService/GetItem ")
    assert get_item.endswith("  convention")


def test_unmapped_methods_come_with_what_to_paste(grpcio_backend: Backend) -> None:
    done = run_command("routes", "--backend", grpcio_backend.endpoint)
    _, _, paste = done.stdout.partition("unmapped: tests.echo.EchoService/Probe")
    assert 'grpc_method: "tests.echo.EchoService/Probe"' in paste


def test_json_is_for_programs(grpcio_backend: Backend, tmp_path: Path) -> None:
    override = {"grpc_method": "tests.echo.EchoService/Probe", "http_path": "/probe/{id}", "http_method": "GET"}
    file = tmp_path / "gateway.yaml"
    write_config(file, serving(grpcio_backend.endpoint, route_overrides=[override]))
    done = run_command("routes", "--json", "--config", str(file))
    assert (done.exit_code, done.stderr) == (0, "")
    plan = json.loads(done.stdout)
    assert set(plan) == {"routes", "conflicts", "unmapped", "rejected_overrides", "failed"}
    (probe,) = [route for route in plan["routes"] if route["method"] == "tests.echo.EchoService/Probe"]
    assert (probe["verb"], probe["path"], probe["source"]) == ("GET", "/probe/{id}", "override")
    assert (plan["unmapped"], plan["failed"]) == ([], {})


def test_a_backend_that_cannot_be_asked_is_a_failure(grpcio_backend: Backend, tmp_path: Path) -> None:
    """The others are shown; the exit code tells."""
    file = tmp_path / "gateway.yaml"
    away = "http://127.0.0.1:9"
    write_config(file, {"services": {"here": {"endpoint": grpcio_backend.endpoint}, "away": {"endpoint": away}}})
    done = run_command("routes", "--config", str(file))
    assert done.exit_code == 1
    assert " /api/items/:id " in done.stdout
    assert f"away at {away} was not discovered: " in done.stderr
    assert "refused" in done.stderr
    done = run_command("routes", "--json", "--config", str(file))
    assert done.exit_code == 1
    assert list(json.loads(done.stdout)["failed"]) == ["away"]
    assert f"away at {away} was not discovered: " in done.stderr


def test_a_wrong_configuration_is_told(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("services: {}")
    done = run_command("routes", "--config", str(file))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "services" in done.stderr
