"""`api-gateway run`: how it starts, what it says, and what it says when it cannot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.backends import Backend
from tests.support.command_line import run_command
from tests.support.gateway import TIMEOUT_S, serving, start_command, start_gateway, write_config
from tests.support.processes import python_command, python_environment


def test_a_backend_is_enough(grpcio_backend: Backend) -> None:
    """No file at all."""
    with start_gateway(None, "--backend", grpcio_backend.endpoint) as gateway:
        assert gateway.get("/api/items/7").json()["backend"] == "grpcio"


def test_the_start_screen_says_what_matters(grpcio_backend: Backend) -> None:
    """Where it listens, what protects it, what was discovered and what was not; plain in a pipe."""
    services = {"echo": {"endpoint": grpcio_backend.endpoint}, "away": {"endpoint": "http://127.0.0.1:9"}}
    with start_gateway({"services": services}) as gateway:
        screen = gateway.process.stderr
        screen.wait_for(lambda line: line.startswith("unmapped: "))
        text = screen.text()
        assert f"API Gateway listens on {gateway.url} " in text
        assert "authentication  off: every route is open to everybody" in text
        assert "rate limit      off" in text
        assert "away at http://127.0.0.1:9 is not discovered: " in text
        assert "/api/items/:id" in text
        assert "\x1b" not in text
        event = gateway.wait_for_event("listening")
        assert event == {
            "message": "listening",
            "pid": int(event["pid"]),
            "host": "127.0.0.1",
            "port": gateway.port,
            "workers": 1,
        }


def test_options_win_over_the_environment_and_that_over_the_file(grpcio_backend: Backend) -> None:
    """product.md 2: `API_GATEWAY__SERVER__PORT`-style overrides."""
    config = serving(grpcio_backend.endpoint, server={"port": 1, "workers": 1, "host": "127.0.0.3"})
    environment = {"API_GATEWAY__SERVER__WORKERS": "2", "API_GATEWAY__SERVER__PORT": "2"}
    with start_gateway(config, "--host", "127.0.0.1", environment=environment) as gateway:
        event = gateway.wait_for_event("listening")
        assert (event["host"], event["workers"]) == ("127.0.0.1", 2)


def test_the_environment_alone_is_enough(grpcio_backend: Backend, tmp_path: Path) -> None:
    """GATEWAY_CONFIG_PATH names the file, and a variable the port."""
    file = tmp_path / "elsewhere.yaml"
    write_config(file, serving(grpcio_backend.endpoint, server={"port": 1}))
    environment = {"GATEWAY_CONFIG_PATH": str(file), "API_GATEWAY__SERVER__PORT": "0"}
    with start_command("run", environment=environment) as gateway:
        assert gateway.get("/api/items/7").status == 200


def test_it_listens_on_ipv6(grpcio_backend: Backend) -> None:
    with start_gateway(serving(grpcio_backend.endpoint), "--host", "::1", "--workers", "2") as gateway:
        gateway.process.stderr.wait_for(lambda line: f"http://[::1]:{gateway.port}/health" in line)
        done = subprocess.run(
            ["curl", "-sS", f"http://[::1]:{gateway.port}/api/items/7"], capture_output=True, text=True, check=True
        )
        assert '"grpcio"' in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("--host", "192.0.2.1"), ("192.0.2.1", "--host"), id="an address of another machine"),
        pytest.param(("--host", "no.such.host.invalid"), ("no.such.host.invalid", "--host"), id="an unknown name"),
        pytest.param(("--config", "/nowhere/at.yaml"), ("/nowhere/at.yaml", "--config"), id="no file"),
        pytest.param(("--backend", "localhost:50051"), ("http://host:port",), id="a backend without a scheme"),
    ],
)
def test_a_failed_start_says_what_to_do(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    backend = () if "--config" in arguments or "--backend" in arguments else ("--backend", "http://127.0.0.1:9")
    done = run_command("run", "--port", "0", *backend, *arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert [word for word in words if word not in done.stderr] == []
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_taken_port_is_said_with_the_way_out(grpcio_backend: Backend, workers: str) -> None:
    done = run_command(
        "run", "--backend", "http://127.0.0.1:9", "--port", str(grpcio_backend.port), "--workers", workers
    )
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"another program has port {grpcio_backend.port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_stays_behind(grpcio_backend: Backend, tmp_path: Path) -> None:
    """The runtime directory lives exactly as long as the gateway."""
    environment = {"TMPDIR": str(tmp_path)}
    for workers in ("1", "2"):
        with start_gateway(serving(grpcio_backend.endpoint), "--workers", workers, environment=environment) as gateway:
            assert [path.name for path in tmp_path.glob("api-gateway-run-*")] != []
            assert gateway.process.stop() == 0
        assert list(tmp_path.iterdir()) == []


def test_no_room_for_the_shared_state_is_said() -> None:
    environment = {"API_GATEWAY__RATE_LIMIT__MAX_MEMORY": "1000TiB"}
    arguments = ("--backend", "http://127.0.0.1:9", "--port", "0", "--workers", "2")
    done = run_command("run", *arguments, environment=environment)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "rate_limit.max_memory" in done.stderr
    assert "Traceback" not in done.stderr


def test_people_who_look_away_stop_nothing(grpcio_backend: Backend) -> None:
    """Standard error may be closed at any time: the gateway serves, and ends well."""
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen(
        python_command("api_gateway", "run", "--port", "0", "--backend", grpcio_backend.endpoint),
        env={**os.environ, **python_environment()},
        stdout=subprocess.PIPE,
        stderr=writer,
        text=True,
    )
    os.close(writer)
    with process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any('"listening"' in line for line in lines)
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
