"""Policies in their order: each is asked to admit, and those that did hear how it ended."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from ..model.errors import GatewayError
from ..model.exchange import Exchange
from ..model.policy import Decision, Policy


class Permit:
    """The right to forward one exchange, earned policy by policy with `obtain`. `settle` must be called at its end."""

    __slots__ = ("_admitted", "_policies")

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policies = policies
        self._admitted = 0

    def obtain(self, exchange: Exchange, now_s: float) -> Decision:
        """Ask every policy in turn, up to the first that refuses; raises GatewayError if that one does.

        Returns an awaitable only when one of them cannot decide at once, as they nearly always do.
        """
        for policy in self._policies:
            decision = policy.admit(exchange, now_s)
            if decision is not None:
                return decision if isinstance(decision, GatewayError) else self._obtain_later(exchange, now_s, decision)
            self._admitted += 1
        return None

    async def _obtain_later(self, exchange: Exchange, now_s: float, waiting: Awaitable[None]) -> None:
        await waiting
        self._admitted += 1
        for policy in self._policies[self._admitted :]:
            await abide_by(policy.admit(exchange, now_s))
            self._admitted += 1

    def settle(self, exchange: Exchange, now_s: float) -> None:
        """Tell the policies that admitted the exchange how it ended, the last one first."""
        for index in range(self._admitted - 1, -1, -1):
            self._policies[index].settle(exchange, now_s)


class Refusing:
    """The policy that admits nobody: put last, it refuses what the others admitted."""

    def __init__(self, refusal: GatewayError) -> None:
        self._refusal = refusal

    def admit(self, exchange: Exchange, now_s: float) -> Decision:
        """Refuse."""
        return self._refusal

    def settle(self, exchange: Exchange, now_s: float) -> None:
        """Nothing to do: it never admitted anything."""


async def abide_by(decision: Decision) -> None:
    """Wait for a decision that comes later. Raises the GatewayError of a refusal."""
    if isinstance(decision, GatewayError):
        # It may be raised again and again, and would keep the traceback of each time.
        raise decision.with_traceback(None)
    if decision is not None:
        await decision
