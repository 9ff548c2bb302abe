"""A backend that is redeployed or dies while calls run (P1, P4; G35, G39, G56, G63)."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from api_gateway.model.errors import GatewayError
from api_gateway.model.status import Code
from tests.support.answering_peer import AnsweringPeer
from tests.support.channels import GENEROUS_S, TestedChannel, channel_to
from tests.support.scripted_peer import PATIENCE_S
from tests.support.virtual_time import run_in_virtual_time


@dataclass(slots=True)
class Load:
    """Callers that call one after another until they are told to stop; every answer is checked."""

    channel: TestedChannel
    codes: Counter[int] = field(default_factory=Counter)
    sent: int = 0
    is_stopping: bool = False
    _goal: int = 0
    _has_reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, callers: int) -> None:
        """Call until told to stop."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(callers):
                tasks.create_task(self._call_again_and_again())

    async def answered(self, count: int) -> None:
        """Wait until so many more calls were answered."""
        self._goal = self.codes[Code.OK] + count
        self._has_reached = asyncio.Event()
        async with asyncio.timeout(PATIENCE_S):
            await self._has_reached.wait()

    async def _call_again_and_again(self) -> None:
        while not self.is_stopping:
            self.sent += 1
            message = b"%d" % self.sent
            try:
                reply = await self.channel.unary(message, timeout_s=GENEROUS_S)
            except GatewayError as error:
                self.codes[error.code] += 1
                await asyncio.sleep(0.01)
            else:
                assert reply.message == message
                self.codes[Code.OK] += 1
                if self.codes[Code.OK] >= self._goal:
                    self._has_reached.set()


async def ends_unavailable(channel: TestedChannel) -> bool:
    """Make one call; return whether it ended with UNAVAILABLE."""
    try:
        reply = await channel.unary(b"during", timeout_s=GENEROUS_S)
    except GatewayError as error:
        return error.code == Code.UNAVAILABLE
    assert reply.message == b"during"
    return False


def assert_executed_once(backend: AnsweringPeer) -> None:
    twice = [body for body, count in Counter(backend.executed).items() if count > 1]
    assert twice == []


async def test_graceful_restarts_lose_nothing() -> None:
    """G35, G63: twenty times GOAWAY under load; every call answered, right, and executed once."""
    async with AnsweringPeer() as backend, channel_to(backend.endpoint) as channel:
        load = Load(channel)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run(16))
            for _ in range(20):
                await load.answered(100)
                backend.drain()
            await load.answered(100)
            load.is_stopping = True
        assert set(load.codes) == {Code.OK}
        assert load.codes[Code.OK] == load.sent
        assert len(backend.connections) >= 21
        assert_executed_once(backend)


def test_kills_cost_what_was_running() -> None:
    """G39, G56: killed and started again five times: UNAVAILABLE only, and only for calls that were running."""

    async def scenario() -> None:
        async with AnsweringPeer() as backend, channel_to(backend.endpoint) as channel:
            load = Load(channel)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(load.run(8))
                for _ in range(5):
                    await load.answered(50)
                    backend.kill()
                    await channel.seen.wait_until(lambda: channel.seen.connections[-1] == 0)
                    await asyncio.sleep(0.5)
                    await backend.listen()
                await load.answered(50)
                load.is_stopping = True
            assert set(load.codes) <= {Code.OK, Code.UNAVAILABLE}
            # Eight callers have at most one call each when the connection ends; others wait out the restart.
            assert load.codes[Code.UNAVAILABLE] <= 5 * 8
            assert_executed_once(backend)

    run_in_virtual_time(scenario())


def test_a_backend_that_is_gone_fails_calls_fast_and_is_found_again() -> None:
    """G58: after the grace period calls fail at once; when the backend is back, calls succeed within one backoff."""

    async def scenario() -> None:
        async with AnsweringPeer() as backend, channel_to(backend.endpoint) as channel:
            assert (await channel.unary(b"before")).message == b"before"
            backend.kill()
            await channel.seen.wait_until(lambda: channel.seen.connections[-1] == 0)
            assert await ends_unavailable(channel)
            started_s = channel.loop.time()
            for _ in range(100):
                assert await ends_unavailable(channel)
            assert channel.loop.time() - started_s < 5
            await backend.listen()
            reply = await channel.unary(b"after", timeout_s=GENEROUS_S, waits_for_ready=True)
            assert reply.message == b"after"
            assert channel.loop.time() - started_s < 30

    run_in_virtual_time(scenario())
