"""The way out: parts, back-pressure, clients that take little."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api_gateway.edge.output import MIN_WRITE_BYTES_PER_S, STREAM_BUFFER_BYTES, Output, close_stream
from api_gateway.waiting import Runner
from tests.support.http_rig import FakeTransport

TIMEOUT_S = 10.0


class Parts:
    """Parts at once, as many as are asked for."""

    def __init__(self, *parts: bytes) -> None:
        self.given = 0
        self.is_closed = False
        self._parts = parts

    async def stream(self) -> AsyncIterator[bytes]:
        """Give them."""
        try:
            for part in self._parts:
                self.given += 1
                yield part
        finally:
            self.is_closed = True


class Plain:
    """A stream that is no generator: it cannot be closed."""

    def __init__(self) -> None:
        self._left = 2

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise StopAsyncIteration
        return b"part"


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@pytest.fixture
def output(transport: FakeTransport) -> Output:
    return Output(transport, TIMEOUT_S)


@pytest.mark.parametrize(
    ("is_chunked", "expected"),
    [(True, b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"), (False, b"onetwo")],
    ids=["in_chunks", "as_it_is"],
)
async def test_parts_are_written(output: Output, transport: FakeTransport, is_chunked: bool, expected: bytes) -> None:
    parts = Parts(b"one", b"", b"two")
    await output.write_parts(parts.stream(), is_chunked=is_chunked)
    assert bytes(transport.written) == expected
    assert parts.is_closed


async def test_any_iterator_will_do(output: Output, transport: FakeTransport) -> None:
    await output.write_parts(Plain(), is_chunked=False)
    assert bytes(transport.written) == b"partpart"
    await close_stream(Plain())


async def test_a_large_part_waits_alone(output: Output, transport: FakeTransport) -> None:
    """B16: nothing may be made beside it, however little of it is left; small ones share the buffer."""
    small, large = b"s" * STREAM_BUFFER_BYTES, b"l" * (STREAM_BUFFER_BYTES + 1)
    limits = []
    assert transport.high_bytes > len(large)
    for part in (small, large, large, small):
        output.write_part(part)
        limits.append(transport.high_bytes)
    assert limits == [STREAM_BUFFER_BYTES, 0, 0, STREAM_BUFFER_BYTES]
    assert bytes(transport.written) == small + large + large + small


async def test_a_large_part_is_not_copied(output: Output, transport: FakeTransport) -> None:
    """B16: what the transport holds while the client reads is the part itself."""
    large = b"l" * (STREAM_BUFFER_BYTES + 1)
    await output.write_parts(Parts(large, b"small").stream(), is_chunked=True)
    assert bytes(transport.written) == b"4001\r\n" + large + b"\r\n5\r\nsmall\r\n0\r\n\r\n"
    assert any(each is large for each in transport.pieces)


def test_paused_output_asks_for_no_more(output: Output, transport: FakeTransport) -> None:
    parts = Parts(b"one", b"two", b"three")
    output.pause(0.0)
    ended: list[BaseException | None] = []
    Runner(output.write_parts(parts.stream(), is_chunked=False), lambda _, error: ended.append(error)).start()
    assert (parts.given, ended) == (1, [])
    assert output.resume() is True
    assert (parts.given, ended) == (3, [None])
    assert output.resume() is False


def test_cancelled_stream_is_closed_at_once(output: Output) -> None:
    parts = Parts(b"one", b"two")
    output.pause(0.0)
    ended: list[BaseException | None] = []
    runner = Runner(output.write_parts(parts.stream(), is_chunked=False), lambda _, error: ended.append(error))
    runner.start()
    runner.cancel()
    assert parts.is_closed
    assert [type(error) for error in ended] == [asyncio.CancelledError]


@pytest.mark.parametrize(
    ("taken_bytes", "is_stalled"),
    [
        pytest.param(0, True, id="nothing"),
        pytest.param(int(MIN_WRITE_BYTES_PER_S * TIMEOUT_S) - 1, True, id="too_little"),
        pytest.param(int(MIN_WRITE_BYTES_PER_S * TIMEOUT_S), False, id="enough"),
    ],
)
def test_client_must_take_something(
    output: Output, transport: FakeTransport, taken_bytes: int, is_stalled: bool
) -> None:
    transport.unsent_bytes = 1_000_000
    output.pause(5.0)
    assert output.due_s == 15.0
    for look in (1, 2):
        transport.unsent_bytes -= taken_bytes
        assert output.is_stalled(5.0 + 10.0 * look) is is_stalled
        assert output.due_s == 15.0 + 10.0 * look


def test_what_the_kernel_holds_counts(transport: FakeTransport) -> None:
    """A slow client may read for minutes what the kernel took at once."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        transport.connected = ours
        output = Output(transport, TIMEOUT_S)
        held = ours.send(bytes(50_000))
        states = [output.is_empty]
        output.watch(0.0)
        states.append(output.is_stalled(10.0))
        while held > 0:
            held -= len(theirs.recv(65_536))
        states += [output.is_stalled(20.0), output.is_empty]
    if sys.platform == "linux":
        assert states == [False, True, False, True]


@pytest.mark.parametrize("is_closed", [True, False])
def test_what_has_no_queue_in_the_kernel_counts_its_own(
    transport: FakeTransport, tmp_path: Path, is_closed: bool
) -> None:
    with (tmp_path / "file").open("wb") as file, socket.socket() as closed:
        closed.close()
        transport.connected = closed if is_closed else file
        transport.unsent_bytes = 7
        assert not Output(transport, TIMEOUT_S).is_empty


def test_output_is_empty_when_the_client_has_all(output: Output, transport: FakeTransport) -> None:
    assert output.is_empty
    transport.unsent_bytes = 1
    assert not output.is_empty
