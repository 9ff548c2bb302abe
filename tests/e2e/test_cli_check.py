"""`api-gateway check`: 0 when the file is right, 1 with every mistake when it is not."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import run_command
from tests.support.contract_file import CONTRACT


def test_the_file_of_the_contract_is_right(tmp_path: Path) -> None:
    file = tmp_path / "gateway-config.yaml"
    file.write_text(CONTRACT)
    done = run_command("check", "--config", str(file))
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{file}: ok, 1 service\n", "")


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    """File, line, column, the key and the nearest right one."""
    file = tmp_path / "wrong.yaml"
    file.write_text(
        CONTRACT.replace("  port: 8080", "  prot: 8080").replace("requests_per_minute: 100", "requests_per_minute: x")
    )
    done = run_command("check", "--config", str(file))
    assert (done.exit_code, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first.startswith(f"error: {file}:3:3: server.prot: ")
    assert "port" in first.partition("server.prot")[2]
    assert second.startswith(f"error: {file}:22:24: rate_limit.requests_per_minute: ")


def test_a_missing_file_is_said_with_the_way_out(tmp_path: Path) -> None:
    done = run_command("check", "--config", str(tmp_path / "none.yaml"))
    assert done.exit_code == 1
    assert "there is no such file" in done.stderr
    assert "--config" in done.stderr


def test_without_any_configuration_it_says_what_to_name(tmp_path: Path) -> None:
    done = run_command("check", directory=tmp_path)
    assert done.exit_code == 1
    assert "config/gateway-config.yaml" in done.stderr
    assert "--backend" in done.stderr


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "named.yaml"
    file.write_text('services: {a: {endpoint: "http://localhost:1"}, b: {endpoint: "http://localhost:2"}}')
    environment = {"GATEWAY_CONFIG_PATH": str(file), "API_GATEWAY__SERVER__PORT": "9000"}
    done = run_command("check", environment=environment)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        f"{file}: ok, 2 services",
        "with values from the environment: API_GATEWAY__SERVER__PORT",
    ]
    wrong = run_command("check", environment={**environment, "API_GATEWAY__SERVER__PORT": "none"})
    assert wrong.exit_code == 1
    assert "API_GATEWAY__SERVER__PORT" in wrong.stderr


def test_what_may_not_work_is_a_warning(tmp_path: Path) -> None:
    """A file that is not there yet may come; a route that can never be is an error."""
    file = tmp_path / "g.yaml"
    file.write_text('services: {a: {endpoint: "https://localhost:1", tls_ca_cert_path: "/none/ca.pem"}}')
    done = run_command("check", "--config", str(file))
    assert (done.exit_code, done.stdout) == (0, f"{file}: ok, 1 service\n")
    assert done.stderr == f"warning: {file}:1:67: services.a.tls_ca_cert_path: there is no file /none/ca.pem\n"
    file.write_text(
        'services: {a: {endpoint: "http://localhost:1"}}\n'
        "route_overrides: [{grpc_method: a.B/C, http_method: GET, http_path: '/x/{id'}]"
    )
    for command in ("check", "routes", "run"):
        done = run_command(command, "--config", str(file))
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith(f"error: {file}:2:69: route_overrides[0].http_path: ")
