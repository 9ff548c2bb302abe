"""What happens within a request, as events of its span (C9)."""

from __future__ import annotations

import http.client
import json

import pytest

from tests.support.gateway import TIMEOUT_S, RunningGateway, eventually
from tests.support.otlp_receiver import ReceivedSpan, Receiver

UNARY, STREAM = "0af7651916cd43dd8448eb211c80319c", "1af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def gateway(traced_gateway: RunningGateway) -> RunningGateway:
    return traced_gateway


def begin(gateway: RunningGateway, path: str, trace_id: str, **behaviour: int) -> http.client.HTTPConnection:
    """Ask for something that takes long."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=TIMEOUT_S)
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01", "content-type": "application/json"}
    connection.request("POST", path, json.dumps({"id": trace_id, "behaviour": behaviour}), headers)
    return connection


def spans_of(receiver: Receiver, trace_id: str) -> list[ReceivedSpan]:
    """Wait for the span of the request, and that of its call."""

    def found(spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
        mine = [span for span in spans if span.trace_id == trace_id]
        return sorted(mine, key=lambda span: span.span.start_time_unix_nano)

    return found(receiver.wait_for(lambda spans: len(found(spans)) >= 2, trace_id))


def test_client_that_leaves_before_the_answer_is_an_event(gateway: RunningGateway, receiver: Receiver) -> None:
    """Semantics 26: the attempt was cancelled; nobody made a mistake, so the request's span is no error."""
    connection = begin(gateway, "/echo/v1/echo", UNARY, sleepMs=60_000)
    # The one that asks is in flight, too.
    eventually(lambda: gateway.metric("api_gateway_requests_in_flight") >= 2, "the request is under way")
    connection.close()
    server, client = spans_of(receiver, UNARY)
    assert server.events == ["client gone"]
    assert server.attributes["api_gateway.reason"] == "CLIENT_GONE"
    assert (server.attributes["http.response.status_code"], server.is_error) == (499, False)
    assert (client.attributes["rpc.response.status_code"], client.is_error) == ("CANCELLED", True)


def test_client_that_leaves_a_stream_is_an_event(gateway: RunningGateway, receiver: Receiver) -> None:
    """Its status was sent before; the reason tells that the stream did not end by itself."""
    connection = begin(gateway, "/echo/v1/stream", STREAM, sleepMs=50, messageCount=100_000)
    answer = connection.getresponse()
    assert answer.readline()
    answer.close()
    connection.close()
    server, client = spans_of(receiver, STREAM)
    assert server.events == ["first message", "client gone"]
    assert server.attributes["api_gateway.reason"] == "CLIENT_GONE"
    assert (server.attributes["http.response.status_code"], server.is_error) == (200, False)
    assert client.attributes["rpc.response.status_code"] == "CANCELLED"
