"""Slow backends (B13) and slow clients (B16): they hold up nobody but themselves."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import AsyncExitStack
from typing import Final

from scenarios.backends import echo_backend
from scenarios.load import LoadShape, ask_many, questions, steady
from scenarios.neighbour import beside, neighbour
from scenarios.oracle import PLAIN, Question
from scenarios.patience import until
from scenarios.peer import PREFIX, EchoPeer, PeerCall, reply_to
from scenarios.stage import Stage, WatchedGateway
from tests.support.fault_proxy import FaultProxy
from tests.support.scripted_peer import prefixed

SLOW_BYTES_PER_S: Final = 16_000
SLOW_CALLS: Final = 5
SLOW_ANSWER_BYTES: Final = 8_000
TINY_CALLS: Final = 3
TINY_ANSWER_BYTES: Final = 15_000
"""20 kB as base64 and DATA of one byte with 255 of padding: 5 MB of window for each answer."""
PADDING: Final = 255
BURST: Final = 20
"""Frames between two turns of the loop, which load and backend share."""
READERS: Final = 50
READS_BYTES: Final = 1_024
MESSAGE_BYTES: Final = 49_152
"""64 KiB as base64; 1,600 of them are the 100 MB."""
STREAM_MESSAGES: Final = 1_600
WINDOW_AND_BUFFER_BYTES: Final = 256 * 1024
"""For each stream, as the line has it. Here: a window of 128 KiB, and a message in the transport."""
MIB: Final = 1024 * 1024


async def slow_backend(stage: Stage) -> None:
    """B13: a link of 16 kB/s; then answers in DATA of one byte with 255 bytes of padding."""
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(echo_backend(stage))
        peer = await stack.enter_async_context(EchoPeer())
        proxy = await stack.enter_async_context(FaultProxy(peer.port))
        config = beside(backend, peer)
        config["services"]["peer"].update(endpoint=proxy.endpoint, timeout_ms=30_000, connection_pool_size=1)
        gateway = await stack.enter_async_context(stage.gateway(config, workers=1, prefixes=("echo", PREFIX)))
        async with neighbour(stage, gateway) as healthy:
            proxy.faults.bytes_per_s = SLOW_BYTES_PER_S
            template = Question(id="", seed=0, size_bytes=SLOW_ANSWER_BYTES, deadline_s=30)
            slow = await ask_many(gateway.port, questions(stage.number(SLOW_CALLS), template), PREFIX)
            proxy.faults.bytes_per_s = 0
        shape = LoadShape(rate_per_s=50, prefix=PREFIX, template=PLAIN)
        async with steady(gateway.port, shape) as quiet:
            await asyncio.sleep(stage.seconds(3))
        trickle = Trickle(peer)
        peer.on_call = trickle.take
        async with steady(gateway.port, shape) as beside_them:
            template = Question(id="", seed=0, size_bytes=TINY_ANSWER_BYTES, deadline_s=30)
            tiny = await ask_many(gateway.port, questions(stage.number(TINY_CALLS), template), PREFIX)
        peer.on_call = peer.execute
        await trickle.end()
    stage.judge(slow, "16 kB/s", errors_at_most=0)
    stage.marks.note("16 kB/s: slowest answer", f"{max(slow.took_s, default=0):.1f} s")
    healthy.mark(stage)
    stage.judge(tiny, "1-byte DATA", errors_at_most=0)
    stage.marks.note("1-byte DATA: frames", trickle.frames)
    stage.marks.note("1-byte DATA: slowest answer", f"{max(tiny.took_s, default=0):.1f} s")
    stage.judge(beside_them.tally, "same connection", errors_at_most=0)
    quiet_ms = quiet.tally.quantile_ms(0.99)
    bound_ms = max(3 * quiet_ms, 20.0)
    stage.marks.at_most("same connection: p99", beside_them.tally.quantile_ms(0.99), bound_ms, " ms")


class Trickle:
    """Sends long answers byte by byte, and short ones as usual."""

    def __init__(self, peer: EchoPeer) -> None:
        self.frames = 0
        self._peer = peer
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, call: PeerCall) -> None:
        """Answer."""
        if call.message.behaviour.response_size_bytes < TINY_ANSWER_BYTES:
            self._peer.execute(call)
        else:
            self._tasks.add(asyncio.get_running_loop().create_task(self._trickle(call)))

    async def end(self) -> None:
        """Wait for the answers."""
        await asyncio.gather(*self._tasks)

    async def _trickle(self, call: PeerCall) -> None:
        connection, stream_id = call.connection, call.stream_id
        connection.send(connection.head(stream_id))
        body = prefixed(reply_to(call.message))
        for at in range(0, len(body), BURST):
            await connection.send_body(stream_id, body[at : at + BURST], frame_bytes=1, padding=PADDING)
            await asyncio.sleep(0)
        self.frames += len(body)
        connection.send(connection.trailers(stream_id))


class Pouring:
    """A backend of server streams that sends as fast as windows allow."""

    def __init__(self, peer: EchoPeer) -> None:
        self.sent_bytes: dict[PeerCall, int] = {}
        self._peer = peer
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, call: PeerCall) -> None:
        """Answer with a stream."""
        self.sent_bytes[call] = 0
        self._tasks.add(asyncio.get_running_loop().create_task(self._pour(call)))

    async def end(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pour(self, call: PeerCall) -> None:
        connection, stream_id = call.connection, call.stream_id
        connection.send(connection.head(stream_id))
        body = prefixed(reply_to(call.message))
        for _ in range(STREAM_MESSAGES):
            for at in range(0, len(body), 16_000):
                part = body[at : at + 16_000]
                while not await self._has_window(call, len(part)):
                    if not call.is_open:
                        return
                await connection.send_body(stream_id, part)
                self.sent_bytes[call] += len(part)
        connection.send(connection.trailers(stream_id))

    @staticmethod
    async def _has_window(call: PeerCall, size_bytes: int) -> bool:
        await asyncio.sleep(0.01)
        connection = call.connection
        return min(connection.window_bytes(0), connection.window_bytes(call.stream_id)) >= size_bytes


async def slow_clients(stage: Stage) -> None:
    """B16: fifty clients read a stream of 100 MB at 1 KiB/s each."""
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(echo_backend(stage))
        peer = await stack.enter_async_context(EchoPeer())
        config = beside(backend, peer, timeout_ms=30_000)
        gateway = await stack.enter_async_context(stage.gateway(config, prefixes=("echo", PREFIX)))
        pouring = Pouring(peer)
        async with neighbour(stage, gateway) as healthy:
            peer.on_call = pouring.take
            before = gateway.rss_bytes()
            sent, highest = await _read_slowly(stage, gateway, pouring)
        await pouring.end()
        peer.on_call = peer.execute
    marks = stage.marks
    marks.equals("streams", len(pouring.sent_bytes), READERS)
    at_once = READERS * WINDOW_AND_BUFFER_BYTES / MIB
    marks.at_most("RSS grown by", (highest - before) / MIB, at_once, " MiB")
    marks.note("sent by the backend for each stream, at most", f"{max(sent) / 1024:.0f} KiB of 105,000")
    later = max(pouring.sent_bytes.values())
    marks.at_most("of it in the second half of the run", (later - max(sent)) / 1024, 64, " KiB")
    healthy.mark(stage, factor=2.0)


async def _read_slowly(stage: Stage, gateway: WatchedGateway, pouring: Pouring) -> tuple[list[int], int]:
    """Read for a while; return what the backend had sent at half time, and the highest memory."""
    seconds = round(stage.seconds(12, at_least_s=4))
    stop = asyncio.Event()
    highest = 0
    sent: list[int] = []
    async with asyncio.TaskGroup() as tasks:
        for number in range(READERS):
            tasks.create_task(_slow_client(gateway.port, number, stop))
        await until(lambda: len(pouring.sent_bytes) == READERS, "all streams have begun")
        for tick in range(seconds * 4):
            await asyncio.sleep(0.25)
            highest = max(highest, gateway.rss_bytes())
            if tick == seconds * 2:
                sent = list(pouring.sent_bytes.values())
        stop.set()
    return sent, highest


async def _slow_client(port: int, number: int, stop: asyncio.Event) -> None:
    """Ask for a stream and read 1 KiB of it a second."""
    loop = asyncio.get_running_loop()
    body = json.dumps({"id": f"slow-{number}", "seed": number, "behaviour": {"responseSizeBytes": MESSAGE_BYTES}})
    request = f"POST /peer/v1/stream HTTP/1.1\r\nhost: gateway\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, request.encode())
        while not stop.is_set():
            await loop.sock_recv(client, READS_BYTES)
            await asyncio.sleep(1)
