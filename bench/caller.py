"""A gRPC client that measures itself: `python -m bench.caller gateway|grpcio BACKEND_PORT DESCRIPTOR_SET`.

It compares the gateway's transport with grpcio's, without HTTP in front. It listens on a loopback port of the kernel's
choice, prints the port as its only line, and does what it is told there: `GET /once` calls once and answers with the
message as JSON; `GET /run?seconds=S&concurrency=C` calls for so long and answers as `load.lua` does.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import grpc.aio
import uvloop
from google.protobuf import json_format

from api_gateway.deadlines import DeadlineWheel
from api_gateway.grpc.channel import Channel
from api_gateway.grpc.connectivity import ChannelOptions
from api_gateway.grpc.target import Target
from bench.load import percentile
from bench.schema import load_descriptors, message_class

Unary = Callable[[bytes], Awaitable[bytes]]
"""One call of `GetUser`: serialized message in, serialized message out."""

_PATH: Final = "/bench.Users/GetUser"
_MESSAGE: Final = b"\x0a\x03u42"
"""`GetUserRequest(id="u42")`."""
_DEADLINE_S: Final = 5.0


class _Deaf:
    """Hears nothing of what happens to connections."""

    def connections_changed(self, count: int) -> None:
        pass

    def connected(self) -> None:
        pass

    def disconnected(self, reason: str) -> None:
        pass

    def connect_failed(self, reason: str, retry_in_s: float) -> None:
        pass

    def call_waited(self, waited_s: float) -> None:
        pass

    def retried(self, result: str) -> None:
        pass

    def replaced(self, reason: str) -> None:
        pass

    def addresses_changed(self, added: list[str], removed: list[str]) -> None:
        pass

    def serving_changed(self, address: str, is_serving: bool, reason: str) -> None:
        pass

    def warned(self, reason: str) -> None:
        pass


def gateway_unary(port: int) -> Unary:
    """Return a call over the gateway's channel."""
    loop = asyncio.get_running_loop()
    channel = Channel(
        "bench",
        Target(host="127.0.0.1", port=port),
        ChannelOptions(),
        loop=loop,
        wheel=DeadlineWheel(loop),
        observer=_Deaf(),
    )
    path = _PATH.encode()

    async def unary(message: bytes) -> bytes:
        reply = await channel.unary(path, message, deadline_s=loop.time() + _DEADLINE_S, metadata=[])
        assert reply.message is not None
        return reply.message

    return unary


def grpcio_unary(port: int) -> Unary:
    """Return a call over grpcio's asyncio channel, without any protobuf of its own."""
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    multicallable: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        _PATH, request_serializer=None, response_deserializer=None
    )

    async def unary(message: bytes) -> bytes:
        answer: bytes = await multicallable(message, timeout=_DEADLINE_S)
        return answer

    return unary


async def run(unary: Unary, seconds: float, concurrency: int) -> dict[str, int]:
    """Call in so many loops at once, for so long."""
    # uvloop's own clock moves in steps of a millisecond.
    now_s = time.perf_counter
    latencies_us: list[int] = []
    started_s = now_s()
    end_s = started_s + seconds

    async def call_again_and_again() -> None:
        while (sent_s := now_s()) < end_s:
            await unary(_MESSAGE)
            latencies_us.append(int((now_s() - sent_s) * 1e6))

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(call_again_and_again())
    latencies_us.sort()
    return {
        "requests": len(latencies_us),
        "elapsed_us": int((now_s() - started_s) * 1e6),
        "p50_us": percentile(latencies_us, 50),
        "p99_us": percentile(latencies_us, 99),
        "failed": 0,
    }


async def serve(kind: str, backend_port: int, descriptor_set: Path) -> None:
    """Serve the two commands until SIGTERM or until standard input ends."""
    unary = {"gateway": gateway_unary, "grpcio": grpcio_unary}[kind](backend_port)
    user = message_class(load_descriptors(descriptor_set), "bench.User")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = urlsplit((await reader.readuntil(b"\r\n\r\n")).split()[1].decode())
        result: object
        if target.path == "/once":
            result = json_format.MessageToDict(user.FromString(await unary(_MESSAGE)))
        else:
            query = parse_qs(target.query)
            result = await run(unary, float(query["seconds"][0]), int(query["concurrency"][0]))
        body = json.dumps(result).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_reader(sys.stdin.fileno(), stopped.set)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
