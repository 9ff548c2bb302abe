"""Compiles the request path with mypyc when `API_GATEWAY_COMPILE=1` is set; without it the package is plain Python.

The modules are the same files either way: mypyc takes their type hints at their word and turns them into C. A request
then costs 29 us of CPU beside the kernel's share, instead of 57. A C compiler and Python's headers are needed.
"""

from __future__ import annotations

import os
from pathlib import Path

from setuptools import Extension, setup

REQUEST_PATH = (
    "deadlines",
    "edge/cors",
    "edge/http1",
    "edge/request_reader",
    "edge/respond",
    "edge/response_writer",
    "grpc/call",
    "grpc/call_head",
    "grpc/compression",
    "grpc/call_queue",
    "grpc/channel",
    "grpc/framing",
    "grpc/metadata",
    "grpc/retries",
    "grpc/spans",
    "grpc/stream_call",
    "grpc/unary_call",
    "grpc/subchannel",
    "http2/connection",
    "listeners",
    "model/deadline",
    "model/errors",
    "model/exchange",
    "model/headers",
    "model/message",
    "model/status",
    "model/trace",
    "policy/breaker",
    "policy/chain",
    "policy/client_address",
    "policy/rate_limit",
    "proxy/ending",
    "proxy/request",
    "proxy/streamed",
    "routing/capture",
    "routing/path",
    "routing/table",
    "routing/trie",
    "state/local",
    "state/memory",
    "state/window",
    "telemetry/access_log",
    "telemetry/log_line",
    "telemetry/metric_series",
    "telemetry/metrics",
    "telemetry/otlp",
    "telemetry/sampling",
    "telemetry/span_encoding",
    "telemetry/span_recorder",
    "telemetry/trace_context",
    "telemetry/tracing",
    "transcoding/binding",
    "transcoding/headers",
    "transcoding/json_codec",
    "transcoding/message_depth",
    "transcoding/string_variables",
    "waiting",
)
"""Modules that most requests pass through. Others are not worth their build time, or use what mypyc cannot compile."""

NATIVE_CODEC = Path("src/api_gateway/transcoding/native")


def compiled_modules() -> list[object]:
    """Return the extension modules, none unless asked for."""
    if os.environ.get("API_GATEWAY_COMPILE") != "1":
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        raise SystemExit(
            "API_GATEWAY_COMPILE=1 needs mypy here: pip install mypy, then use --no-build-isolation"
        ) from None
    source = Path("src/api_gateway")
    options = ["--config-file=", "--ignore-missing-imports", "--allow-untyped-calls"]
    modules = [str(source / f"{name}.py") for name in REQUEST_PATH]
    extensions: list[object] = mypycify([*options, *modules], opt_level="3", debug_level="0")
    native = Extension(
        "api_gateway.transcoding._native",
        sources=sorted(str(file) for file in NATIVE_CODEC.glob("*.c")),
        depends=sorted(str(file) for file in NATIVE_CODEC.glob("*.h")),
        extra_compile_args=["-O3", "-std=c11", "-Wall", "-Wextra", "-Wno-cast-function-type"],
    )
    return [*extensions, native]


setup(ext_modules=compiled_modules())
