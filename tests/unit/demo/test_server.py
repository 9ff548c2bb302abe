"""The example backends as a process of their own, as the command line starts them."""

from __future__ import annotations

import signal
import socket

import grpc.aio
import pytest

from api_gateway.demo import server
from api_gateway.demo.gen.user_pb2 import GetUserRequest, User
from tests.support.processes import ChildProcess, python_command, python_environment, start_python
from tests.support.rpc import unary

MODULE = "api_gateway.demo.server"


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, id="sigterm"), pytest.param(signal.SIGINT, id="sigint")]
)
async def test_it_serves_on_the_printed_ports_and_stops_cleanly(number: signal.Signals) -> None:
    with start_python(MODULE) as process:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{process.ready['user_port']}") as channel:
            user = await unary(channel, "api_gateway.demo.UserService/GetUser", GetUserRequest(id="1"), User)
        assert user.name == "Ada Lovelace"
        assert process.ready["auth_port"] != process.ready["user_port"]
        process.send_signal(number)
        assert process.wait() == 0
        assert process.stderr.lines == []
        assert len(process.stdout.lines) == 1


def test_it_goes_with_its_parent() -> None:
    with start_python(MODULE, "--until-stdin-closes") as process:
        process.close_stdin()
        assert process.wait() == 0


def test_a_taken_port_is_a_sentence_and_exit_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = ChildProcess((*python_command(MODULE), "--auth-port", str(port)), environment=python_environment())
        assert process.wait() == 1
    assert f"cannot listen on 127.0.0.1:{port}" in process.stderr.lines[-1]
    assert "Traceback" not in process.stderr.text()


def test_without_grpcio_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def serve(options: object) -> int:
        raise ModuleNotFoundError("No module named 'grpc'", name="grpc.aio")

    monkeypatch.setattr(server, "_serve", serve)
    assert server.main([]) == 1
    assert capsys.readouterr().err == "the example backends need grpc.aio: pip install 'api-gateway[demo]'\n"
