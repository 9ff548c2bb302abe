"""The deadlines of a client connection: heads, bodies, idle time, slow readers, the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from api_gateway.edge.application import EdgeLimits
from api_gateway.edge.output import MIN_WRITE_BYTES_PER_S
from api_gateway.model.message import Request, Response
from api_gateway.waiting import Pending
from tests.support.http_application import SmallApplication
from tests.support.http_rig import Rig
from tests.support.raw_http import get, post, request

LIMITS = EdgeLimits(header_timeout_s=10, body_timeout_s=60, idle_timeout_s=75, write_timeout_s=30, linger_s=1)
TICK_S = 0.02
"""Deadlines may be late by a tick of the wheel."""


@pytest.fixture
def application() -> SmallApplication:
    return SmallApplication()


@pytest.fixture
def rig(application: SmallApplication) -> Rig:
    return Rig(application, LIMITS)


def check_times_out(rig: Rig, after_s: float, *, trickle: bytes = b"") -> None:
    """408 after so many seconds and not before, even if something comes every second."""
    for _ in range(int(after_s) - 1):
        rig.advance(1.0)
        rig.receive(*([trickle] if trickle else []))
    rig.advance(1.0 - TICK_S)
    assert not rig.transport.written
    rig.advance(2 * TICK_S)
    assert [(answer.status, answer.is_last) for answer in rig.answers()] == [(408, True)]
    assert rig.transport.is_half_closed


# Heads and bodies


@pytest.mark.parametrize("trickle", [b"", b"X"], ids=["silent", "trickling"])
def test_head_must_come_in_time(rig: Rig, application: SmallApplication, trickle: bytes) -> None:
    """F10: one byte a second, or none, is 408 after the header timeout; trickling does not extend it."""
    rig.receive(b"GET /echo HTTP/1.1\r\n")
    check_times_out(rig, 10, trickle=trickle)
    assert application.targets == []
    assert [error.reason for error in application.refused] == ["REQUEST_TIMEOUT"]


@pytest.mark.parametrize("trickle", [b"", b"x"], ids=["silent", "trickling"])
def test_body_must_come_in_time(rig: Rig, application: SmallApplication, trickle: bytes) -> None:
    """F11: the time for the body is absolute too. The request that waits for it answers."""
    rig.receive(request("POST", "/echo", "Content-Length: 1000") + b"begin")
    check_times_out(rig, 70, trickle=trickle)
    assert application.refused == []


def test_body_that_nobody_reads_must_come_in_time(rig: Rig, application: SmallApplication) -> None:
    rig.receive(request("POST", "/hold", "Content-Length: 1000"))
    rig.advance(71)
    assert not rig.transport.written
    application.release()
    assert [(answer.status, answer.is_last) for answer in rig.answers()] == [(200, True)]


def test_expected_body_that_never_comes_times_out(rig: Rig) -> None:
    """H15."""
    rig.receive(request("POST", "/echo", "Content-Length: 5", "Expect: 100-continue"))
    rig.transport.written.clear()
    check_times_out(rig, 70)


def test_head_in_time_leaves_time_for_the_body(rig: Rig) -> None:
    rig.receive(request("POST", "/echo", "Content-Length: 2")[:20])
    rig.advance(9)
    rig.receive(request("POST", "/echo", "Content-Length: 2")[20:])
    rig.advance(59)
    rig.receive(b"hi")
    assert rig.statuses() == [200]


def test_head_behind_a_request_that_is_being_answered_must_come_in_time(
    rig: Rig, application: SmallApplication
) -> None:
    rig.receive(get("/hold") + b"GET /ec")
    rig.advance(11)
    assert not rig.transport.written
    application.release()
    assert rig.statuses() == [200, 408]


def test_head_behind_waiting_requests_must_come_in_time(rig: Rig, application: SmallApplication) -> None:
    """The deadline stays when the next of them is taken up."""
    rig.receive(get("/hold") + get("/hold") + b"GET /ec")
    rig.advance(5)
    application.release()
    application.release()
    assert rig.statuses() == [200, 200]
    rig.advance(5 + TICK_S)
    assert rig.statuses() == [408]


def test_body_behind_waiting_requests_must_come_in_time(rig: Rig, application: SmallApplication) -> None:
    rig.receive(get("/hold") + request("POST", "/echo", "Content-Length: 5") + b"ab")
    rig.advance(5)
    application.release()
    assert rig.statuses() == [200]
    rig.advance(65 + TICK_S)
    assert [(answer.status, answer.is_last) for answer in rig.answers()] == [(408, True)]


def test_time_in_which_the_client_is_held_back_does_not_count() -> None:
    gate: Pending[None] = Pending()

    async def upload(request: Request) -> Response:
        await gate
        assert request.body is not None
        body = request.body.read(1_000_000)
        return Response(200, [], b"%d" % len(body if isinstance(body, bytes) else await body))

    rig = Rig(SmallApplication({"/upload": upload}), LIMITS)
    rig.receive(request("POST", "/upload", "Content-Length: 200000"), bytes(100_000))
    assert not rig.transport.is_reading()
    rig.advance(200)
    gate.resolve(None)
    rig.advance(60)
    rig.receive(bytes(100_000))
    assert [answer.body for answer in rig.answers()] == [b"200000"]


def test_held_back_client_gets_its_time_anew_and_no_more() -> None:
    gate: Pending[None] = Pending()

    async def upload(request: Request) -> Response:
        await gate
        assert request.body is not None
        body = request.body.read(1_000_000)
        return Response(200, [], body if isinstance(body, bytes) else await body)

    rig = Rig(SmallApplication({"/upload": upload}), LIMITS)
    rig.receive(request("POST", "/upload", "Content-Length: 200000"), bytes(100_000))
    rig.advance(200)
    gate.resolve(None)
    check_times_out(rig, 70, trickle=b"x")


def test_nothing_is_timed_while_a_request_is_being_answered(rig: Rig, application: SmallApplication) -> None:
    """That is for the request's own deadline."""
    rig.receive(post(b"body", "/hold"))
    rig.advance(10_000)
    assert not rig.transport.is_closing()
    application.release()
    assert rig.statuses() == [200]


