"""Fixtures: real gRPC backends on three libraries, each a process that serves the echo service.

A backend starts when the first test of a worker asks for it and serves all tests of that worker; tests keep apart by
their request ids. A test that restarts or kills a backend starts its own with `start_backend`. A `conftest.py` imports
the fixtures that its tests use.
"""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc.aio
import pytest
from google.protobuf.empty_pb2 import Empty

from tests.support.gen.echo_control_pb2 import GetJournalRequest, Journal, JournalEvent
from tests.support.processes import ROOT, ChildProcess, python_command, python_environment
from tests.support.rpc import unary

NODE_FOLDER = ROOT / "tests" / "support" / "node_backend"
LIBRARIES = ("grpcio", "grpclib", "node")
CONTROL = "tests.echo.ControlService"


class BackendMissingError(Exception):
    """A backend's own requirements cannot be met; the text says what to install."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A running echo backend."""

    library: str
    port: int
    process: ChildProcess

    @property
    def address(self) -> str:
        """`host:port`, as grpcio's client wants it."""
        return f"127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        """URL for the gateway's configuration."""
        return f"http://{self.address}"

    async def journal(self, request_id: str, *, wait_for: JournalEvent | None = None, at_least: int = 1) -> Journal:
        """Return what was executed under an id (`*`: everything); with `wait_for`, once that happened often enough.

        Raises grpc.aio.AioRpcError (DEADLINE_EXCEEDED) when it does not happen within `rpc.TIMEOUT_S`.
        """
        request = GetJournalRequest(id=request_id, wait_for=wait_for, at_least=at_least)
        async with grpc.aio.insecure_channel(self.address) as channel:
            return await unary(channel, f"{CONTROL}/GetJournal", request, Journal)

    async def clear_journal(self) -> None:
        """Forget all executions."""
        async with grpc.aio.insecure_channel(self.address) as channel:
            await unary(channel, f"{CONTROL}/ClearJournal", Empty(), Empty)


@contextmanager
def start_backend(library: str, *arguments: str) -> Iterator[Backend]:
    """Serve with a library of `LIBRARIES`; `arguments` as in `echo_process.py`.

    Raises BackendMissingError without Node or its packages, and ProcessFailedError when it does not start.
    """
    if library == "node":
        install_node_backend()
        command: tuple[str, ...] = ("node", str(NODE_FOLDER / "server.js"), *arguments)
    else:
        command = python_command(f"tests.support.echo_{library}", *arguments)
    with ChildProcess(command, environment=python_environment()) as process:
        ready = process.wait_until_ready()
        yield Backend(library=library, port=ready["port"], process=process)


def install_node_backend() -> None:
    """Install the packages of the Node backend unless they are there. Raises BackendMissingError with the reason."""
    # Test workers that start at once must not install into one folder at once.
    with (NODE_FOLDER / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        script = ROOT / "scripts" / "install-node-backend"
        done = subprocess.run([script], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackendMissingError(f"the Node backend cannot run: {done.stderr.strip() or done.stdout.strip()}")


@pytest.fixture(scope="session")
def grpcio_backend() -> Iterator[Backend]:
    """The echo service on Google's grpcio (C core); reflection v1alpha."""
    with start_backend("grpcio") as backend:
        yield backend


@pytest.fixture(scope="session")
def grpclib_backend() -> Iterator[Backend]:
    """The echo service on grpclib (pure Python, h2); reflection v1 and v1alpha."""
    with start_backend("grpclib") as backend:
        yield backend


@pytest.fixture(scope="session")
def node_backend() -> Iterator[Backend]:
    """The echo service on Node's grpc-js; reflection v1 and v1alpha, without annotations."""
    with start_backend("node") as backend:
        yield backend


@pytest.fixture(params=LIBRARIES)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each of the three in turn."""
    found = request.getfixturevalue(f"{request.param}_backend")
    assert isinstance(found, Backend)
    return found
