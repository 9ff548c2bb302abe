"""`api-gateway demo`: example backends and a gateway in front of them, nothing else needed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import Final

from ..config.settings import Settings
from .run import serve
from .screen import Screen

STOP_TIMEOUT_S: Final = 5.0
_NEEDED: Final = ("grpc", "grpc_reflection", "grpc_health")


def run_demo(screen: Screen, *, port: int, with_auth: bool) -> int:
    """Start the backends in a process of their own, serve, stop both; return the exit code."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        screen.fail("the demo needs grpcio: pip install 'api-gateway[demo]'")
        return 1
    # Its own process group: Ctrl-C reaches the gateway alone, which drains while the backends still answer.
    with subprocess.Popen(
        [sys.executable, "-m", "api_gateway.demo.server", "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as backends:
        try:
            assert backends.stdout is not None
            line = backends.stdout.readline()
            if not line:
                screen.fail("the example backends did not start")
                return 1
            ready = json.loads(line)
            settings = demo_settings(ready["user_port"], ready["auth_port"], port=port, with_auth=with_auth)
            return serve(screen, settings, origin="the demo")
        finally:
            backends.terminate()
            try:
                backends.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                backends.kill()


def demo_settings(user_port: int, auth_port: int, *, port: int, with_auth: bool) -> Settings:
    """Return the settings of the demo's gateway."""
    auth_endpoint = f"http://127.0.0.1:{auth_port}"
    return Settings.model_validate(
        {
            "server": {"host": "127.0.0.1", "port": port},
            "services": {
                "user-service": {"endpoint": f"http://127.0.0.1:{user_port}"},
                "auth-service": {"endpoint": auth_endpoint},
            },
            "auth": {"service_endpoint": auth_endpoint} if with_auth else None,
            "rate_limit": {"enabled": True, "requests_per_minute": 600},
        }
    )
