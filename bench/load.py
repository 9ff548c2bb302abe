"""Load generators: how a case sends its request again and again, and what came of it."""

from __future__ import annotations

import http.client
import json
import math
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from bench.processes import BenchError, die_with_parent, find_tool

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_GRACE_S: Final = 30.0
"""How much longer than asked a load generator may take before it counts as stuck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request."""

    method: str = "GET"
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What a load generator saw. `failed` counts transport errors and answers other than 2xx."""

    requests: int
    failed: int
    elapsed_s: float
    p50_ms: float
    p99_ms: float


class Load(Protocol):
    """A way to send a request many times."""

    @property
    def tool(self) -> str:
        """The command it needs; empty for none."""
        ...

    @property
    def label(self) -> str:
        """What the table says about it."""
        ...

    def run(self, request: Request, port: int, seconds: int, folder: Path) -> LoadResult:
        """Send `request` to a loopback port for so many seconds; `folder` is for scratch files."""
        ...


@dataclass(frozen=True, slots=True)
class Wrk:
    """HTTP/1.1 with keep-alive: each connection sends its next request when the answer is there."""

    connections: int
    tool: str = field(default="wrk", init=False)

    @property
    def label(self) -> str:
        return f"HTTP/1.1, {self.connections} connection{'s' if self.connections > 1 else ''}"

    def run(self, request: Request, port: int, seconds: int, folder: Path) -> LoadResult:
        command = [find_tool(self.tool), "-t1", f"-c{self.connections}", f"-d{seconds}s", "-s", str(_SCRIPT)]
        command += [f"-H{name}: {value}" for name, value in request.headers]
        command += [_url(request, port), "--", request.method]
        if request.body:
            command.append(str(_write_body(request, folder)))
        output = _run(command, seconds)
        return parse_wrk(output)


@dataclass(frozen=True, slots=True)
class H2load:
    """HTTP/2 with prior knowledge: several streams on each connection."""

    connections: int
    streams: int
    tool: str = field(default="h2load", init=False)

    @property
    def label(self) -> str:
        return f"HTTP/2, {self.connections} connections with {self.streams} streams"

    def run(self, request: Request, port: int, seconds: int, folder: Path) -> LoadResult:
        log = folder / "h2load.log"
        log.unlink(missing_ok=True)  # h2load appends
        command = [find_tool(self.tool), "-t1", f"-c{self.connections}", f"-m{self.streams}", f"-D{seconds}"]
        command += [f"--log-file={log}", *(f"-H{name}: {value}" for name, value in request.headers)]
        if request.body:
            command += ["-d", str(_write_body(request, folder))]
        _run([*command, _url(request, port)], seconds)
        return parse_h2load_log(log.read_text(), seconds)


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls that the target makes by itself (`caller.py`); the request is not sent."""

    concurrency: int
    tool: str = field(default="", init=False)

    @property
    def label(self) -> str:
        return f"gRPC, {self.concurrency} calls at once"

    def run(self, request: Request, port: int, seconds: int, folder: Path) -> LoadResult:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds + _GRACE_S)
        try:
            connection.request("GET", f"/run?seconds={seconds}&concurrency={self.concurrency}")
            return _from_json(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BenchError(f"the calling process failed: {error!r}") from error
        finally:
            connection.close()


def parse_wrk(output: str) -> LoadResult:
    """Read the line of JSON that `load.lua` writes. Raises BenchError when it is missing."""
    for line in output.splitlines():
        word, _, text = line.partition(" ")
        if word == "result":
            return _from_json(text)
    raise BenchError(f"wrk gave no result; its output:\n{output}")


def _from_json(text: str | bytes) -> LoadResult:
    values = json.loads(text)
    return LoadResult(
        requests=values["requests"],
        failed=values["failed"],
        elapsed_s=values["elapsed_us"] / 1e6,
        p50_ms=values["p50_us"] / 1e3,
        p99_ms=values["p99_us"] / 1e3,
    )


def parse_h2load_log(text: str, seconds: int) -> LoadResult:
    """Read the lines of `h2load --log-file`: start time, status and duration in microseconds, tab-separated."""
    rows = [line.split("\t") for line in text.splitlines()]
    latencies_us = sorted(int(row[2]) for row in rows)
    if not latencies_us:
        raise BenchError("h2load got no answer at all")
    return LoadResult(
        requests=len(rows),
        failed=sum(not row[1].startswith("2") for row in rows),
        elapsed_s=float(seconds),
        p50_ms=percentile(latencies_us, 50) / 1e3,
        p99_ms=percentile(latencies_us, 99) / 1e3,
    )


def percentile(ordered: list[int], percent: float) -> int:
    """Return the smallest value that at least so many percent of the values do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _url(request: Request, port: int) -> str:
    return f"http://127.0.0.1:{port}{request.path}"


def _write_body(request: Request, folder: Path) -> Path:
    path = folder / "body"
    path.write_bytes(request.body)
    return path


def _run(command: list[str], seconds: int) -> str:
    try:
        done = subprocess.run(
            die_with_parent(command), capture_output=True, text=True, check=False, timeout=seconds + _GRACE_S
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"{command[0]} did not end within {seconds + _GRACE_S:.0f} s") from None
    if done.returncode:
        raise BenchError(f"{command[0]} failed with code {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
