"""A channel over a bad network: every answer right, every call with an end, nothing left behind (G39, G41; P1, P4)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from api_gateway.grpc.connectivity import ChannelOptions
from api_gateway.model.errors import GatewayError
from api_gateway.model.status import Code
from tests.support.answering_peer import AnsweringPeer
from tests.support.channels import TestedChannel, channel_to
from tests.support.fault_proxy import Direction, FaultProxy
from tests.support.promptness import quickest_async_s
from tests.support.scripted_peer import PATIENCE_S, prefixed

ON_TIME_S = 0.1 + 0.25
"""A deadline of 0.1 s, and what a call may take beyond its deadline."""


class Network(NamedTuple):
    """A channel, the network, a backend."""

    channel: TestedChannel
    proxy: FaultProxy
    backend: AnsweringPeer


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    async with (
        AnsweringPeer() as backend,
        FaultProxy(backend.port) as proxy,
        channel_to(proxy.endpoint, ChannelOptions(pool_size=3)) as channel,
    ):
        yield Network(channel, proxy, backend)


async def outcome(channel: TestedChannel, message: bytes, *, timeout_s: float = PATIENCE_S) -> int:
    """Make one call; return its code, OK only for the right answer."""
    try:
        reply = await channel.unary(message, timeout_s=timeout_s)
    except GatewayError as error:
        return error.code
    assert reply.message == message
    return Code.OK


async def outcomes(
    channel: TestedChannel, count: int, prefix: str = "", *, timeout_s: float = PATIENCE_S
) -> Counter[int]:
    """Make calls at once; return how many ended with each code."""
    calls = [outcome(channel, f"{prefix}{number}".encode(), timeout_s=timeout_s) for number in range(count)]
    return Counter(await asyncio.gather(*calls))


def executed_once(backend: AnsweringPeer) -> bool:
    """Whether no request was executed twice."""
    return max(Counter(backend.executed).values(), default=0) <= 1


async def test_latency(network: Network) -> None:
    """Slow, and right."""
    network.proxy.faults.latency_s = 0.01
    assert await outcomes(network.channel, 60) == {Code.OK: 60}
    assert executed_once(network.backend)


@pytest.mark.parametrize("slice_bytes", [1, 7])
async def test_slicing(network: Network, slice_bytes: int) -> None:
    """G4: every frame cut anywhere."""
    network.proxy.faults.slice_bytes = slice_bytes
    assert await outcomes(network.channel, 20) == {Code.OK: 20}
    assert await outcome(network.channel, bytes(3_000)) == Code.OK


async def test_large_messages_both_ways(network: Network) -> None:
    """Twenty at once of 100 kB each, in slices of a kilobyte."""
    network.proxy.faults.slice_bytes = 1_000
    messages = [bytes([number]) * 100_000 for number in range(20)]
    codes = await asyncio.gather(*[outcome(network.channel, message) for message in messages])
    assert set(codes) == {Code.OK}


async def test_resets_in_the_middle(network: Network) -> None:
    """G39: calls on the lost connections end with UNAVAILABLE, at once; nothing is executed twice; then all is well."""
    for attempt in range(5):
        network.backend.is_holding = True
        seen = len(network.backend.executed)
        calls = asyncio.gather(*[outcome(network.channel, f"{attempt} {number}".encode()) for number in range(20)])
        await wait_for_executed(network, seen + 20)
        network.proxy.reset_all()
        assert set(await calls) == {Code.UNAVAILABLE}
        network.backend.release()
        assert await outcomes(network.channel, 20, f"after {attempt} ") == {Code.OK: 20}
    assert executed_once(network.backend)


async def wait_for_executed(network: Network, count: int) -> None:
    """Wait until the backend has executed so many requests."""
    await network.proxy.wait_until(lambda: len(network.backend.executed) >= count)


@pytest.mark.parametrize("direction", Direction)
async def test_half_closed_connections(network: Network, direction: Direction) -> None:
    """HTTP/2 has no use for half a connection: it ends, and calls find another."""
    assert await outcome(network.channel, b"before") == Code.OK
    network.proxy.half_close(direction)
    codes = await outcomes(network.channel, 20, "during ")
    assert set(codes) <= {Code.OK, Code.UNAVAILABLE}
    await network.proxy.wait_until(lambda: network.proxy.open_sockets <= 2)
    assert await outcome(network.channel, b"after") == Code.OK
    assert executed_once(network.backend)


async def test_a_black_hole_costs_no_call_more_than_its_deadline(network: Network) -> None:
    """G41: nothing comes back and nothing says so. Without keepalive only deadlines end the calls, all at once."""
    assert await outcome(network.channel, b"before") == Code.OK
    network.proxy.faults.is_black_hole = True
    loop = asyncio.get_running_loop()

    async def lose() -> float:
        started_s = loop.time()
        assert await outcomes(network.channel, 20, "lost ", timeout_s=0.1) == {Code.DEADLINE_EXCEEDED: 20}
        return loop.time() - started_s

    assert await quickest_async_s(lose, enough_s=ON_TIME_S) <= ON_TIME_S
    assert network.channel.channel.open_streams == 0
    network.proxy.faults.is_black_hole = False
    network.proxy.reset_all()
    await network.channel.seen.wait_until(lambda: network.channel.seen.connections[-1] == 0)
    assert await outcome(network.channel, b"after") == Code.OK
    assert network.backend.executed == [prefixed(b"before"), prefixed(b"after")]


async def test_keepalive_finds_a_black_hole() -> None:
    """G51: nothing comes back and nothing says so; calls end long before their deadlines, and the next one succeeds."""
    options = ChannelOptions(keepalive_interval_s=0.1, keepalive_timeout_s=0.1)
    async with (
        AnsweringPeer() as backend,
        FaultProxy(backend.port) as proxy,
        channel_to(proxy.endpoint, options) as channel,
    ):
        assert await outcome(channel, b"before") == Code.OK
        proxy.faults.is_black_hole = True
        calls = asyncio.gather(*[outcome(channel, b"lost %d" % number, timeout_s=60) for number in range(20)])
        assert set(await calls) == {Code.UNAVAILABLE}
        assert "no sign of life" in channel.seen.lost[0]
        proxy.faults.is_black_hole = False
        proxy.reset_all()
        assert await outcome(channel, b"after") == Code.OK
        assert channel.channel.open_streams == 0
