"""README.md is true: its lines are run as they stand, against what they say, and answer as their comments promise."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import NamedTuple

import pytest

from tests.support.backends import Backend
from tests.support.command_line import run_command
from tests.support.gateway import clean_environment, start_command
from tests.support.processes import ROOT

MARKED = re.compile(r"^<!-- runs ?([^\n]*?) ?-->\n```shell\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATIENCE_S = 60.0
TOLD_BY_METRICS = (
    'api_gateway_circuit_breaker_state_changes_total{from="closed",service="user-service",to="open"} 1.0\n',
    'api_gateway_circuit_breaker_state_changes_total{from="open",service="user-service",to="half_open"} 1.0\n',
    'api_gateway_circuit_breaker_state_changes_total{from="half_open",service="user-service",to="closed"} 1.0\n',
    'api_gateway_circuit_breaker_state{service="user-service"} 0.0\n',
    'gateway_rate_limit_exceeded_total{route="/api/login"} 1.0\n',
)
"""What `/metrics`, the last block's, shows of the guards at work in the blocks before: the breaker did close again."""


class Block(NamedTuple):
    """Lines of shell, and what they run against."""

    against: str
    text: str

    @property
    def statuses(self) -> list[str]:
        """Return the HTTP status that each comment promises."""
        return re.findall(r"^#.*\((\d{3})\)$", self.text, re.MULTILINE)

    def on_port(self, port: int) -> str:
        """Return the lines for a gateway on another port, and for a terminal that nobody looks at."""
        return self.text.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("curl -i", "curl -s -i")


BLOCKS = [Block(*found) for found in MARKED.findall((ROOT / "README.md").read_text(encoding="utf-8"))]


def blocks(against: str) -> list[Block]:
    found = [block for block in BLOCKS if block.against == against]
    assert found, f"README.md has no block that is marked `runs {against}`"
    return found


def test_every_kind_of_block_is_run() -> None:
    assert {block.against for block in BLOCKS} == {"", "against: demo", "against: demo --auth", "with a backend"}


def test_the_guards_are_shown() -> None:
    """Refused, logged in, let in, a role refused; a limit hit; a breaker opening and closing again."""
    auth, (*_, guards, operators) = blocks("against: demo --auth"), blocks("against: demo")
    assert [block.statuses for block in auth] == [["401", "200", "200", "403"]]
    assert guards.statuses == ["429", "200", "503", "503", "200", "200"]
    assert "/health" in operators.text


@pytest.mark.parametrize("options", [(), ("--auth",)], ids=["open", "with tokens"])
def test_lines_for_the_demo(options: tuple[str, ...]) -> None:
    """All blocks of one demo, in the order of the page."""
    with start_command("demo", "--port", "0", *options) as gateway:
        gateway.process.stderr.wait_for(lambda line: line.startswith("Ctrl-C"), timeout_s=PATIENCE_S)
        for block in blocks(" ".join(("against: demo", *options))):
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.on_port(gateway.port)],
                capture_output=True,
                text=True,
                check=True,
                timeout=PATIENCE_S,
            )
            assert re.findall(r"HTTP/1\.1 (\d{3}) ", done.stdout) == block.statuses
            for reason in re.findall(r'"reason": "(\w+)"', block.text):
                assert f'"reason":"{reason}"' in done.stdout
            assert len(block.statuses) == block.text.count("curl -i")
            if "/metrics" in block.text:
                assert [line for line in TOLD_BY_METRICS if line not in done.stdout] == []


def test_lines_for_a_backend_of_ones_own(grpcio_backend: Backend) -> None:
    (block,) = blocks("with a backend")
    commands = [line for line in block.text.splitlines() if not line.startswith("#")]
    assert [command.split()[:2] for command in commands] == [
        [".venv/bin/api-gateway", "routes"],
        [".venv/bin/api-gateway", "run"],
    ]
    routes, run = (words(command, grpcio_backend) for command in commands)
    printed = run_command(*routes)
    assert printed.exit_code == 0
    assert "/api/items/:id" in printed.stdout
    with start_command(*run, "--port", "0") as gateway:
        gateway.wait_until_routed("/api/items/i-1")
        assert gateway.get("/api/items/i-1").status == 200


def words(command: str, backend: Backend) -> list[str]:
    """Return the arguments of a line, for another backend."""
    return command.replace("http://localhost:50051", backend.endpoint).split()[1:]


def test_lines_that_need_nothing() -> None:
    for block in blocks(""):
        for line in block.text.splitlines():
            assert line.startswith(".venv/bin/api-gateway ")
            assert run_command(*line.split()[1:]).exit_code == 0, line


@pytest.mark.parametrize("command", ["run", "check", "routes", "demo"])
def test_the_command_has_its_help(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api_gateway", command, "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
        env=clean_environment(),
    )
    assert "Example" in done.stdout
