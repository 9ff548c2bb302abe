"""One client connection while the server drains, and when it is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from api_gateway.edge.application import EdgeLimits
from api_gateway.model.message import Request, Response
from api_gateway.waiting import Pending
from tests.support.http_application import SmallApplication
from tests.support.http_rig import Rig
from tests.support.raw_http import get, request

LIMITS = EdgeLimits(header_timeout_s=10, body_timeout_s=60, idle_timeout_s=75, write_timeout_s=30, linger_s=1)
TICK_S = 0.02
"""Deadlines may be late by a tick of the wheel."""


@pytest.fixture
def application() -> SmallApplication:
    return SmallApplication()


@pytest.fixture
def rig(application: SmallApplication) -> Rig:
    return Rig(application, LIMITS)


def check_closes(rig: Rig, after_s: float) -> None:
    rig.advance(after_s - TICK_S)
    assert not rig.transport.is_closing()
    rig.advance(2 * TICK_S)
    assert rig.transport.is_closed
    assert not rig.transport.written, "nothing was asked, so nothing is answered"


def test_drain_closes_a_quiet_connection_after_a_moment(rig: Rig) -> None:
    rig.receive(get("/echo"))
    rig.answers()
    rig.server.is_draining = True
    rig.connection.drain()
    check_closes(rig, 1)


def test_drain_answers_what_was_on_its_way(rig: Rig) -> None:
    """D1: a request sent before the client could know is answered, and told that it was the last."""
    rig.server.is_draining = True
    rig.connection.drain()
    rig.advance(0.5)
    rig.receive(get("/echo"))
    assert [(answer.status, answer.is_last) for answer in rig.answers()] == [(200, True)]
    assert rig.transport.is_half_closed


def test_drain_lets_a_request_finish(rig: Rig, application: SmallApplication) -> None:
    rig.receive(get("/hold"))
    rig.server.is_draining = True
    rig.connection.drain()
    rig.advance(20)
    application.release()
    assert [(answer.status, answer.is_last) for answer in rig.answers()] == [(200, True)]


def test_drain_lets_a_body_arrive(rig: Rig) -> None:
    """D3."""
    rig.receive(request("POST", "/echo", "Content-Length: 3") + b"a")
    rig.server.is_draining = True
    rig.connection.drain()
    rig.advance(20)
    rig.receive(b"bc")
    assert [(answer.json()["body"], answer.is_last) for answer in rig.answers()] == [("abc", True)]


def test_drain_lets_a_head_arrive(rig: Rig) -> None:
    rig.receive(get("/echo")[:10])
    rig.server.is_draining = True
    rig.connection.drain()
    rig.advance(5)
    rig.receive(get("/echo")[10:])
    assert [(answer.status, answer.is_last) for answer in rig.answers()] == [(200, True)]


def test_drain_lets_an_answer_be_read(rig: Rig) -> None:
    rig.receive(get("/echo"))
    rig.answers()
    rig.stall()
    rig.server.is_draining = True
    rig.connection.drain()
    rig.advance(20)
    assert not rig.transport.is_closing()
    rig.unstall()
    check_closes(rig, 1)


def test_drain_lets_a_stream_end(rig: Rig) -> None:
    gate: Pending[None] = Pending()

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        await gate
        yield b"two"

    async def stream(request: Request) -> Response:
        return Response(200, [], stream=parts())

    rig = Rig(SmallApplication({"/stream": stream}), LIMITS)
    rig.receive(get("/stream"))
    rig.server.is_draining = True
    rig.connection.drain()
    rig.advance(20)
    gate.resolve(None)
    assert [answer.body for answer in rig.answers()] == [b"onetwo"]
    check_closes(rig, 1)


def test_connection_that_opens_while_draining_is_not_waited_for(application: SmallApplication) -> None:
    first = Rig(application, LIMITS)
    first.server.is_draining = True
    late = Rig(application, server=first.server)
    first.advance(1 + TICK_S)
    assert late.transport.is_closed


def test_abort_cancels_before_it_returns(rig: Rig, application: SmallApplication) -> None:
    rig.receive(get("/hold"))
    rig.connection.abort()
    assert application.cancelled == ["/hold"]
    assert rig.transport.is_aborted


def test_cancelled_error_from_inside_a_request_is_no_mistake() -> None:
    async def cancelled(request: Request) -> Response:
        raise asyncio.CancelledError

    rig = Rig(SmallApplication({"/": cancelled}), LIMITS)
    rig.receive(get("/"))
    assert rig.transport.is_aborted
    assert rig.loop.mistakes == []
