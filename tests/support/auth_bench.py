"""An `Auth` with typed fakes of everybody it asks, and a clock that stands still until it is told to move."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api_gateway.config.settings import AuthSettings
from api_gateway.model.errors import GatewayError
from api_gateway.model.exchange import Exchange
from api_gateway.model.policy import Policy
from api_gateway.policy.auth import Auth, AuthListener, GuardedRoute
from api_gateway.policy.chain import abide_by
from api_gateway.policy.jwks import KeyFetch
from tests.support.auth_upstream import FakeUpstream
from tests.support.token_factory import NOW_S, SECRET, claims, hs256

ROUTE = GuardedRoute(service="users", method="user.UserService/GetUser", template="/api/users/:id", verb="GET")
REQUIRE_ANY = b"\x08\x01"
REQUIRE_ADMIN = b"\x08\x01\x12\x05admin"
PUBLIC = b"\x08\x00"
JWT = {"secret": SECRET}
GOOD = b"Bearer " + hs256({"alg": "HS256"}, claims())


def token_answer(
    *, valid: bool = True, user: str = "alice", roles: tuple[str, ...] = ("user",), error: str = ""
) -> bytes:
    """Return a `ValidateTokenResponse`, written by hand."""
    parts = [b"\x08\x01" if valid else b""]
    for tag, text in ((0x12, user), *((0x1A, role) for role in roles), (0x22, error)):
        if text:
            parts.append(bytes((tag, len(text.encode()))) + text.encode())
    return b"".join(parts)


class Bench:
    """One Auth, bound to one route. `failures` and `fetches` are what it reported."""

    def __init__(self, *, fetch: Callable[[], Awaitable[bytes]] | None = None, **settings: Any) -> None:
        self.backend = FakeUpstream(REQUIRE_ANY)
        self.validator = FakeUpstream(token_answer())
        self.failures: list[str] = []
        self.fetches: list[KeyFetch] = []
        self.wall_s = NOW_S
        self.ahead_s = 0.0
        if "jwt" not in settings:
            settings.setdefault("service_endpoint", "http://127.0.0.1:1")
        self.auth = Auth(
            AuthSettings(**settings),
            AuthListener(on_failure=self.failures.append, on_key_fetch=self.fetches.append),
            service=None if "jwt" in settings else self.validator,
            fetch_keys=fetch,
            wall_clock=lambda: self.wall_s,
            clock=self.now_s,
        )
        self.policy = self.auth.bind(ROUTE, self.backend)

    def now_s(self) -> float:
        """Return the monotonic time."""
        return asyncio.get_running_loop().time() + self.ahead_s

    async def pass_in(self, made: Exchange, policy: Policy | None = None) -> bool:
        """Admit an exchange; return whether that was decided at once."""
        pending = (policy or self.policy).admit(made, self.now_s())
        if pending is None:
            return True
        await abide_by(pending)
        return False

    async def refused(self, made: Exchange, policy: Policy | None = None) -> GatewayError:
        """Return the error that an exchange gets."""
        with pytest.raises(GatewayError) as caught:
            await self.pass_in(made, policy)
        return caught.value
