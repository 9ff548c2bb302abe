"""What all Python echo backends have in common as processes: options, the ready line, the end."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from api_gateway.demo.server import call_at_end_of_stdin


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files of a server. With `client_ca` it insists on client certificates from there."""

    certificate: str
    key: str
    client_ca: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoOptions:
    """How a backend was started."""

    host: str
    port: int
    tls: TlsFiles | None
    extra_methods: tuple[str, ...]
    has_auth_policy: bool
    journal: Path | None
    """Where executions are written too; see `EchoJournal`."""


class EchoServer(Protocol):
    """A backend that listens."""

    @property
    def port(self) -> int:
        """Where it listens."""

    async def stop(self) -> None:
        """Let running calls finish for a moment, then end."""


def run(backend: str, start: Callable[[EchoOptions], Awaitable[EchoServer]]) -> int:
    """Serve until SIGTERM, SIGINT or the end of standard input; returns the exit code."""
    return asyncio.run(_serve(backend, start, _options(backend)))


async def _serve(backend: str, start: Callable[[EchoOptions], Awaitable[EchoServer]], options: EchoOptions) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    call_at_end_of_stdin(loop, stop.set)
    server = await start(options)
    sys.stdout.write(json.dumps({"event": "ready", "backend": backend, "port": server.port}) + "\n")
    sys.stdout.flush()
    await stop.wait()
    await server.stop()
    return 0


def _options(backend: str) -> EchoOptions:
    parser = argparse.ArgumentParser(description=f"Serve the tests' echo service with {backend}.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--tls-cert", default="", help="PEM file with the server's certificate chain")
    parser.add_argument("--tls-key", default="", help="PEM file with its key")
    parser.add_argument("--tls-client-ca", default="", help="PEM file; clients must show a certificate signed by it")
    parser.add_argument("--extra-method", action="append", default=[], help="one more method with this name")
    parser.add_argument("--auth-policy", action="store_true", help="also serve gateway.ServiceAuthPolicy")
    parser.add_argument("--journal", type=Path, help="file to which executions are added")
    parsed = parser.parse_args()
    tls = TlsFiles(certificate=parsed.tls_cert, key=parsed.tls_key, client_ca=parsed.tls_client_ca)
    return EchoOptions(
        host=parsed.host,
        port=parsed.port,
        tls=tls if parsed.tls_cert else None,
        extra_methods=tuple(parsed.extra_method),
        has_auth_policy=parsed.auth_policy,
        journal=parsed.journal,
    )
