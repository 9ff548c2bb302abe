"""A channel under test, with everything that happened to it, and the check that it leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api_gateway.deadlines import DeadlineWheel
from api_gateway.grpc.channel import Channel
from api_gateway.grpc.connectivity import ChannelOptions
from api_gateway.grpc.resolver import Lookup
from api_gateway.grpc.stream_call import StreamCall
from api_gateway.grpc.target import Target, parse_target
from api_gateway.grpc.unary_call import UnaryCall
from api_gateway.model.errors import GatewayError
from api_gateway.model.message import HeaderList
from tests.support.scripted_peer import PATIENCE_S

PATH = b"/test.Service/Method"
GENEROUS_S = 60.0
"""A deadline that no passing test reaches."""


class Recorder:
    """Implements `ChannelObserver`: keeps what it is told, and wakes who waits for it."""

    def __init__(self) -> None:
        self.connections: list[int] = []
        self.ready_count = 0
        self.lost: list[str] = []
        self.failed: list[tuple[str, float]] = []
        """Reason and wait of each failed attempt."""
        self.retries: list[str] = []
        """Results of retries."""
        self.waits_s: list[float] = []
        """How long calls waited in the queue."""
        self.replacements: list[str] = []
        self.moves: list[tuple[list[str], list[str]]] = []
        """Addresses added and removed."""
        self.serving: list[tuple[str, bool, str]] = []
        """Address, whether it serves, why not."""
        self.warnings: list[str] = []
        self._waiters: list[asyncio.Future[None]] = []

    def connections_changed(self, count: int) -> None:
        """Keep the count."""
        self.connections.append(count)
        self._notify()

    def connected(self) -> None:
        """Count."""
        self.ready_count += 1
        self._notify()

    def disconnected(self, reason: str) -> None:
        """Keep the reason."""
        self.lost.append(reason)
        self._notify()

    def replaced(self, reason: str) -> None:
        """Keep the reason."""
        self.replacements.append(reason)
        self._notify()

    def addresses_changed(self, added: list[str], removed: list[str]) -> None:
        """Keep both."""
        self.moves.append((added, removed))
        self._notify()

    def serving_changed(self, address: str, is_serving: bool, reason: str) -> None:
        """Keep what is true now."""
        self.serving.append((address, is_serving, reason))
        self._notify()

    def warned(self, reason: str) -> None:
        """Keep the text."""
        self.warnings.append(reason)
        self._notify()

    def connect_failed(self, reason: str, retry_in_s: float) -> None:
        """Keep reason and wait."""
        self.failed.append((reason, retry_in_s))
        self._notify()

    def call_waited(self, waited_s: float) -> None:
        """Keep the time."""
        self.waits_s.append(waited_s)
        self._notify()

    def retried(self, result: str) -> None:
        """Keep the result."""
        self.retries.append(result)
        self._notify()

    async def wait_until(self, is_true: Callable[[], bool]) -> None:
        """Wait for a condition, looked at after each thing told. Without a limit: clocks may jump."""
        while not is_true():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def failures(self, count: int) -> None:
        """Wait for so many failed attempts."""
        await self.wait_until(lambda: len(self.failed) >= count)

    def _notify(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class TestedChannel:
    """A channel and what belongs to it."""

    __test__ = False

    def __init__(self, target: Target, options: ChannelOptions, lookup: Lookup | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.wheel = DeadlineWheel(self.loop)
        self.seen = Recorder()
        self.channel = Channel(
            "tested", target, options, loop=self.loop, wheel=self.wheel, observer=self.seen, lookup=lookup
        )

    def unary(
        self,
        message: bytes = b"",
        *,
        timeout_s: float = GENEROUS_S,
        metadata: HeaderList | None = None,
        waits_for_ready: bool = False,
        is_idempotent: bool = False,
        path: bytes = PATH,
    ) -> UnaryCall:
        """Start a unary call."""
        return self.channel.unary(
            path,
            message,
            deadline_s=self.loop.time() + timeout_s,
            metadata=metadata or [],
            waits_for_ready=waits_for_ready,
            is_idempotent=is_idempotent,
        )

    def stream(
        self,
        *,
        timeout_s: float = GENEROUS_S,
        metadata: HeaderList | None = None,
        is_idempotent: bool = False,
        path: bytes = PATH,
    ) -> StreamCall:
        """Start a streaming call."""
        return self.channel.stream(
            path, deadline_s=self.loop.time() + timeout_s, metadata=metadata or [], is_idempotent=is_idempotent
        )


@asynccontextmanager
async def channel_to(
    endpoint: str | Target, options: ChannelOptions | None = None, *, lookup: Lookup | None = None
) -> AsyncIterator[TestedChannel]:
    """Open a channel; at the end close it and check that nothing is left: deadlines, streams, calls, tasks, noise."""
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    target = endpoint if isinstance(endpoint, Target) else parse_target(endpoint)
    tested = TestedChannel(target, options or ChannelOptions(), lookup)
    try:
        yield tested
    finally:
        await tested.channel.aclose()
    assert (len(tested.wheel), tested.channel.open_streams, tested.channel.queued_calls) == (0, 0, 0)
    assert (tested.seen.connections or [0])[-1] == 0
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith(("connect ", "resolve"))] == []
    assert not complaints, complaints
    tested.wheel.close()


async def error_of(call: Awaitable[object]) -> GatewayError:
    """Return the error with which a call, or what it is asked for, ends. Fails when it ends well, or not at all."""
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(GatewayError) as caught:
            await call
    return caught.value


async def code_of(call: Awaitable[object]) -> int:
    """Return the code of that error."""
    return (await error_of(call)).code


async def finished(call: Awaitable[object]) -> None:
    """Wait for a call that ends well and whose answer is of no interest."""
    async with asyncio.timeout(PATIENCE_S):
        await call
