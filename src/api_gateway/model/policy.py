"""What a policy is: something that may refuse a request before it is forwarded, and hears how it ended."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from .exchange import Exchange


class Policy(Protocol):
    """One rule, bound to one route when the route table is built. It knows no other policy."""

    def admit(self, exchange: Exchange, now_s: float) -> Awaitable[None] | None:
        """Let the exchange pass, or raise GatewayError.

        Returns None when decided at once, else an awaitable that ends (or raises) when it is. `now_s` is monotonic.
        """

    def settle(self, exchange: Exchange, now_s: float) -> None:
        """Hear how an exchange ended that this policy had admitted: `status` and `grpc_code` are set. Never raises."""
