"""A client that goes away cancels its call: RST_STREAM CANCEL within 100 ms (semantics 26, G42, B17).

Measured from the client's goodbye to the frame at a backend that is told by hand, for every kind of call and goodbye.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from scenarios.peer import METHODS, PREFIX, SERVICE, EchoPeer, peer_files, reply_to
from tests.support import h2_frames
from tests.support.fake_reflection import FakeBackend
from tests.support.gateway import RunningGateway, serving, start_gateway
from tests.support.gen.echo_pb2 import EchoRequest
from tests.support.h2_frames import Error, Setting
from tests.support.http_application import until
from tests.support.promptness import quickest_async_s
from tests.support.raw_http import RawClient, get, post, request
from tests.support.scripted_peer import Manners, PeerConnection, PeerRequest, prefixed
from tests.support.websocket_client import TEXT, close_frame, frame, handshake

LIMIT_S = 0.1
WINDOW_BYTES = 1_000
STEP_BYTES = 60_000
Call = tuple[PeerConnection, PeerRequest]


class HoldingPeer(EchoPeer):
    """Answers nothing, returns no window, and offers streams of requests too."""

    def __init__(self) -> None:
        # A small window for each call, and nothing given back: whoever sends more is held back.
        super().__init__(Manners(settings={Setting.INITIAL_WINDOW_SIZE: WINDOW_BYTES}, returns_window=False))
        self.schema = FakeBackend(peer_files((*METHODS, "ClientStream", "BidiStream")), services=(SERVICE,))
        self.on_call = lambda call: None
        self._known: set[PeerRequest] = set()

    async def next_call(self) -> Call:
        """Return the next call of the service."""
        found: list[Call] = []

        def look() -> bool:
            found.extend(
                (connection, request)
                for connection in self.open_connections
                for request in connection.requests.values()
                if request not in self._known and (request.field(b":path") or b"").startswith(f"/{SERVICE}/".encode())
            )
            return bool(found)

        await until(look)
        self._known.add(found[0][1])
        return found[0]


@asynccontextmanager
async def holding() -> AsyncIterator[tuple[HoldingPeer, RunningGateway]]:
    """A gateway in front of such a backend."""
    async with HoldingPeer() as peer:
        starting = start_gateway(serving(peer.endpoint))
        gateway = await asyncio.to_thread(starting.__enter__)
        try:
            await asyncio.to_thread(gateway.wait_until_routed, f"/{PREFIX}/v1/collect", method="OPTIONS")
            yield peer, gateway
        finally:
            await asyncio.to_thread(starting.__exit__, None, None, None)


async def cancelled_after_s(call: Call, leave: Callable[[], None]) -> float:
    """Let the client leave; return when the backend saw the call reset."""
    assert call[1].reset_code is None
    left_s = time.monotonic()
    leave()
    return await cancelled_s(call) - left_s


async def cancelled_s(call: Call) -> float:
    """Wait until the call is reset, as a cancelled one, and return the time."""
    connection, begun = call
    assert await connection.reset_of(begun.stream_id) == Error.CANCEL
    return time.monotonic()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def line(text: str) -> bytes:
    return json.dumps({"text": text}).encode() + b"\n"


def upload(target: str) -> bytes:
    return request("POST", target, "Transfer-Encoding: chunked", "Content-Type: application/x-ndjson")


OPENINGS = {
    "unary": post(b"{}", f"/{PREFIX}/v1/echo"),
    "server stream": get(f"/{PREFIX}/v1/stream"),
    "upload": upload(f"/{PREFIX}/v1/collect") + chunk(line("a")),
    "websocket": handshake(f"/{PREFIX}/v1/chat"),
    "websocket of a server stream": handshake(f"/{PREFIX}/v1/stream"),
}
MESSAGES = {
    "upload": chunk(line("x" * STEP_BYTES)),
    "websocket": frame(TEXT, line("x" * STEP_BYTES)),
}
GOODBYES: dict[str, Callable[[RawClient], None]] = {
    "close": RawClient.close,
    "close of half": RawClient.end_sending,
    "reset": RawClient.reset,
}


async def test_semantics_26_every_kind_of_call_and_goodbye() -> None:
    took_s: dict[str, float] = {}
    async with holding() as (peer, gateway):
        departures: dict[str, Callable[[], Awaitable[float]]] = {
            "answer that has begun, reset": partial(leave_an_answer, peer, gateway),
            "websocket, close frame": partial(say_goodbye, peer, gateway),
        }
        for goodbye in GOODBYES:
            for kind in OPENINGS:
                departures[f"{kind}, {goodbye}"] = partial(leave_a_call, peer, gateway, kind, goodbye)
            for kind in MESSAGES:
                departures[f"{kind} held back, {goodbye}"] = partial(leave_held_back, peer, gateway, kind, goodbye)
        for name, leave in departures.items():
            took_s[name] = await quickest_async_s(leave, enough_s=LIMIT_S)
    assert {name: took for name, took in took_s.items() if took > LIMIT_S} == {}


async def leave_a_call(peer: HoldingPeer, gateway: RunningGateway, kind: str, goodbye: str) -> float:
    """Go away once the call has reached the backend."""
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        await client.send(OPENINGS[kind])
        call = await peer.next_call()
        return await cancelled_after_s(call, lambda: GOODBYES[goodbye](client))


async def leave_held_back(peer: HoldingPeer, gateway: RunningGateway, kind: str, goodbye: str) -> float:
    """Go away when the gateway has stopped reading: bytes of the client's wait in the kernel."""
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        await client.send(OPENINGS[kind])
        call = await peer.next_call()
        while not unread_bytes(gateway.port, client):
            await client.send(MESSAGES[kind])
            await asyncio.sleep(0.01)
        return await cancelled_after_s(call, lambda: GOODBYES[goodbye](client))


async def leave_an_answer(peer: HoldingPeer, gateway: RunningGateway) -> float:
    """Go away after the first message of a stream."""
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        await client.send(get(f"/{PREFIX}/v1/stream"))
        connection, begun = call = await peer.next_call()
        message = prefixed(reply_to(EchoRequest(text="first")))
        connection.send(connection.head(begun.stream_id), h2_frames.data(begun.stream_id, message))
        await client.read_at_least(100)
        return await cancelled_after_s(call, client.reset)


async def say_goodbye(peer: HoldingPeer, gateway: RunningGateway) -> float:
    """Send a close frame, as browsers do, and keep the connection open."""
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        await client.send(handshake(f"/{PREFIX}/v1/chat"))
        call = await peer.next_call()
        left_s = time.monotonic()
        await client.send(close_frame(1001))
        return await cancelled_s(call) - left_s


def unread_bytes(port: int, client: RawClient) -> int:
    """Return what the kernel holds of a client's bytes that the gateway has not read."""
    ours = client.port
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = row.split()
        if local.endswith(f":{port:04X}") and remote.endswith(f":{ours:04X}"):
            return int(queues.partition(":")[2], 16)
    return 0
