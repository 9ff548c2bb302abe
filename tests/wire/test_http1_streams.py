"""Streamed answers and uploads over real sockets: back-pressure in both directions, cuts, clients that go away."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from functools import partial

import uvloop

from api_gateway.edge.application import EdgeLimits
from api_gateway.edge.body import HIGH_WATER_BYTES
from api_gateway.model.errors import unavailable
from api_gateway.model.message import Request, Response
from api_gateway.waiting import Pending
from tests.support.http_application import SmallApplication, serving, until
from tests.support.promptness import quickest_async_s
from tests.support.raw_http import MalformedAnswerError, RawClient, get, request

PART = bytes(range(256)) * 64
"""16 KiB."""
AT_ONCE_S = 0.1


class Source:
    """An application whose `/stream` gives parts as fast as they are taken."""

    def __init__(self, count: int, *, error: Exception | None = None) -> None:
        self.given = 0
        self.is_ended = False
        self._count = count
        self._error = error
        self.application = SmallApplication({"/stream": self._answer})

    async def _answer(self, request: Request) -> Response:
        return Response(200, [(b"content-type", b"application/octet-stream")], stream=self._parts())

    async def _parts(self) -> AsyncIterator[bytes]:
        try:
            while self.given < self._count:
                self.given += 1
                # As a backend's message does: it comes in a turn of the loop of its own.
                turn: Pending[None] = Pending()
                asyncio.get_running_loop().call_soon(turn.resolve, None)
                await turn
                yield PART
            if self._error is not None:
                raise self._error
        finally:
            self.is_ended = True


async def test_stream_arrives_whole_and_the_connection_goes_on() -> None:
    source = Source(100)
    async with serving(source.application) as served, RawClient(served.address) as client:
        answer = await client.ask(get("/stream"))
        assert answer.header(b"transfer-encoding") == b"chunked"
        assert answer.body == PART * 100
        assert (await client.ask(get())).status == 200


async def test_stream_to_http_1_0_ends_with_the_connection() -> None:
    source = Source(20)
    async with serving(source.application) as served, RawClient(served.address) as client:
        await client.send(request("GET", "/stream", "Connection: keep-alive", version="HTTP/1.0"))
        answer = await client.answer()
        assert (answer.body, answer.is_last, answer.is_whole) == (PART * 20, True, False)


async def test_broken_stream_is_cut_off() -> None:
    """Semantics 24, B4: no client takes it for a whole answer."""
    source = Source(3, error=unavailable("the backend went away", "BACKEND_GONE"))
    async with serving(source.application) as served, RawClient(served.address) as client:
        await client.send(get("/stream"))
        try:
            await client.answer()
        except MalformedAnswerError as error:
            assert "ended" in str(error)
        else:
            raise AssertionError("it ended well")


async def test_slow_reader_holds_the_stream_back() -> None:
    """B16: what is in between is bounded by the kernel's buffers and ours, not by the stream."""
    source = Source(20_000)
    async with serving(source.application) as served, RawClient(served.address, receive_buffer_bytes=8_192) as slow:
        await slow.send(get("/stream"))
        await slow.read_at_least(100)
        before = -1
        while before != source.given:
            before = source.given
            await asyncio.sleep(0.1)
        assert source.given * len(PART) < 20_000_000
        async with RawClient(served.address) as quick:
            assert (await quick.ask(get())).status == 200
        await slow.read_at_least(source.given * len(PART) - 1_000_000)
        await until(lambda: source.given > before)


async def test_reader_that_stopped_is_cut_off() -> None:
    """F11."""
    source = Source(20_000)
    limits = EdgeLimits(write_timeout_s=0.2)
    async with serving(source.application, limits) as served:
        async with RawClient(served.address, receive_buffer_bytes=8_192) as stopped:
            await stopped.send(get("/stream"))
            await until(lambda: served.server.connection_count == 1)
            await until(lambda: served.server.connection_count == 0)
        assert source.is_ended


async def seconds_until(condition: Callable[[], object]) -> float:
    """Wait until something is so; return how long it took."""
    started_s = time.monotonic()
    await until(condition)
    return time.monotonic() - started_s


