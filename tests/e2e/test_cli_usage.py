"""Help, version and wrong usage."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from api_gateway import __version__
from tests.support.command_line import run_command
from tests.support.processes import python_environment

COMMANDS = ("run", "check", "routes", "demo")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples(command: str) -> None:
    done = run_command(command, "--help")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "Example" in done.stdout
    assert f"\n    api-gateway {command}" in done.stdout
    assert "\x1b" not in done.stdout


def test_the_commands_are_listed_with_examples() -> None:
    done = run_command("--help")
    assert done.exit_code == 0
    assert [command for command in COMMANDS if f"\n  {command} " in done.stdout] == list(COMMANDS)
    assert "\n    api-gateway demo" in done.stdout
    assert "..." not in done.stdout.partition("Commands:")[2], "a summary is cut off"


def test_version() -> None:
    done = run_command("--version")
    assert (done.exit_code, done.stdout) == (0, f"api-gateway {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="no command"),
        pytest.param(("serve",), id="unknown command"),
        pytest.param(("run", "--colour"), id="unknown option"),
        pytest.param(("run", "--port", "http"), id="a port that is no number"),
        pytest.param(("run", "--port", "65536"), id="a port out of range"),
        pytest.param(("run", "--workers", "0"), id="no workers"),
        pytest.param(("routes", "--timeout", "0"), id="no time"),
        pytest.param(("check", "extra"), id="an argument too many"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...]) -> None:
    done = run_command(*arguments)
    assert done.exit_code == 2
    assert "Usage:" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_line_needs_no_grpcio() -> None:
    """It is the tests' and the demo's; the gateway has its own gRPC."""
    code = "import sys; import api_gateway.cli; sys.exit(bool({'grpc', 'google.protobuf'} & set(sys.modules)))"
    environment = {**os.environ, **python_environment()}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_a_demo_without_grpcio_says_what_to_install() -> None:
    code = "import sys; sys.modules['grpc'] = None; sys.argv[1:] = ['demo']; from api_gateway.cli import main; main()"
    environment = {**os.environ, **python_environment()}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'api-gateway[demo]'" in done.stderr
    assert "Traceback" not in done.stderr
