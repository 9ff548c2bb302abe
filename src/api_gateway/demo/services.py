"""Both example backends, joined and listening."""

from __future__ import annotations

import time
from dataclasses import dataclass

import grpc.aio

from .auth_service import AuthService, SessionService
from .outage import Outage, OutageInterceptor, OutageService
from .policy_service import AUTH_POLICIES, USER_POLICIES, ServiceAuthPolicy
from .serving import Service, add_services
from .sessions import EXAMPLE_ACCOUNTS, SessionBook
from .user_service import UserService
from .users import UserDirectory, example_users


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoServers:
    """Two running servers. Whoever started them stops them, on the same event loop."""

    host: str
    user_port: int
    auth_port: int
    servers: tuple[grpc.aio.Server, ...]

    async def stop(self, grace_s: float = 2.0) -> None:
        """Refuse new calls, give running ones `grace_s` seconds, then cancel them."""
        for server in self.servers:
            await server.stop(grace_s)


async def serve_demo(host: str = "127.0.0.1", user_port: int = 0, auth_port: int = 0) -> DemoServers:
    """Start the user service and the auth service on the running loop; port 0 lets the kernel choose.

    Raises OSError when a port cannot be had; nothing is served then.
    """
    directory = UserDirectory(time.time_ns)
    for user in example_users():
        directory.create(user)
    sessions = SessionBook(EXAMPLE_ACCOUNTS, time.monotonic)
    outage = Outage(time.monotonic)
    user_services = (UserService(directory), ServiceAuthPolicy(USER_POLICIES))
    user_server, user_port = _listen(host, user_port, user_services, OutageInterceptor(outage))
    auth_services = (
        AuthService(sessions),
        SessionService(sessions),
        OutageService(outage),
        ServiceAuthPolicy(AUTH_POLICIES),
    )
    auth_server, auth_port = _listen(host, auth_port, auth_services)
    for server in (user_server, auth_server):
        await server.start()
    return DemoServers(host=host, user_port=user_port, auth_port=auth_port, servers=(user_server, auth_server))


def _listen(
    host: str, port: int, services: tuple[Service, ...], *interceptors: grpc.aio.ServerInterceptor
) -> tuple[grpc.aio.Server, int]:
    # Without so_reuseport=0 a second demo on the same port would start and get half of the first one's connections.
    server = grpc.aio.server(interceptors=interceptors, options=(("grpc.so_reuseport", 0),))
    add_services(server, services)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        return server, server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}: is another process using the port?") from error
