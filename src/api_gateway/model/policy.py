"""What a policy is: something that may refuse a request before it is forwarded, and hears how it ended."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from .errors import GatewayError
from .exchange import Exchange

Decision = GatewayError | Awaitable[None] | None
"""None lets the exchange pass, an error refuses it, and an awaitable says so later: it ends, or raises that error.

A refusal is a value where many may come, because it must be cheap: compiled, each function that an exception leaves
costs 0.4 us.
"""


class Policy(Protocol):
    """One rule, bound to one route when the route table is built. It knows no other policy."""

    def admit(self, exchange: Exchange, now_s: float) -> Decision:
        """Decide. `now_s` is monotonic. May raise the GatewayError of a refusal as well as return it."""

    def settle(self, exchange: Exchange, now_s: float) -> None:
        """Hear how an exchange ended that this policy had admitted: `status` and `grpc_code` are set. Never raises."""
