"""How exchanges end: once, told to policies first; answers of calls; what is kept of errors."""

from __future__ import annotations

import pytest

from api_gateway.model.errors import GatewayError, Source
from api_gateway.model.message import HeaderList, Response
from api_gateway.model.status import Code
from api_gateway.policy.chain import Permit
from api_gateway.proxy.ending import Ending, note_error, success
from tests.unit.proxy.scene import Gate, Listener
from tests.unit.telemetry.capture import finished


def test_policies_and_listener_hear_of_the_end_once() -> None:
    gate, listener = Gate(), Listener()
    exchange = finished(status=200, grpc_code=Code.OK)
    permit = Permit((gate,))
    assert permit.obtain(exchange, 1.0) is None
    Ending(lambda: 1.5, listener).end(exchange, permit)
    assert (gate.settled, listener.ended, exchange.duration_s) == ([(200, Code.OK)], [exchange], 1.5)


def test_an_exchange_without_a_permit_has_the_status_of_its_answer() -> None:
    listener = Listener()
    exchange = finished()
    answer = Response(404, [])
    assert Ending(lambda: 1.0, listener).finished(exchange, None, answer) is answer
    assert [ended.status for ended in listener.ended] == [404]


def test_a_client_that_did_not_wait_is_told_of_as_499() -> None:
    gate, listener = Gate(), Listener()
    exchange = finished(grpc_code=Code.OK)
    permit = Permit((gate,))
    assert permit.obtain(exchange, 1.0) is None
    Ending(lambda: 1.0, listener).abandoned(exchange, permit)
    assert (exchange.status, exchange.error_reason, gate.settled) == (499, "CLIENT_GONE", [(499, None)])
    assert listener.ended == [exchange]


@pytest.mark.parametrize(
    ("headers", "trailers", "status", "more"),
    [
        pytest.param([], [], 200, [], id="no metadata"),
        pytest.param([(b"x-http-code", b"201")], [], 201, [], id="status of the backend"),
        pytest.param([(b"a", b"1")], [(b"b", b"2")], 200, [(b"a", b"1"), (b"b", b"2")], id="both come back"),
    ],
)
def test_answer_of_a_call_that_succeeded(
    headers: HeaderList, trailers: HeaderList, status: int, more: HeaderList
) -> None:
    """semantics 18 and 29."""
    response = success(finished(), b"application/json", b"{}", headers, trailers)
    assert (response.status, response.body) == (status, b"{}")
    assert response.headers == [(b"content-type", b"application/json"), *more]


def test_only_a_backends_error_sets_the_code_of_the_call() -> None:
    ours = finished(grpc_code=None)
    note_error(ours, GatewayError(Code.INVALID_ARGUMENT, "no", reason="BAD", source=Source.CLIENT))
    assert (ours.grpc_code, ours.error_reason) == (None, "BAD")
    theirs = finished(grpc_code=None)
    note_error(theirs, GatewayError(Code.ABORTED, "no", source=Source.UPSTREAM))
    assert (theirs.grpc_code, theirs.error_reason) == (Code.ABORTED, "UPSTREAM_STATUS")
