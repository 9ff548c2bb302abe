"""The whole gateway as a process: started as people start it, spoken to over HTTP, watched through its log."""

from __future__ import annotations

import http.client
import json
import os
import select
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import ChildProcess, Ready, python_command, python_environment

TIMEOUT_S = 60.0
"""Longest wait for anything that will happen. Generous, because tests share the machine with other tests."""
POLL_S = 0.02
LONGER_THAN_ANY_TEST_MS = 600_000

Config = Mapping[str, Any]
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    def json(self) -> Any:
        """Return the body's value."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error in the body; fails the test when its shape is not the one shape of all errors (semantics 20)."""
        assert self.headers["content-type"] == "application/json", self
        document = self.json()
        assert set(document) == {"error"}, document
        error: dict[str, Any] = document["error"]
        assert {"code", "status", "message"} <= set(error) <= {"code", "status", "message", "details"}, error
        assert error["code"] == self.status
        assert isinstance(error["status"], str)
        assert isinstance(error["message"], str)
        return error

    @property
    def reason(self) -> str:
        """Why the gateway itself refused: the reason of the one ErrorInfo that its errors carry."""
        infos = [
            detail for detail in self.error["details"] if detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
        ]
        assert len(infos) == 1, self.error
        assert infos[0]["domain"] == "api-gateway"
        reason: str = infos[0]["reason"]
        return reason


