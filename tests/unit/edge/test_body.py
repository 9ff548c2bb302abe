"""Bodies on their way in: whole, in parts, too large, held back, broken off."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.edge.body import HIGH_WATER_BYTES, IncomingBody
from api_gateway.model.errors import GatewayError, bad_request
from api_gateway.waiting import Runner


class Wire:
    """A body and what it asks of its connection."""

    def __init__(self, *, declared_bytes: int | None = None) -> None:
        self.demands = 0
        self.pressures = 0
        self.body = IncomingBody(declared_bytes=declared_bytes, on_demand=self._demand, on_pressure=self._press)

    def _demand(self) -> None:
        self.demands += 1

    def _press(self) -> None:
        self.pressures += 1

    def receive(self, *parts: bytes, is_last: bool = False) -> None:
        """Take parts as one segment of the connection does."""
        for part in parts:
            self.body.feed(part)
        if is_last:
            self.body.finish()
        self.body.wake()


class Reading:
    """A request that reads a body, stepped as the edge steps it."""

    def __init__(self, coroutine: Any) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.is_done = False
        self._runner = Runner(coroutine, self._ended)
        self._runner.start()

    def _ended(self, value: Any, error: BaseException | None) -> None:
        self.value, self.error, self.is_done = value, error, True

    def cancel(self) -> None:
        """Give up."""
        self._runner.cancel()


async def whole(body: IncomingBody, limit_bytes: int) -> bytes:
    read = body.read(limit_bytes)
    return read if isinstance(read, bytes) else await read


class Parts:
    """A reader of `chunks` that takes one part whenever it is told to."""

    def __init__(self, body: IncomingBody, limit_bytes: int) -> None:
        self.taken: list[bytes] = []
        self._chunks = body.chunks(limit_bytes)

    def take(self) -> Reading:
        return Reading(self._take())

    async def _take(self) -> bool:
        async for part in self._chunks:
            self.taken.append(part)
            return True
        return False


def test_body_that_is_complete_is_returned_without_waiting() -> None:
    wire = Wire(declared_bytes=5)
    wire.receive(b"hello", is_last=True)
    assert wire.body.read(5) == b"hello"
    assert wire.demands == 0, "nothing is missing that could be asked for"


def test_body_in_one_part_is_not_copied() -> None:
    wire = Wire(declared_bytes=5)
    part = bytes(range(5))
    wire.receive(part, is_last=True)
    assert wire.body.read(5) is part


def test_body_in_parts_is_joined_when_the_last_one_came() -> None:
    wire = Wire(declared_bytes=6)
    reading = Reading(whole(wire.body, 6))
    wire.receive(b"ab")
    wire.receive(b"cd")
    assert not reading.is_done
    wire.receive(b"ef", is_last=True)
    assert reading.value == b"abcdef"
    assert wire.demands == 1


async def test_body_can_be_awaited_by_a_task() -> None:
    wire = Wire(declared_bytes=4)
    read = wire.body.read(4)
    assert isinstance(read, Awaitable)
    asyncio.get_running_loop().call_soon(lambda: wire.receive(b"late", is_last=True))
    assert await read == b"late"


def test_reader_runs_when_woken_and_never_inside_the_parser() -> None:
    wire = Wire()
    reading = Reading(whole(wire.body, 10))
    wire.body.feed(b"abc")
    wire.body.finish()
    assert not reading.is_done
    wire.body.wake()
    assert reading.value == b"abc"


def test_empty_body_is_empty() -> None:
    wire = Wire(declared_bytes=0)
    wire.receive(is_last=True)
    assert wire.body.read(0) == b""


@pytest.mark.parametrize(
    ("declared_bytes", "parts", "limit_bytes", "is_refused"),
    [
        pytest.param(10, [], 10, False, id="declared_at_limit"),
        pytest.param(11, [], 10, True, id="declared_above_limit_is_refused_before_any_byte"),
        pytest.param(10**19, [], 10, True, id="declared_huge"),
        pytest.param(None, [b"x" * 10], 10, False, id="chunked_at_limit"),
        pytest.param(None, [b"x" * 10, b"y"], 10, True, id="chunked_one_byte_above"),
        pytest.param(None, [b"x" * 11], 10, True, id="chunked_above_in_one_part"),
        pytest.param(None, [], 0, False, id="limit_zero_and_nothing_yet"),
        pytest.param(None, [b"x"], 0, True, id="limit_zero"),
        pytest.param(1, [], 0, True, id="limit_zero_declared"),
    ],
)
@pytest.mark.parametrize("is_late", [False, True], ids=["came_before_the_reader", "came_after_the_reader"])
def test_body_limit(
    declared_bytes: int | None, parts: list[bytes], limit_bytes: int, is_refused: bool, is_late: bool
) -> None:
    """H12: 413 at the limit and one byte, whether it is declared or found out."""
    wire = Wire(declared_bytes=declared_bytes)
    if not is_late:
        wire.receive(*parts)
    reading = Reading(whole(wire.body, limit_bytes))
    if is_late:
        wire.receive(*parts)
    assert reading.is_done is is_refused
    if is_refused:
        assert isinstance(reading.error, GatewayError)
        assert (reading.error.http, reading.error.reason, reading.error.close) == (413, "BODY_TOO_LARGE", True)
        assert reading.error.metadata == {"limit_bytes": str(limit_bytes)}


def test_what_comes_after_the_limit_is_dropped() -> None:
    wire = Wire()
    Reading(whole(wire.body, 10))
    tracemalloc.start()
    try:
        for _ in range(100):
            wire.receive(bytes(100_000))
        assert tracemalloc.get_traced_memory()[0] < 200_000
    finally:
        tracemalloc.stop()
    assert wire.body.received_bytes == 10_000_000


def test_parts_of_two_bytes_take_no_more_memory_than_one_part() -> None:
    """H12: memory stays below twice the limit; as a list, these parts would take 28 times their size."""
    wire = Wire()
    Reading(whole(wire.body, 1_000_000))
    tracemalloc.start()
    try:
        for index in range(200_000):
            wire.body.feed(index.to_bytes(3, "big")[1:])
        assert tracemalloc.get_traced_memory()[0] < 2 * 400_000
    finally:
        tracemalloc.stop()


def test_unread_body_presses_above_the_high_water_mark() -> None:
    wire = Wire()
    wire.receive(bytes(HIGH_WATER_BYTES))
    assert wire.pressures == 0
    wire.receive(b"x")
    assert wire.pressures == 1


def test_body_that_is_read_whole_never_presses() -> None:
    wire = Wire()
    Reading(whole(wire.body, 10 * HIGH_WATER_BYTES))
    wire.receive(bytes(9 * HIGH_WATER_BYTES))
    assert wire.pressures == 0


def test_chunks_press_when_the_reader_is_slow_and_ask_for_more_when_it_took() -> None:
    wire = Wire()
    parts = Parts(wire.body, 10 * HIGH_WATER_BYTES)
    wire.receive(bytes(HIGH_WATER_BYTES), b"x")
    assert wire.pressures == 1
    parts.take()
    assert wire.demands == 2, "once at the start, once when bytes were taken"
    assert [len(part) for part in parts.taken] == [HIGH_WATER_BYTES + 1]


def test_chunks_come_as_they_arrive_and_end() -> None:
    wire = Wire()
    parts = Parts(wire.body, 100)
    first = parts.take()
    assert not first.is_done
    wire.receive(b"one")
    assert first.value is True
    wire.receive(b"two", b"three", is_last=True)
    parts.take()
    assert parts.taken == [b"one", b"twothree"]
    assert parts.take().value is False


def test_chunks_above_the_limit_fail_at_once() -> None:
    wire = Wire()
    parts = Parts(wire.body, 5)
    wire.receive(b"1234")
    parts.take()
    reading = parts.take()
    wire.receive(b"56")
    assert isinstance(reading.error, GatewayError)
    assert reading.error.http == 413


def test_no_more_is_asked_for_once_all_is_there() -> None:
    wire = Wire()
    wire.receive(b"all", is_last=True)
    parts = Parts(wire.body, 5)
    assert parts.take().value is True
    assert parts.take().value is False
    assert wire.demands == 0


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda body: whole(body, 100), id="read"),
        pytest.param(lambda body: Parts(body, 100)._take(), id="chunks"),
    ],
)
@pytest.mark.parametrize("is_late", [False, True], ids=["before", "while_waiting"])
def test_broken_body_fails_its_reader(read: Callable[[IncomingBody], Any], is_late: bool) -> None:
    wire = Wire()
    error = bad_request("broken")
    if not is_late:
        wire.body.fail(error)
    reading = Reading(read(wire.body))
    if is_late:
        wire.body.fail(error)
        wire.body.wake()
    assert reading.error is error


def test_first_error_counts() -> None:
    wire = Wire()
    first, second = bad_request("first"), bad_request("second")
    wire.body.fail(first)
    wire.body.fail(second)
    assert Reading(whole(wire.body, 1)).error is first


def test_body_over_its_limit_is_413_even_if_it_breaks_afterwards() -> None:
    wire = Wire()
    reading = Reading(whole(wire.body, 1))
    wire.receive(b"12")
    wire.body.fail(bad_request("broken"))
    assert isinstance(reading.error, GatewayError)
    assert reading.error.http == 413


def test_body_may_come_after_its_reader_has_gone() -> None:
    wire = Wire()
    reading = Reading(whole(wire.body, 100))
    reading.cancel()
    assert isinstance(reading.error, asyncio.CancelledError)
    wire.receive(b"late", is_last=True)


@given(st.lists(st.binary(max_size=40), max_size=20), st.data())
def test_any_split_gives_the_same_bytes(parts: list[bytes], data: st.DataObject) -> None:
    content = b"".join(parts)
    wire = Wire()
    start = data.draw(st.integers(0, len(parts)))
    wire.receive(*parts[:start], is_last=start == len(parts))
    reading = Reading(whole(wire.body, len(content)))
    for number, part in enumerate(parts[start:], start=start + 1):
        wire.receive(part, is_last=number == len(parts))
    assert reading.value == content


@given(st.lists(st.binary(max_size=40), max_size=20), st.lists(st.booleans(), min_size=20, max_size=20))
def test_chunks_lose_nothing_however_reader_and_client_alternate(parts: list[bytes], turns: list[bool]) -> None:
    wire = Wire()
    chunks = Parts(wire.body, 10_000)
    waiting = chunks.take()
    for part, is_readers_turn in zip(parts, turns, strict=False):
        wire.receive(part)
        if is_readers_turn and waiting.is_done:
            waiting = chunks.take()
    wire.receive(is_last=True)
    while not waiting.is_done or waiting.value:
        assert waiting.error is None
        waiting = chunks.take()
    assert b"".join(chunks.taken) == b"".join(parts)
