"""The two faces of the auth service: `auth.AuthService` for the gateway, `SessionService` for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from .gen import auth_pb2, session_pb2
from .refusal import Violation, refuse_because, refuse_invalid
from .sessions import TOKEN_LIFETIME_S, SessionBook

if TYPE_CHECKING:
    from google.protobuf.descriptor import ServiceDescriptor

    Context = grpc.aio.ServicerContext[Any, Any]


class AuthService:
    """Tells the gateway whose token it is."""

    descriptor: Final[ServiceDescriptor] = auth_pb2.DESCRIPTOR.services_by_name["AuthService"]

    def __init__(self, sessions: SessionBook) -> None:
        self._sessions = sessions

    async def ValidateToken(  # noqa: N802  named by gRPC
        self, request: auth_pb2.ValidateTokenRequest, context: Context
    ) -> auth_pb2.ValidateTokenResponse:
        """Look the token up."""
        account = self._sessions.account_of(request.token)
        if account is None:
            return auth_pb2.ValidateTokenResponse(valid=False, error="unknown or expired token")
        return auth_pb2.ValidateTokenResponse(valid=True, user_id=account.user_id, roles=account.roles)


class SessionService:
    """Lets people log in."""

    descriptor: Final[ServiceDescriptor] = session_pb2.DESCRIPTOR.services_by_name["SessionService"]

    def __init__(self, sessions: SessionBook) -> None:
        self._sessions = sessions

    async def Login(  # noqa: N802  named by gRPC
        self, request: session_pb2.LoginRequest, context: Context
    ) -> session_pb2.LoginResponse:
        """Exchange a name and a password for a token. A wrong name and a wrong password look alike from outside."""
        missing = [Violation(name, "is required") for name in ("username", "password") if not getattr(request, name)]
        if missing:
            await refuse_invalid(context, missing)
        entry = self._sessions.log_in(request.username, request.password)
        if entry is None:
            message = "wrong user name or password"
            await refuse_because(context, grpc.StatusCode.UNAUTHENTICATED, message, "WRONG_CREDENTIALS")
        token, account = entry
        return session_pb2.LoginResponse(
            token=token, user_id=account.user_id, roles=account.roles, expires_in_seconds=TOKEN_LIFETIME_S
        )
