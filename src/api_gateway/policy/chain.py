"""Policies in their order: each is asked to admit, and those that did hear how it ended."""

from __future__ import annotations

from collections.abc import Sequence

from ..model.exchange import Exchange
from ..model.policy import Policy


class Permit:
    """The right to forward one exchange, earned policy by policy with `obtain`. `settle` must be called at its end."""

    __slots__ = ("_admitted", "_policies")

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policies = policies
        self._admitted = 0

    async def obtain(self, exchange: Exchange, now_s: float) -> None:
        """Ask every policy in turn; the first that refuses raises GatewayError, and those behind it are not asked."""
        for policy in self._policies:
            waiting = policy.admit(exchange, now_s)
            if waiting is not None:
                await waiting
            self._admitted += 1

    def settle(self, exchange: Exchange, now_s: float) -> None:
        """Tell the policies that admitted the exchange how it ended, the last one first."""
        for index in range(self._admitted - 1, -1, -1):
            self._policies[index].settle(exchange, now_s)