# Idle time


def check_closes(rig: Rig, after_s: float) -> None:
    rig.advance(after_s - TICK_S)
    assert not rig.transport.is_closing()
    rig.advance(2 * TICK_S)
    assert rig.transport.is_closed
    assert not rig.transport.written, "nothing was asked, so nothing is answered"


def test_connection_without_a_byte_is_closed(rig: Rig) -> None:
    """F12: it gets the time for a head."""
    check_closes(rig, 10)


def test_idle_connection_is_closed(rig: Rig) -> None:
    rig.receive(get("/echo"))
    assert rig.statuses() == [200]
    check_closes(rig, 75)


def test_idle_time_begins_with_the_last_answer(rig: Rig, application: SmallApplication) -> None:
    rig.receive(get("/hold"))
    rig.advance(100)
    application.release()
    rig.answers()
    rig.advance(70)
    rig.receive(get("/echo"))
    rig.answers()
    check_closes(rig, 75)


def test_empty_lines_do_not_extend_the_idle_time(rig: Rig) -> None:
    rig.receive(get("/echo"))
    rig.answers()
    for _ in range(74):
        rig.advance(1)
        rig.receive(b"\r\n" * 100)
    check_closes(rig, 1)


# Slow readers


def slow_reader(rig: Rig) -> None:
    rig.receive(get("/echo"))
    rig.transport.written.clear()
    rig.stall()


def test_client_that_reads_nothing_is_cut_off(rig: Rig) -> None:
    """F11: a finished answer is not kept for ever."""
    slow_reader(rig)
    rig.advance(30 - TICK_S)
    assert not rig.transport.is_closing()
    rig.advance(2 * TICK_S)
    assert rig.transport.is_aborted


@pytest.mark.parametrize(
    ("rate", "is_cut"),
    [
        pytest.param(MIN_WRITE_BYTES_PER_S - 50, True, id="below"),
        pytest.param(MIN_WRITE_BYTES_PER_S + 50, False, id="above"),
    ],
)
def test_client_must_read_at_a_least_rate(rig: Rig, rate: int, is_cut: bool) -> None:
    """A large answer may take its time on a slow line, but somebody must be taking it."""
    slow_reader(rig)
    for _ in range(95):
        rig.advance(1)
        rig.transport.unsent_bytes -= rate
    assert rig.transport.is_aborted is is_cut