class Client:
    """One keep-alive connection, for one thread. Never repeats a request. Use it as a context manager."""

    def __init__(self, port: int, *, timeout_s: float = TIMEOUT_S) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        self.is_closed = False
        """Whether the last answer said that it ends the connection."""

    def ask(self, method: str, target: str, body: object = None, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request and read its answer; a body that is not bytes is sent as JSON.

        Raises OSError or http.client.HTTPException when the connection cannot be made, or ends before the answer does.
        """
        fields = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            fields.setdefault("content-type", "application/json")
        self._connection.request(method, target, body=body, headers=fields)
        response = self._connection.getresponse()
        self.is_closed = response.will_close
        content = response.read()
        return Answer(
            status=response.status,
            headers={name.lower(): value for name, value in response.getheaders()},
            body=content,
        )

    def is_ended(self) -> bool:
        """Whether the server has closed the connection since the last answer: no request may go there any more."""
        connected = self._connection.sock
        return connected is not None and bool(select.select([connected], [], [], 0)[0])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(slots=True, kw_only=True)
class RunningGateway:
    """A gateway that serves."""

    process: ChildProcess
    port: int
    admin_port: int = 0
    """The port of operators, the same as `port` unless the configuration sets them apart."""
    config: Path | None = None
    """The configuration file, to be changed by `write_config`."""

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, target: str, body: object = None, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask on a connection of its own."""
        with Client(self.port) as client:
            return client.ask(method, target, body, headers=headers)

    def get(self, target: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """GET on a connection of its own."""
        return self.ask("GET", target, headers=headers)

    def log(self, message: str = "") -> list[dict[str, Any]]:
        """Return the log lines so far, parsed; with `message`, only the events of that name."""
        lines = [json.loads(line) for line in self.process.stdout.lines]
        return [line for line in lines if not message or line["fields"]["message"] == message]

    def wait_for_event(self, message: str, **fields: object) -> dict[str, Any]:
        """Return the fields of the first such event, old or new."""

        def is_it(line: str) -> bool:
            found = json.loads(line)["fields"]
            return found["message"] == message and all(found.get(key) == value for key, value in fields.items())

        line = self.process.stdout.wait_for(is_it, timeout_s=TIMEOUT_S)
        found: dict[str, Any] = json.loads(line)["fields"]
        return found

    def worker_pids(self) -> list[int]:
        """Return the ids of the worker processes alive; none when one process does it all."""
        booted = [
            int(line["fields"]["message"].rpartition(" ")[2])
            for line in self.log()
            if line["fields"]["message"].startswith("Booting worker with pid: ")
        ]
        return [pid for pid in booted if is_alive(pid)]

    def metric(self, name: str, labels: Labels | None = None) -> float:
        """Return the sum of a metric's samples with (at least) these labels, 0 when there are none."""
        with Client(self.admin_port or self.port) as client:
            page = client.ask("GET", "/metrics")
        assert page.status == 200
        wanted = dict(labels or {}).items()
        return sum(
            sample.value
            for family in text_string_to_metric_families(page.body.decode())
            for sample in family.samples
            if sample.name == name and wanted <= sample.labels.items()
        )

    def wait_until_routed(self, target: str, *, method: str = "GET") -> None:
        """Wait until a target is known, whatever it answers."""
        eventually(lambda: self.ask(method, target).status not in (404, 405), f"{target} is routed")

    def write_config(self, config: Config) -> None:
        """Replace the configuration file."""
        assert self.config is not None
        write_config(self.config, config)


def serving(endpoint: str, *, key: str = "echo", **sections: Any) -> dict[str, Any]:
    """Return a configuration with one service; `service` adds to its own section, all others stand beside it."""
    service = {"endpoint": endpoint, **sections.pop("service", {})}
    return {"services": {key: service}, **sections}


def serving_patiently(endpoint: str, **sections: Any) -> dict[str, Any]:
    """Return such a configuration in which nothing ends by a deadline before a test fails, however slow the machine."""
    times = ("request_timeout_ms", "idle_timeout_ms", "drain_timeout_ms")
    server = {**dict.fromkeys(times, LONGER_THAN_ANY_TEST_MS), **sections.pop("server", {})}
    service = {"timeout_ms": LONGER_THAN_ANY_TEST_MS, **sections.pop("service", {})}
    return serving(endpoint, service=service, server=server, **sections)


def observed(endpoint: str, **more: Any) -> dict[str, Any]:
    """Return the section that exports traces to an endpoint."""
    return {"observability": {"tempo_endpoint": endpoint, "export_interval_ms": 100, **more}}


def eventually(holds: Callable[[], object], what: str, *, timeout_s: float = TIMEOUT_S) -> None:
    """Wait until a condition holds; fail the test when it does not in time."""
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {what}"
        time.sleep(POLL_S)


def is_refused(port: int) -> bool:
    """Whether nobody listens on a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asked about yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # no such folder on macOS; no such process any more on Linux
        return not Path("/proc/self").exists()
    return state.rpartition(")")[2].split()[0] != "Z"


def write_config(path: Path, config: Config) -> None:
    """Write a configuration file: JSON, which is YAML too."""
    path.write_text(json.dumps(config))


@contextmanager
def start_gateway(
    config: Config | None = None,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[RunningGateway]:
    """Run `api-gateway run` on a free port of loopback, unless `arguments` say otherwise, until the context ends."""
    with tempfile.TemporaryDirectory(prefix="gateway-test-") as directory:
        path = Path(directory) / "gateway.yaml"
        options: Sequence[str] = ()
        if config is not None:
            write_config(path, config)
            options = ("--config", str(path))
        command = ("run", "--port", "0", *options, *arguments)
        with start_command(*command, environment=environment) as gateway:
            gateway.config = path if config is not None else None
            yield gateway


@contextmanager
def start_command(*arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[RunningGateway]:
    """Run a command that serves, such as `demo`, until the context ends. Raises ProcessFailedError."""
    with command_process(*arguments, environment=environment) as process:
        ready = process.wait_until_ready(listening_event)
        port: int = ready["port"]
        yield RunningGateway(process=process, port=port, admin_port=ready.get("admin_port") or port)


def command_process(*arguments: str, environment: Mapping[str, str] | None = None) -> ChildProcess:
    """Start `python -m api_gateway` with arguments; the caller stops it."""
    return ChildProcess(
        python_command("api_gateway", *arguments),
        environment={**clean_environment(), **(environment or {})},
    )


def clean_environment() -> dict[str, str]:
    """Return variables that keep a developer's own settings out."""
    settings = {name: "" for name in os.environ if name == "GATEWAY_CONFIG_PATH"}
    return {**python_environment(), **settings}


def listening_event(line: str) -> Ready | None:
    """Return host, port and workers if `line` says that the gateway listens."""
    if '"listening"' not in line:
        return None
    fields: Ready = json.loads(line)["fields"]
    return fields if fields["message"] == "listening" else None
