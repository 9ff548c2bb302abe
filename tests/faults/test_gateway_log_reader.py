"""D12: whoever reads the log stops, goes away or has no room. Requests are served, and lost lines are counted."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.backends import Backend
from tests.support.gateway import (
    Client,
    RunningGateway,
    clean_environment,
    eventually,
    is_refused,
    serving,
    write_config,
)
from tests.support.processes import ChildProcess, python_command

LONG_PATH = "/" + "a" * 2_000
"""Fills the queue of 8 MiB with 4,000 lines."""


@contextmanager
def gateway_with(output: str, backend: Backend, directory: Path) -> Iterator[RunningGateway]:
    """Run a gateway whose standard output is what a shell makes of `output`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    write_config(directory / "gateway.yaml", serving(backend.endpoint))
    command = python_command("api_gateway", "run", "--port", str(port), "--config", str(directory / "gateway.yaml"))
    with ChildProcess(("sh", "-c", f"{shlex.join(command)} {output}"), environment=clean_environment()) as process:
        eventually(lambda: not is_refused(port), "it listens")
        yield RunningGateway(process=process, port=port)
        process.kill()


@pytest.mark.parametrize(
    ("output", "requests"),
    [
        pytest.param("| sleep 1000", 6_000, id="reader that stopped"),
        pytest.param("| true", 100, id="reader that went away"),
        pytest.param(">&-", 100, id="closed"),
        pytest.param("> /dev/full", 100, id="full disk"),
    ],
)
def test_nobody_waits_for_the_log(output: str, requests: int, grpcio_backend: Backend, tmp_path: Path) -> None:
    with gateway_with(output, grpcio_backend, tmp_path) as gateway:
        gateway.wait_until_routed("/api/items/1")
        with Client(gateway.port) as client:
            for _ in range(requests):
                assert client.ask("GET", LONG_PATH).status == 404
            assert client.ask("GET", "/api/items/1").status == 200
        eventually(lambda: gateway.metric("api_gateway_log_lines_dropped_total") > 0, "lost lines are counted")