def test_client_that_reads_again_may_go_on(rig: Rig) -> None:
    slow_reader(rig)
    rig.advance(29)
    rig.unstall()
    rig.advance(29)
    rig.receive(get("/echo"))
    assert rig.statuses() == [200]


def test_client_that_does_not_read_a_stream_is_cut_off() -> None:
    is_ended = False

    async def parts() -> AsyncIterator[bytes]:
        nonlocal is_ended
        try:
            while True:
                yield b"part"
        finally:
            is_ended = True

    async def stream(request: Request) -> Response:
        streaming.stall()
        return Response(200, [], stream=parts())

    streaming = Rig(SmallApplication({"/stream": stream}), LIMITS)
    streaming.receive(get("/stream"))
    streaming.advance(30 + TICK_S)
    assert streaming.transport.is_aborted
    assert is_ended


# The end


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: get("/echo", "Connection: close"), id="asked_for"),
        pytest.param(lambda: get("/close"), id="wanted"),
        pytest.param(lambda: b"\0", id="refused"),
    ],
)
def test_closed_connection_does_not_stay(rig: Rig, make: Callable[[], bytes]) -> None:
    rig.receive(make())
    rig.advance(1 - TICK_S)
    assert not rig.transport.is_aborted
    rig.advance(2 * TICK_S)
    assert rig.transport.is_aborted


def test_client_that_sends_on_and_on_behind_a_refusal_is_cut_off(rig: Rig) -> None:
    rig.receive(b"\0")
    for _ in range(9):
        rig.advance(0.1)
        rig.receive(b"more")
        assert not rig.transport.is_aborted
    rig.advance(0.1 + TICK_S)
    assert rig.transport.is_aborted


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: get("/echo", "Connection: close"), id="asked_for"),
        pytest.param(lambda: get("/close"), id="wanted"),
    ],
)
def test_last_answer_is_not_cut_off_while_it_is_read(rig: Rig, make: Callable[[], bytes]) -> None:
    rig.transport.unsent_bytes = 500_000
    rig.receive(make())
    for _ in range(100):
        rig.advance(1)
        rig.transport.unsent_bytes -= 4_000
    assert not rig.transport.is_aborted
    rig.advance(60)
    assert rig.transport.is_aborted, "not read between two looks"


def test_idle_connection_whose_last_answer_is_never_read_does_not_stay(rig: Rig) -> None:
    rig.transport.unsent_bytes = 1_000
    rig.receive(get("/echo"))
    rig.advance(75 + 30 + 1)
    assert rig.transport.is_aborted


def test_half_closed_client_that_never_reads_does_not_stay(rig: Rig) -> None:
    rig.transport.unsent_bytes = 1_000
    rig.receive(get("/echo"))
    rig.connection.eof_received()
    rig.advance(29)
    assert not rig.transport.is_aborted
    rig.advance(1 + 2 * TICK_S)
    assert rig.transport.is_aborted


def test_deadline_that_passes_with_the_connection_is_harmless(rig: Rig) -> None:
    """Both in one turn of the wheel: what is lost expires no more."""
    rig.receive(get("/echo"))
    rig.lose()
    rig.connection.expire(10_000.0)
    assert len(rig.wheel) == 0


def test_deadline_of_a_connection_that_is_cut_off_does_not_come_back(rig: Rig) -> None:
    """Until the loop reports the loss, however late that is: a deadline in the past would keep the wheel spinning."""
    rig.receive(b"\0")
    rig.advance(1 + TICK_S)
    assert rig.transport.is_aborted
    assert len(rig.wheel) == 0


def test_one_deadline_a_connection(rig: Rig, application: SmallApplication) -> None:
    """However often it moved."""
    for _ in range(50):
        rig.receive(get("/echo"), post(b"x" * 10)[:-1])
        rig.advance(0.1)
        rig.receive(b"x")
        rig.stall()
        rig.unstall()
        assert len(rig.wheel) == 1
