"""A backend that answers policies and tokens with whatever bytes, status or delay a test wants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection

from api_gateway.demo.gen import user_pb2

USERS = user_pb2.DESCRIPTOR.services_by_name["UserService"].full_name
POLICY = "/gateway.ServiceAuthPolicy/GetAuthPolicy"
TOKEN = "/auth.AuthService/ValidateToken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One answer: a message, or a status instead."""

    message: bytes = b""
    code: grpc.StatusCode | None = None
    is_late: bool = False
    """Whether it does not come before the caller has given up."""


class ScriptedAuthority(grpc.GenericRpcHandler):
    """Serves `UserService` with empty answers, reflection, and the two contracts as scripted."""

    def __init__(self) -> None:
        self.policy = Said()
        self.token = Said()
        self.port = 0
        self._is_over = threading.Event()

    @property
    def endpoint(self) -> str:
        """URL for the gateway's configuration."""
        return f"http://127.0.0.1:{self.port}"

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Choose the handler of a method."""
        said: dict[str, Callable[[], Said]] = {POLICY: lambda: self.policy, TOKEN: lambda: self.token}
        method = handler_call_details.method
        if method.startswith(f"/{USERS}/"):
            return grpc.unary_unary_rpc_method_handler(lambda _, __: b"")
        if method not in said:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda _, context: self._say(said[method](), context))

    def end(self) -> None:
        """Let go of late answers."""
        self._is_over.set()

    def _say(self, said: Said, context: grpc.ServicerContext) -> bytes:
        if said.is_late:
            context.add_callback(self._is_over.set)
            self._is_over.wait(30)
            self._is_over.clear()
        if said.code is not None:
            context.abort(said.code, "as the test wants it")
        return said.message


@contextmanager
def scripted_authority() -> Iterator[tuple[ScriptedAuthority, Callable[[], None]]]:
    """Serve one in this process until the context ends; yields it, and what stops it earlier."""
    authority = ScriptedAuthority()
    with ThreadPoolExecutor(8) as pool:
        server = grpc.server(pool, handlers=[authority], options=(("grpc.so_reuseport", 0),))
        reflection.enable_server_reflection([USERS, reflection.SERVICE_NAME], server)
        authority.port = server.add_insecure_port("127.0.0.1:0")
        server.start()

        def stop() -> None:
            authority.end()
            server.stop(None).wait()

        try:
            yield authority, stop
        finally:
            stop()
