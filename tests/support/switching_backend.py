"""A backend whose schema changes while its connections stay: only who asks again finds out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from tests.support.echo_schema import echo_schema


class SwitchingBackend(reflection_pb2_grpc.ServerReflectionServicer):
    """Reflects the echo service with the extra methods it was last told; calls of them are UNIMPLEMENTED."""

    def __init__(self) -> None:
        self.port = 0
        self.offer(())

    def offer(self, extra_methods: Sequence[str]) -> None:
        """Reflect the echo service with these methods added, from now on."""
        schema = echo_schema(extra_methods)
        self._reflection = reflection.ReflectionServicer((schema.service.full_name,), pool=schema.pool)

    @property
    def endpoint(self) -> str:
        """URL for the gateway's configuration."""
        return f"http://127.0.0.1:{self.port}"

    def ServerReflectionInfo(self, requests: Any, context: Any) -> Any:  # noqa: N802  named by gRPC
        """Answer a reflection call."""
        return self._reflection.ServerReflectionInfo(requests, context)


@contextmanager
def switching_backend() -> Iterator[SwitchingBackend]:
    """Serve one in this process until the context ends."""
    backend = SwitchingBackend()
    with ThreadPoolExecutor(8) as pool:
        server = grpc.server(pool, options=(("grpc.so_reuseport", 0),))
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(backend, server)  # type: ignore[no-untyped-call]  # by protoc
        backend.port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield backend
        finally:
            server.stop(None).wait()
