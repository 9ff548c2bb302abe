"""`gateway.ServiceAuthPolicy`: what each example service wants from its callers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .gen import policy_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    import grpc.aio
    from google.protobuf.descriptor import ServiceDescriptor

    Context = grpc.aio.ServicerContext[Any, Any]

CACHE_TTL_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodPolicy:
    """Who may call one method."""

    require_auth: bool
    required_roles: tuple[str, ...] = ()


PUBLIC: Final = MethodPolicy(require_auth=False)
ANY_CALLER: Final = MethodPolicy(require_auth=True)
ADMIN: Final = MethodPolicy(require_auth=True, required_roles=("admin",))

USER_POLICIES: Final = {
    "api_gateway.demo.UserService/GetUser": ANY_CALLER,
    "api_gateway.demo.UserService/ListUsers": ANY_CALLER,
    "api_gateway.demo.UserService/CreateUser": ANY_CALLER,
    "api_gateway.demo.UserService/UpdateUser": ANY_CALLER,
    "api_gateway.demo.UserService/WatchUsers": ANY_CALLER,
    "api_gateway.demo.UserService/DeleteUser": ADMIN,
}
AUTH_POLICIES: Final = {
    "api_gateway.demo.SessionService/Login": PUBLIC,
    "api_gateway.demo.OutageService/BeginOutage": PUBLIC,
}


class ServiceAuthPolicy:
    """Answers from a table; a method that is not in it needs the role `admin`."""

    descriptor: Final[ServiceDescriptor] = policy_pb2.DESCRIPTOR.services_by_name["ServiceAuthPolicy"]

    def __init__(self, policies: Mapping[str, MethodPolicy]) -> None:
        self._policies = policies

    async def GetAuthPolicy(  # noqa: N802  named by gRPC
        self, request: policy_pb2.AuthPolicyRequest, context: Context
    ) -> policy_pb2.AuthPolicyResponse:
        """Return the policy of one method."""
        policy = self._policies.get(request.grpc_method, ADMIN)
        return policy_pb2.AuthPolicyResponse(
            require_auth=policy.require_auth, required_roles=policy.required_roles, cache_ttl_seconds=CACHE_TTL_S
        )
