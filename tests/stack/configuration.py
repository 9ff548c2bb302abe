"""The configuration of the compose stack, with its services on this machine."""

from __future__ import annotations

from typing import Any

import yaml

from tests.stack.dashboards import STACK

NOBODY = "http://127.0.0.1:1"


def stack_config(ports: dict[str, Any]) -> dict[str, Any]:
    """Return it for two workers; `ports` are what the example services printed when they were ready."""
    config: dict[str, Any] = yaml.safe_load((STACK / "gateway.yaml").read_text())
    users, auth = (f"http://127.0.0.1:{ports[name]}" for name in ("user_port", "auth_port"))
    config["services"]["user-service"] |= {"endpoint": users}
    config["services"]["auth-service"] |= {"endpoint": auth}
    config["auth"]["service_endpoint"] = auth
    config["server"] = {"workers": 2}
    config["rate_limit"]["requests_per_minute"] = 1_000_000
    config["observability"]["tempo_endpoint"] = NOBODY
    return config
