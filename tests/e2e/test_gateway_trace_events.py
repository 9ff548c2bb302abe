"""What happens within a request, as events of its span (C9)."""

from __future__ import annotations

import http.client
import json

from tests.support.backends import Backend
from tests.support.gateway import RunningGateway, eventually, serving, start_gateway
from tests.support.otlp_receiver import ReceivedSpan, start_receiver

TRACES = ("0af7651916cd43dd8448eb211c80319c", "1af7651916cd43dd8448eb211c80319c")


def leave(gateway: RunningGateway, path: str, trace_id: str, behaviour: dict[str, int]) -> None:
    """Ask for something that takes long, and go away as soon as it is under way."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01", "content-type": "application/json"}
    connection.request("POST", path, json.dumps({"id": trace_id, "behaviour": behaviour}), headers)
    # The one that asks is in flight, too.
    eventually(lambda: gateway.metric("api_gateway_requests_in_flight") >= 2, "the request is under way")
    connection.close()


def test_clients_that_go_away_are_an_event(grpcio_backend: Backend) -> None:
    """Semantics 26: the attempt was cancelled; nobody made a mistake, so the request's span is no error."""

    def found(spans: list[ReceivedSpan], trace_id: str) -> list[ReceivedSpan]:
        mine = [span for span in spans if span.trace_id == trace_id]
        return sorted(mine, key=lambda span: span.span.start_time_unix_nano)

    with start_receiver() as receiver:
        section = {"tempo_endpoint": receiver.endpoint, "export_interval_ms": 100}
        with start_gateway(serving(grpcio_backend.endpoint, observability=section)) as gateway:
            gateway.wait_until_routed("/api/items/1")
            for path, trace_id in zip(("/echo/v1/echo", "/echo/v1/stream"), TRACES, strict=True):
                leave(gateway, path, trace_id, {"sleepMs": 60_000, "messageCount": 1})
                spans = receiver.wait_for(lambda spans: len(found(spans, trace_id)) >= 2, path)  # noqa: B023 - waits
                server, client = found(spans, trace_id)
                assert server.events == ["client gone"]
                assert server.attributes["api_gateway.reason"] == "CLIENT_GONE"
                assert (server.attributes["http.response.status_code"], server.is_error) == (499, False)
                assert (client.attributes["rpc.response.status_code"], client.is_error) == ("CANCELLED", True)
