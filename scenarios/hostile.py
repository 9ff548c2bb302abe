"""A backend that attacks the gateway (B14). Another backend's client must not notice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final

from scenarios.backends import echo_backend
from scenarios.floods import FLOODS, Flood
from scenarios.load import ask_many, questions
from scenarios.neighbour import beside, neighbour
from scenarios.oracle import PLAIN, Tally
from scenarios.patience import until
from scenarios.peer import PREFIX, EchoPeer, EchoPeerConnection, PeerCall
from scenarios.refusing import NEVER_OPENS
from scenarios.stage import Stage, WatchedGateway

CALLS: Final = 3
FLOOD_S: Final = 6.0
"""Longest flood; then the backend gives up and closes."""
RSS_BYTES: Final = 8 * 1024 * 1024
UNSENT_BYTES: Final = 256 * 1024
MIB: Final = 1024 * 1024
HONEST: Final = frozenset({502, 503})


async def floods(stage: Stage) -> None:
    """B14: each flood in turn, beside a healthy backend."""
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(echo_backend(stage))
        peer = await stack.enter_async_context(EchoPeer())
        config = beside(backend, peer, connection_pool_size=1, circuit_breaker=NEVER_OPENS, timeout_ms=20_000)
        gateway = await stack.enter_async_context(stage.gateway(config, workers=1, prefixes=("echo", PREFIX)))
        async with neighbour(stage, gateway) as healthy:
            for flood in FLOODS:
                await _one(stage, gateway, peer, flood)
        peer.on_call = peer.execute
    healthy.mark(stage)


async def _one(stage: Stage, gateway: WatchedGateway, peer: EchoPeer, flood: Flood) -> None:
    """Pour one flood over the connection on which three calls wait, and mark what came of it."""
    held: list[PeerCall] = []
    peer.on_call = held.append
    loop = asyncio.get_running_loop()
    tally = Tally(expected=HONEST)
    with _highest_rss(gateway) as rss:
        async with asyncio.TaskGroup() as tasks:
            for question in questions(CALLS, PLAIN):
                tasks.create_task(ask_many(gateway.port, [question], PREFIX, tally))
            await until(lambda: len(held) == CALLS, "the calls arrive")
            started_s = loop.time()
            connection = held[0].connection
            await _pour(held[0], flood, lambda: connection.is_closed or tally.asked == CALLS)
            with_us_s = loop.time() - started_s
            is_ended = connection.is_closed or tally.asked == CALLS
            connection.abort()
    peer.on_call = peer.execute
    fates = dict(tally.statuses)
    end = f"connection closed by the gateway within {with_us_s:.2f} s" if is_ended else "connection kept"
    grown = rss[1] - rss[0]
    is_met = sum(tally.statuses.values()) == CALLS and grown <= RSS_BYTES
    figure = f"{end}; answers {fates}; RSS +{grown / MIB:.1f} MiB"
    stage.marks.holds(flood.name, figure, "answers 502 or 503; RSS + <= 8 MiB", is_met=is_met)
    for sample in tally.samples:
        stage.marks.note(flood.name, sample)
    await _recovers(gateway)


async def _recovers(gateway: WatchedGateway) -> None:
    """Wait until the service answers again: the next flood needs a connection of its own."""
    tally = Tally()
    async with asyncio.timeout(10):
        while not tally.ok_times_s:
            await ask_many(gateway.port, questions(1, PLAIN), PREFIX, tally)
            await asyncio.sleep(0.05)


async def _pour(call: PeerCall, flood: Flood, is_over: Callable[[], bool]) -> None:
    """Send a flood until it is over, the gateway closes, or too much time has passed."""
    connection = call.connection
    assert isinstance(connection, EchoPeerConnection)
    loop = asyncio.get_running_loop()
    until_s = loop.time() + FLOOD_S
    if not flood.reads_on:
        connection.pause_reading()
    for piece in flood.pieces(call):
        if is_over() or loop.time() > until_s:
            return
        connection.send_raw(piece)
        # At least one turn of the loop for each piece, so that the calls' ends are seen.
        await asyncio.sleep(0)
        await until(
            lambda: connection.unsent_bytes <= UNSENT_BYTES or is_over() or loop.time() > until_s, "room", timeout_s=60
        )
    if flood.body is not None:
        await _send_body(call, flood.body())
    # What was sent must arrive and be understood before anybody can close for it.
    for _ in range(50):
        if is_over():
            return
        await asyncio.sleep(0.01)


async def _send_body(call: PeerCall, body: bytes) -> None:
    """Send DATA until it is refused."""
    connection = call.connection
    for at in range(0, len(body), 65_536):
        if connection.is_closed or call.request.reset_code is not None:
            return
        await connection.send_body(call.stream_id, body[at : at + 65_536])
        await asyncio.sleep(0)


@contextmanager
def _highest_rss(gateway: WatchedGateway) -> Iterator[list[int]]:
    """Watch memory: the first number is that of the beginning, the second the highest meanwhile."""
    found = [gateway.rss_bytes()] * 2
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []

    def look() -> None:
        found[1] = max(found[1], gateway.rss_bytes())
        timers[:] = [loop.call_later(0.02, look)]

    look()
    try:
        yield found
    finally:
        found[1] = max(found[1], gateway.rss_bytes())
        timers[0].cancel()
