"""`api-gateway check`: 0 when the file is right, 1 with every mistake when it is not."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import run_command

CONTRACT = """\
server:
  host: "0.0.0.0"
  port: 8080
  request_timeout_ms: 30000
services:
  user-service:
    name: "user-service"
    endpoint: "http://user-service:50051"
    timeout_ms: 5000
    connection_pool_size: 10
    auto_discover: true
    tls_enabled: false
    circuit_breaker:
      failure_threshold: 5      # consecutive failures that open it
      success_threshold: 2      # consecutive successes that close it again
      timeout_seconds: 60       # how long it stays open before a trial
auth:
  service_endpoint: "http://auth-service:50051"
  timeout_ms: 3000
rate_limit:
  enabled: true
  requests_per_minute: 100
  window_seconds: 60
observability:
  tempo_endpoint: "http://tempo:4317"
  service_name: "api-gateway"
  otlp_timeout_secs: 3
  max_events_per_span: 64
  max_attributes_per_span: 16
discovery:
  enabled: true
  refresh_interval_seconds: 300
route_overrides:
  - grpc_method: "user.UserService/GetUser"
    http_path: "/api/v2/users/:id"
    http_method: "GET"
"""
"""The file that the product promises to take as it is, letter by letter."""


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
