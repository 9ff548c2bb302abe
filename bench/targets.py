"""What is measured: how each target is configured and started in front of the backend."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml

from bench.envoy import envoy_config, find_envoy
from bench.load import Request
from bench.probe import ask
from bench.processes import BenchError, Child, running
from bench.schema import build_descriptors, load_descriptors, service_names

FEW_ROUTES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A running backend."""

    port: int
    descriptor_set: Path
    child: Child


class Workshop:
    """Scratch folder and running processes of one benchmark run. Everything it started ends with `stack`."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._backends: dict[int, Backend] = {}

    def start(self, name: str, command: list[str]) -> Child:
        """Start a process that ends with this run."""
        return self._stack.enter_context(running(name, command))

    def backend(self, routes: int) -> Backend:
        """Return the backend with so many annotated methods; it is started at the first call."""
        if routes not in self._backends:
            descriptor_set = build_descriptors(routes, self.folder / f"schema-{routes}")
            child = self.start(
                f"the backend with {routes} methods", [sys.executable, "-m", "bench.backend", str(descriptor_set)]
            )
            self._backends[routes] = Backend(port=printed_port(child), descriptor_set=descriptor_set, child=child)
        return self._backends[routes]


def printed_port(child: Child) -> int:
    """Wait for the port that a process of ours prints first. Raises BenchError for anything else."""
    child.wait_until(lambda: child.output.endswith("\n"))
    if not child.output.strip().isdigit():
        raise BenchError(f"{child.name} could not start; its output:\n{child.output}")
    return int(child.output)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A target that is ready to be measured."""

    port: int
    child: Child


class Target(Protocol):
    """Something that answers HTTP in front of the backend."""

    @property
    def kind(self) -> str:
        """What `--only` takes."""
        ...

    @property
    def title(self) -> str:
        """What the table calls it."""
        ...

    @property
    def routes(self) -> int:
        """How many annotated methods its backend has."""
        ...

    def start(self, workshop: Workshop) -> Running:
        """Start it and wait until it is ready. Raises BenchError with its output when it does not get there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Envoy:
    """Envoy with its JSON transcoder and nothing else: no access log, no limits, one worker thread."""

    kind: str = "envoy"
    title: str = "Envoy"
    routes: int = FEW_ROUTES

    def start(self, workshop: Workshop) -> Running:
        backend = workshop.backend(self.routes)
        port, admin_port = free_port(), free_port()
        path = workshop.folder / f"envoy-{port}.json"
        services = service_names(load_descriptors(backend.descriptor_set))
        transcoder = {"proto_descriptor": str(backend.descriptor_set), "services": services}
        path.write_text(json.dumps(envoy_config(transcoder, backend.port, port, admin_port)))
        flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
        child = workshop.start(self.title, [find_envoy(), "--config-path", str(path), *flags])
        child.wait_until(lambda: _is_ready(admin_port, "/ready") and _is_ready(port, "/v1/users/ready"))
        return Running(port=port, child=child)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Our gateway with one worker, rate limit, metrics and a log line for every request."""

    kind: str = "gateway"
    title: str = "gateway"
    routes: int = FEW_ROUTES
    sections: Mapping[str, Any] = field(default_factory=dict)
    """Further sections of its configuration file; `{backend}` in a text becomes the backend's address."""
    launcher: tuple[str, ...] = ("-m", "api_gateway")
    """Arguments for Python that stand for the gateway's own program."""

    def start(self, workshop: Workshop) -> Running:
        backend = workshop.backend(self.routes)
        port = free_port()
        path = workshop.folder / f"gateway-{port}.yaml"
        config = {**gateway_config(port), **self.sections}
        path.write_text(yaml.safe_dump(config).replace("{backend}", f"http://127.0.0.1:{backend.port}"))
        child = workshop.start(self.title, [sys.executable, *self.launcher, "run", "--config", str(path)])
        child.wait_until(lambda: _is_ready(port, "/health/ready"))
        return Running(port=port, child=child)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A process that calls the backend by itself, with the transport called `kind`."""

    kind: str
    title: str
    routes: int = FEW_ROUTES

    def start(self, workshop: Workshop) -> Running:
        backend = workshop.backend(self.routes)
        command = [sys.executable, "-m", "bench.caller", self.kind, str(backend.port), str(backend.descriptor_set)]
        child = workshop.start(self.title, command)
        return Running(port=printed_port(child), child=child)


def gateway_config(port: int) -> dict[str, Any]:
    """Return the gateway's configuration: everything that works per request is on, and nothing refuses."""
    return {
        "server": {"host": "127.0.0.1", "port": port, "workers": 1},
        "services": {"bench": {"endpoint": "{backend}"}},
        "rate_limit": {"enabled": True, "requests_per_minute": 1_000_000_000},
    }


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _is_ready(port: int, path: str) -> bool:
    try:
        return ask(port, Request(path=path)).status == 200
    except OSError:
        return False
