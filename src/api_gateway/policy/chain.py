"""Policies in their order: each is asked to admit, and those that did hear how it ended."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from ..model.exchange import Exchange
from ..model.policy import Policy


class Permit:
    """The right to forward one exchange, earned policy by policy with `obtain`. `settle` must be called at its end."""

    __slots__ = ("_admitted", "_policies")

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policies = policies
        self._admitted = 0

    def obtain(self, exchange: Exchange, now_s: float) -> Awaitable[None] | None:
        """Ask every policy in turn; the first that refuses raises GatewayError, and those behind it are not asked.

        Returns None when all decided at once, as they nearly always do, else what is to be awaited.
        """
        for policy in self._policies:
            waiting = policy.admit(exchange, now_s)
            if waiting is not None:
                return self._obtain_later(exchange, now_s, waiting)
            self._admitted += 1
        return None

    async def _obtain_later(self, exchange: Exchange, now_s: float, waiting: Awaitable[None]) -> None:
        await waiting
        self._admitted += 1
        for policy in self._policies[self._admitted :]:
            later = policy.admit(exchange, now_s)
            if later is not None:
                await later
            self._admitted += 1

    def settle(self, exchange: Exchange, now_s: float) -> None:
        """Tell the policies that admitted the exchange how it ended, the last one first."""
        for index in range(self._admitted - 1, -1, -1):
            self._policies[index].settle(exchange, now_s)
