"""The order of policies: who is asked, who hears how it ended."""

from __future__ import annotations

import asyncio

import pytest

from api_gateway.model.errors import GatewayError
from api_gateway.model.exchange import Exchange
from api_gateway.model.policy import Decision
from api_gateway.model.status import Code
from api_gateway.policy.chain import Permit, Refusing, abide_by
from tests.support.auth_upstream import exchange

REFUSAL = GatewayError(Code.PERMISSION_DENIED, "no")


class Guard:
    """A policy that decides at once or later, and writes down what happens."""

    def __init__(self, name: str, events: list[str], *, later: bool = False, refuses: bool = False) -> None:
        self._name, self._events = name, events
        self._later, self._refuses = later, refuses
        self.gate = asyncio.Event()

    def admit(self, exchange: Exchange, now_s: float) -> Decision:
        self._events.append(f"ask {self._name} at {now_s:g}")
        if self._later:
            return self._decide_later()
        if self._refuses:
            return REFUSAL
        self._decide()
        return None

    async def _decide_later(self) -> None:
        await self.gate.wait()
        self._decide()

    def _decide(self) -> None:
        if self._refuses:
            raise REFUSAL
        self._events.append(f"{self._name} admits")

    def settle(self, exchange: Exchange, now_s: float) -> None:
        self._events.append(f"tell {self._name} at {now_s:g}")


def test_all_that_decide_at_once_are_asked_without_waiting() -> None:
    events: list[str] = []
    permit = Permit([Guard("a", events), Guard("b", events)])
    assert permit.obtain(exchange(), 1.0) is None
    permit.settle(exchange(), 2.0)
    assert events == ["ask a at 1", "a admits", "ask b at 1", "b admits", "tell b at 2", "tell a at 2"]


def test_first_refusal_ends_it_and_only_those_before_hear_of_it() -> None:
    events: list[str] = []
    permit = Permit([Guard("a", events), Guard("b", events, refuses=True), Guard("c", events)])
    assert permit.obtain(exchange(), 1.0) is REFUSAL
    permit.settle(exchange(), 2.0)
    assert events == ["ask a at 1", "a admits", "ask b at 1", "tell a at 2"]


async def test_one_that_waits_holds_back_those_behind_it() -> None:
    events: list[str] = []
    slow = Guard("slow", events, later=True)
    permit = Permit([Guard("a", events), slow, Guard("c", events), Guard("d", events, later=True)])
    waiting = permit.obtain(exchange(), 1.0)
    assert waiting is not None
    assert events == ["ask a at 1", "a admits", "ask slow at 1"]
    slow.gate.set()
    running = asyncio.get_running_loop().create_task(abide_by(waiting))
    for _ in range(5):
        await asyncio.sleep(0)
    assert events[3:] == ["slow admits", "ask c at 1", "c admits", "ask d at 1"]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    permit.settle(exchange(), 2.0)
    assert events[-3:] == ["tell c at 2", "tell slow at 2", "tell a at 2"], "the one that was asked had not admitted"


async def test_refusal_after_a_wait_is_raised_by_what_is_awaited() -> None:
    events: list[str] = []
    slow = Guard("slow", events, later=True, refuses=True)
    slow.gate.set()
    permit = Permit([Guard("a", events), slow, Guard("c", events)])
    waiting = permit.obtain(exchange(), 1.0)
    assert waiting is not None
    with pytest.raises(GatewayError):
        await abide_by(waiting)
    permit.settle(exchange(), 2.0)
    assert events == ["ask a at 1", "a admits", "ask slow at 1", "tell a at 2"]


def test_permit_without_policies_is_free() -> None:
    permit = Permit([])
    assert permit.obtain(exchange(), 1.0) is None
    permit.settle(exchange(), 2.0)


async def test_refusal_is_raised_to_those_who_abide_by_it() -> None:
    with pytest.raises(GatewayError) as caught:
        await abide_by(REFUSAL)
    assert caught.value is REFUSAL
    with pytest.raises(GatewayError) as again:
        await abide_by(REFUSAL)
    assert len(again.traceback) == len(caught.traceback), "a refusal that many share keeps no traceback of the others"
    await abide_by(None)


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
async def test_what_refuses_comes_after_all_others(*, later: bool) -> None:
    """semantics 32: the others are asked first, and hear of the end."""
    events: list[str] = []
    guard = Guard("a", events, later=later)
    guard.gate.set()
    permit = Permit((guard, Refusing(REFUSAL)))
    with pytest.raises(GatewayError, match="no"):
        await abide_by(permit.obtain(exchange(), 1.0))
    permit.settle(exchange(), 2.0)
    assert events == ["ask a at 1", "a admits", "tell a at 2"]