async def test_gone_client_ends_the_stream() -> None:
    """Semantics 26."""

    async def leave() -> float:
        source = Source(1_000_000)
        async with serving(source.application) as served, RawClient(served.address) as client:
            await client.send(get("/stream"))
            await client.read_at_least(100_000)
            client.reset()
            return await seconds_until(lambda: source.is_ended)

    assert await quickest_async_s(leave, enough_s=AT_ONCE_S) <= AT_ONCE_S


async def test_gone_client_cancels_its_request() -> None:
    """Semantics 26, G42, B17: within 100 ms, whether it closed, closed half, or was reset."""
    application = SmallApplication()

    async def leave(goodbye: Callable[[RawClient], None]) -> float:
        application.cancelled.clear()
        async with RawClient(served.address) as client:
            await client.send(get("/hold"))
            await until(lambda: application.held)
            goodbye(client)
            return await seconds_until(lambda: application.cancelled)

    async with serving(application) as served:
        for goodbye in (RawClient.close, RawClient.end_sending, RawClient.reset):
            assert await quickest_async_s(partial(leave, goodbye), enough_s=AT_ONCE_S) <= AT_ONCE_S


async def test_gone_client_cancels_its_request_behind_an_upload() -> None:
    """The end of the upload has not stopped the reading."""

    async def upload(request: Request) -> Response:
        assert request.body is not None
        body = request.body.read(10_000_000)
        assert len(body if isinstance(body, bytes) else await body) == 3_000_000
        return await application._hold(request)

    application = SmallApplication({"/upload": upload})

    async def leave() -> float:
        application.cancelled.clear()
        async with RawClient(served.address) as client:
            await client.send(request("POST", "/upload", "Content-Length: 3000000"), bytes(3_000_000))
            await until(lambda: application.held)
            client.close()
            return await seconds_until(lambda: application.cancelled)

    async with serving(application) as served:
        assert await quickest_async_s(leave, enough_s=AT_ONCE_S) <= AT_ONCE_S


async def test_slow_upload_reader_holds_the_client_back() -> None:
    """Semantics 25: what nobody has read stays in the kernel's buffers."""
    turns: list[Pending[None]] = []
    taken: list[int] = []

    async def upload(request: Request) -> Response:
        assert request.body is not None
        async for part in request.body.chunks(1_000_000_000):
            taken.append(len(part))
            turns.append(Pending())
            await turns[-1]
        return Response(200, [])

    async with (
        serving(SmallApplication({"/upload": upload})) as served,
        RawClient(served.address) as client,
    ):
        await client.send(request("POST", "/upload", "Content-Length: 1000000000"))
        sent = await client.send_until_blocked(bytes(65_536), limit_bytes=500_000_000)
        assert sent < 30_000_000
        assert len(taken) == 1
        turns[-1].resolve(None)
        assert max(taken) <= HIGH_WATER_BYTES + 1_000_000, "one segment above the mark"
        await until(lambda: len(taken) > 1)
        # Now the server takes more: this ends.
        await client.send(b"\0")


async def test_unread_upload_holds_the_client_back_until_it_is_wanted() -> None:
    gate: Pending[None] = Pending()

    async def upload(request: Request) -> Response:
        await gate
        assert request.body is not None
        body = request.body.read(100_000_000)
        return Response(200, [], b"%d" % len(body if isinstance(body, bytes) else await body))

    async with (
        serving(SmallApplication({"/upload": upload})) as served,
        RawClient(served.address) as client,
    ):
        await client.send(request("POST", "/upload", "Content-Length: 50000000"))
        sent = await client.send_until_blocked(bytes(50_000), limit_bytes=50_000_000)
        assert sent < 30_000_000
        gate.resolve(None)
        await client.send(bytes(50_000_000 - sent))
        assert (await client.answer()).body == b"50000000"


async def test_who_was_reset_before_it_was_accepted_asks_for_nothing() -> None:
    """What it sent can still be read. uvloop does not know who it was, and then it is nobody; never a local client."""
    application = SmallApplication()
    async with serving(application) as served:
        for _ in range(20):
            with socket.create_connection(served.address, timeout=30) as client:
                client.sendall(get("/echo"))
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        async with RawClient(served.address) as client_after:
            await client_after.ask(get("/ignore"))
        await until(lambda: served.server.connection_count == 0)
    if isinstance(asyncio.get_running_loop(), uvloop.Loop):
        assert application.targets == ["/ignore"]
