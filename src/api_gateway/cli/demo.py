"""`api-gateway demo`: example backends and a gateway in front of them, nothing else needed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ..app import Gateway
from ..config.settings import Settings
from .listening import local_url
from .run import serve
from .screen import Screen
from .tour import FAILURES, LOGINS_PER_MINUTE, OPEN_S, lines, tour
from .worker_factory import ServingPlan

STOP_TIMEOUT_S: Final = 5.0
REQUESTS_PER_MINUTE: Final = 600
BREAKER: Final = {"failure_threshold": FAILURES, "timeout_seconds": OPEN_S}
_NEEDED: Final = ("grpc", "grpc_reflection", "grpc_health", "google.protobuf", "google.rpc")


class BackendsError(Exception):
    """The example backends did not start; they have said why on standard error."""


def run_demo(screen: Screen, *, port: int, with_auth: bool) -> int:
    """Start the backends in a process of their own, serve, stop both; return the exit code."""
    if any(not _is_installed(name) for name in _NEEDED):
        screen.fail("the demo needs grpcio: pip install 'api-gateway[demo]'")
        return 1

    async def show_tour(gateway: Gateway, address: tuple[Any, ...]) -> None:
        if not gateway.watcher.is_complete:
            # The start screen has just said why.
            return
        screen.say()
        screen.say("Ready. Try, in another terminal and in this order:", "bold")
        for line in lines(tour(local_url(address), with_auth=with_auth)):
            screen.say(line)
        screen.say()
        screen.say(
            "Ctrl-C stops it. `api-gateway demo --auth` shows it with tokens." if not with_auth else "Ctrl-C stops it."
        )

    try:
        with _example_backends() as ports:
            settings = demo_settings(ports["user_port"], ports["auth_port"], port=port, with_auth=with_auth)
            return serve(screen, ServingPlan(settings=settings, origin="the demo", on_serving=show_tour))
    except BackendsError:
        screen.fail("the example backends did not start")
        return 1


def demo_settings(user_port: int, auth_port: int, *, port: int, with_auth: bool) -> Settings:
    """Return the settings of the demo's gateway."""
    auth_endpoint = f"http://127.0.0.1:{auth_port}"
    return Settings.model_validate(
        {
            "server": {"host": "127.0.0.1", "port": port},
            "services": {
                "user-service": {"endpoint": f"http://127.0.0.1:{user_port}", "circuit_breaker": BREAKER},
                "auth-service": {"endpoint": auth_endpoint},
            },
            "auth": {"service_endpoint": auth_endpoint} if with_auth else None,
            "rate_limit": {
                "enabled": True,
                "requests_per_minute": REQUESTS_PER_MINUTE,
                "routes": [{"path": "/api/login", "requests_per_minute": LOGINS_PER_MINUTE}],
            },
        }
    )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False


@contextmanager
def _example_backends() -> Iterator[dict[str, Any]]:
    """Run the backends; yields their ready message. Raises BackendsError."""
    # Its own process group: Ctrl-C reaches the gateway alone, which drains while the backends still answer. Should this
    # process be killed, the end of standard input stops them.
    with subprocess.Popen(
        [sys.executable, "-m", "api_gateway.demo.server", "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as backends:
        try:
            line = backends.stdout.readline() if backends.stdout is not None else b""
            if not line:
                raise BackendsError
            yield json.loads(line)
        finally:
            backends.terminate()
            try:
                backends.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                backends.kill()
