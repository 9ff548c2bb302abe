"""Traces of the whole gateway, as a real OTLP receiver gets them (C9)."""

from __future__ import annotations

import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.backends import Backend
from tests.support.certificates import write_certificates
from tests.support.gateway import Client, RunningGateway, eventually, observed, serving, start_gateway
from tests.support.otlp_receiver import CLIENT, SERVER, ReceivedSpan, Receiver, start_receiver, trace_service_pb2
from tests.support.processes import start_python

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
ITEMS = "/api/items/:id"
CONNECTIONS = 8
REQUESTS_EACH = int(os.environ.get("TRACED_REQUESTS", "1000")) // CONNECTIONS
"""`make traces` asks for 10,000 in all."""


@pytest.fixture
def gateway(traced_gateway: RunningGateway) -> RunningGateway:
    return traced_gateway


def new_trace(number: int) -> tuple[str, dict[str, str]]:
    """Return a trace id of a test's own, and the header of a caller in it that records."""
    trace_id = f"{number:032x}"
    return trace_id, {"traceparent": f"00-{trace_id}-{PARENT}-01"}


def spans_of(receiver: Receiver, trace_id: str, count: int) -> list[ReceivedSpan]:
    """Wait for all spans of a trace: exactly so many, the server span first."""

    def found(spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
        return sorted(
            (span for span in spans if span.trace_id == trace_id), key=lambda span: span.span.start_time_unix_nano
        )

    spans = found(receiver.wait_for(lambda spans: len(found(spans)) >= count, f"{count} spans of {trace_id}"))
    assert len(spans) == count, [span.name for span in spans]
    return spans


def test_request_is_a_server_span_with_a_client_span_below(gateway: RunningGateway, receiver: Receiver) -> None:
    """C9: names, kinds, parents and attributes by the semantic conventions for HTTP and RPC."""
    headers = {
        "traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "a=b", "baggage": "k=v",
        "user-agent": "tests/1", "x-request-id": "mine-7",
    }  # fmt: skip
    answer = gateway.get("/api/items/a%20b?name=secret", headers=headers)
    assert answer.status == 200
    server, client = spans_of(receiver, TRACE, 2)
    assert (server.name, server.kind, server.parent_id) == (f"GET {ITEMS}", SERVER, PARENT)
    assert server.attributes == {
        "http.request.method": "GET",
        "http.route": ITEMS,
        "http.response.status_code": 200,
        "url.path": "/api/items/a%20b",
        "url.scheme": "http",
        "client.address": "127.0.0.1",
        "server.address": "127.0.0.1",
        "server.port": gateway.port,
        "user_agent.original": "tests/1",
        "network.protocol.version": "1.1",
        "api_gateway.service": "echo",
        "api_gateway.request_id": "mine-7",
    }
    assert client.kind == CLIENT
    assert client.parent_id == server.span_id
    assert not server.is_error and not client.is_error
    assert server.span.trace_state == "a=b"
    assert gateway.wait_for_event("request completed", trace_id=TRACE)["span_id"] == server.span_id
    assert server.span.start_time_unix_nano <= client.span.start_time_unix_nano
    assert client.span.end_time_unix_nano <= server.span.end_time_unix_nano


def test_backend_is_told_the_client_span(gateway: RunningGateway, receiver: Receiver, grpcio_backend: Backend) -> None:
    """W3C Trace Context: the parent of what the backend records is the attempt; tracestate and baggage travel on."""
    trace_id, headers = new_trace(1)
    headers |= {"tracestate": "a=b,c=d", "baggage": "k=v"}
    answer = gateway.ask("POST", "/echo/v1/echo", {"id": "x"}, headers=headers)
    got = {each["key"]: each["text"] for each in answer.json()["receivedMetadata"]}
    _, client = spans_of(receiver, trace_id, 2)
    assert got["traceparent"] == f"00-{trace_id}-{client.span_id}-01"
    assert got["tracestate"] == "a=b,c=d"
    assert got["baggage"] == "k=v"
    assert client.name == "tests.echo.EchoService/Echo"
    assert client.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": "tests.echo.EchoService/Echo",
        "rpc.response.status_code": "OK",
        "server.address": "127.0.0.1",
        "server.port": grpcio_backend.port,
        "api_gateway.service": "echo",
    }


@pytest.mark.parametrize(
    ("code", "status", "is_error"),
    [pytest.param(5, 404, False, id="not_found"), pytest.param(13, 500, True, id="internal")],
)
def test_failure_of_the_backend(
    gateway: RunningGateway, receiver: Receiver, code: int, status: int, is_error: bool
) -> None:
    """The attempt failed in both cases; the server span only where it is not the client's mistake."""
    trace_id, headers = new_trace(100 + code)
    body = {"behaviour": {"failure": {"code": code, "message": "secret of the backend"}}}
    assert gateway.ask("POST", "/echo/v1/echo", body, headers=headers).status == status
    server, client = spans_of(receiver, trace_id, 2)
    assert (server.is_error, client.is_error) == (is_error, True)
    name = {5: "NOT_FOUND", 13: "INTERNAL"}[code]
    assert client.attributes["rpc.response.status_code"] == name
    assert client.attributes["error.type"] == name
    assert server.attributes.get("error.type") == ("500" if is_error else None)
    assert b"secret of the backend" not in server.span.SerializeToString() + client.span.SerializeToString()


def test_request_that_no_route_matches(gateway: RunningGateway, receiver: Receiver) -> None:
    """Its name holds no path: names must be few (H20)."""
    trace_id, headers = new_trace(3)
    assert gateway.get("/nowhere/at/all", headers=headers).status == 404
    (server,) = spans_of(receiver, trace_id, 1)
    assert server.name == "GET"
    assert server.attributes["url.path"] == "/nowhere/at/all"
    assert "http.route" not in server.attributes
    assert server.attributes["api_gateway.reason"] == "ROUTE_NOT_FOUND"


def test_stream_ends_with_its_last_message(gateway: RunningGateway, receiver: Receiver) -> None:
    """A span of a stream covers all of it, with an event for the first message and counts."""
    trace_id, headers = new_trace(4)
    body = {"behaviour": {"messageCount": 3, "sleepMs": 20}}
    assert gateway.ask("POST", "/echo/v1/stream", body, headers=headers).status == 200
    server, client = spans_of(receiver, trace_id, 2)
    assert client.events == ["first message received"]
    assert server.events == ["first message"]
    assert (client.attributes["api_gateway.messages.sent"], client.attributes["api_gateway.messages.received"]) == (
        1,
        3,
    )
    for span in (server.span, client.span):
        assert span.end_time_unix_nano - span.start_time_unix_nano >= 60_000_000


def test_unrecorded_trace_stays_unrecorded(gateway: RunningGateway, receiver: Receiver) -> None:
    """W3C Trace Context section 3.2.2.5: the caller's decision is obeyed, and the backend hears of it."""
    trace_id = f"{5:032x}"
    headers = {"traceparent": f"00-{trace_id}-{PARENT}-00"}
    answer = gateway.ask("POST", "/echo/v1/echo", {}, headers=headers)
    got = {each["key"]: each["text"] for each in answer.json()["receivedMetadata"]}
    assert got["traceparent"].startswith(f"00-{trace_id}-") and got["traceparent"].endswith("-00")
    later, recorded = new_trace(6)
    gateway.get("/api/items/1", headers=recorded)
    spans_of(receiver, later, 2)
    assert trace_id not in {span.trace_id for span in receiver.spans()}


def test_probes_and_scrapes_are_not_traced(gateway: RunningGateway, receiver: Receiver) -> None:
    """They would outnumber everything else."""
    for path in ("/health", "/health/live", "/metrics"):
        assert gateway.get(path).status == 200
    trace_id, headers = new_trace(7)
    gateway.get("/api/items/1", headers=headers)
    spans_of(receiver, trace_id, 2)
    assert {"GET /health", "GET /health/live", "GET /metrics"}.isdisjoint(span.name for span in receiver.spans())


def test_resource_names_the_gateway(gateway: RunningGateway, receiver: Receiver) -> None:
    """What Tempo groups by."""
    gateway.get("/api/items/1")
    (first, *_) = receiver.wait_for(bool, "any span")
    assert first.resource["service.name"] == "api-gateway"
    assert {"service.version", "service.instance.id", "host.name", "process.pid"} <= set(first.resource)


def test_policy_calls_are_spans_of_the_request_that_asks(receiver: Receiver) -> None:
    """C3, C9: what the backend and the auth service are asked is part of the trace; the next request asks nobody."""
    with start_python("api_gateway.demo.server") as demo:
        users, auth = (f"http://127.0.0.1:{demo.ready[key]}" for key in ("user_port", "auth_port"))
        services = {"users": {"endpoint": users}, "logins": {"endpoint": auth}}
        config = {"services": services, "auth": {"service_endpoint": auth}, **observed(receiver.endpoint)}
        with start_gateway(config) as gateway:
            gateway.wait_until_routed("/api/users/1")
            gateway.wait_until_routed("/api/login", method="POST")
            login = gateway.ask("POST", "/api/login", {"username": "ada", "password": "ada-demo"})
            token = {"authorization": f"Bearer {login.json()['token']}"}
            first, headers = new_trace(20)
            assert gateway.get("/api/users/1", headers={**headers, **token}).status == 200
            second, headers = new_trace(21)
            assert gateway.get("/api/users/1", headers={**headers, **token}).status == 200
            asked = spans_of(receiver, first, 3)
            spans_of(receiver, second, 2)
    assert [span.name for span in asked] == [
        "GET /api/users/:id",
        "auth.AuthService/ValidateToken",
        "api_gateway.demo.UserService/GetUser",
    ]
    assert {span.parent_id for span in asked[1:]} == {asked[0].span_id}
    requests = {span.span_id for span in receiver.spans() if span.kind == SERVER}
    policies = [span for span in receiver.spans() if span.name == "gateway.ServiceAuthPolicy/GetAuthPolicy"]
    assert policies and {span.parent_id for span in policies} <= requests


def test_each_attempt_is_a_span(receiver: Receiver, grpcio_backend: Backend) -> None:
    """G61: a retry is a second client span, and the backend is told which one it belongs to."""
    config = serving(grpcio_backend.endpoint, retry={"initial_backoff_ms": 1}, **observed(receiver.endpoint))
    with start_gateway(config) as gateway:
        gateway.wait_until_routed("/api/items/1")
        trace_id, headers = new_trace(22)
        query = "behaviour.failure.code=14&behaviour.failure.message=busy"
        assert gateway.get(f"/api/items/1?{query}", headers=headers).status == 503
        server, first, second = spans_of(receiver, trace_id, 3)
    assert [span.attributes.get("api_gateway.attempt") for span in (first, second)] == [None, 2]
    assert {first.parent_id, second.parent_id} == {server.span_id}
    assert first.span_id != second.span_id
    assert first.is_error and second.is_error and server.is_error


def test_every_span_of_many_requests_arrives(grpcio_backend: Backend) -> None:
    """The bar: every request has one server span and one client span below it, all different, with their attributes."""
    total = CONNECTIONS * REQUESTS_EACH
    with start_receiver() as receiver:
        config = serving(grpcio_backend.endpoint, **observed(receiver.endpoint))
        with start_gateway(config, "--workers", "2") as gateway:
            gateway.wait_until_routed("/api/items/1")

            def ask(connection: int) -> None:
                with Client(gateway.port) as client:
                    for number in range(REQUESTS_EACH):
                        path = f"/api/items/{connection}-{number}"
                        assert client.ask("GET", path, headers={"x-request-id": path[1:]}).status == 200

            with ThreadPoolExecutor(CONNECTIONS) as pool:
                list(pool.map(ask, range(CONNECTIONS)))

            def servers(spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
                asked = [span for span in spans if span.kind == SERVER]
                return [span for span in asked if "-" in span.attributes["url.path"]]

            # Those of `wait_until_routed` come besides.
            receiver.wait_for_count(2 * total + 1)
            exported = gateway.metric("api_gateway_spans_exported_total")
            assert gateway.metric("api_gateway_spans_dropped_total") == 0
    spans = receiver.spans()
    asked = servers(spans)
    assert Counter(span.attributes["url.path"] for span in asked) == {
        f"/api/items/{connection}-{number}": 1 for connection in range(CONNECTIONS) for number in range(REQUESTS_EACH)
    }
    assert len({span.span_id for span in spans}) == len(spans) >= 2 * total
    children = Counter(span.parent_id for span in spans if span.kind == CLIENT)
    for span in asked:
        assert children[span.span_id] == 1
        assert span.parent_id == ""
        assert span.attributes["api_gateway.request_id"] == span.attributes["url.path"][1:]
        assert span.attributes["http.response.status_code"] == 200
    trace_of = {span.span_id: span.trace_id for span in asked}
    assert all(trace_of.get(span.parent_id, span.trace_id) == span.trace_id for span in spans if span.kind == CLIENT)
    assert exported <= len(spans)


def test_sample_ratio_picks_a_share_of_new_traces(grpcio_backend: Backend) -> None:
    """`sample_ratio` decides for new traces, by their ids; callers decide for theirs."""
    with start_receiver() as receiver:
        config = serving(grpcio_backend.endpoint, **observed(receiver.endpoint, sample_ratio=0.5))
        with start_gateway(config) as gateway:
            gateway.wait_until_routed("/api/items/1")
            with Client(gateway.port) as client:
                for _ in range(200):
                    client.ask("GET", "/api/items/1")
            trace_id, headers = new_trace(8)
            gateway.get("/api/items/last", headers=headers)
            spans_of(receiver, trace_id, 2)
            gateway.wait_for_event("request completed", path="/api/items/last")
            recorded = [line for line in gateway.log("request completed") if line["fields"]["path"] == "/api/items/1"]
            ids = {span.trace_id for span in receiver.spans()}
    for line in recorded:
        trace_id = line["fields"]["trace_id"]
        assert (trace_id in ids) == (int(trace_id[16:], 16) < 1 << 63)
    assert len(recorded) >= 200


def test_last_spans_are_sent_before_the_end(grpcio_backend: Backend) -> None:
    """C12: what waits for its batch at SIGTERM is sent first."""
    with start_receiver() as receiver:
        config = serving(grpcio_backend.endpoint, **observed(receiver.endpoint, export_interval_ms=3_600_000))
        with start_gateway(config) as gateway:
            gateway.wait_until_routed("/api/items/1")
            trace_id, headers = new_trace(9)
            gateway.get("/api/items/1", headers=headers)
            assert not receiver.requests
            assert gateway.process.stop() == 0
        spans_of(receiver, trace_id, 2)


def test_collector_over_tls_with_headers(grpcio_backend: Backend, tmp_path: Path) -> None:
    """A hosted collector: both show a certificate, and the headers are sent, not logged."""
    files = write_certificates(tmp_path)
    with start_receiver(tls=files, clients_ca=files.ca) as receiver:
        section = observed(
            f"https://localhost:{receiver.port}",
            tls_ca_cert_path=files.ca,
            tls_client_cert_path=files.certificate,
            tls_client_key_path=files.key,
            headers={"Authorization": "Bearer t0p-s3cr3t", "x-scope-orgid": "7"},
            resource_attributes={"deployment.environment.name": "test"},
            service_name="edge",
        )
        with start_gateway(serving(grpcio_backend.endpoint, **section)) as gateway:
            gateway.wait_until_routed("/api/items/1")
            (span, *_) = receiver.wait_for(bool, "spans over TLS")
            assert "t0p-s3cr3t" not in "".join(gateway.process.stdout.lines)
    assert receiver.metadata[0]["authorization"] == "Bearer t0p-s3cr3t"
    assert receiver.metadata[0]["x-scope-orgid"] == "7"
    assert span.resource["service.name"] == "edge"
    assert span.resource["deployment.environment.name"] == "test"


def test_dead_collector_costs_nothing_but_spans(grpcio_backend: Backend) -> None:
    """One line in the log, a counter that rises, and answers as ever; when it comes back, so do the spans."""
    with start_receiver() as receiver:
        port = receiver.port
    section = observed(f"http://127.0.0.1:{port}", otlp_timeout_secs=0.3, max_queued_spans=16)
    with start_gateway(serving(grpcio_backend.endpoint, **section)) as gateway:
        gateway.wait_until_routed("/api/items/1")
        with Client(gateway.port) as client:
            for _ in range(100):
                assert client.ask("GET", "/api/items/1").status == 200
        gateway.wait_for_event("spans cannot be exported")
        dropped = partial(gateway.metric, "api_gateway_spans_dropped_total")
        eventually(lambda: dropped({"reason": "failed"}) and dropped({"reason": "queue_full"}), "both are counted")
        assert len([line for line in gateway.log() if "spans" in line["fields"]["message"]]) == 1
        with start_receiver(port=port) as receiver:

            def is_back() -> bool:
                gateway.get("/api/items/1")
                return bool(receiver.requests)

            eventually(is_back, "spans arrive again")
            gateway.wait_for_event("spans are exported again")


def test_collector_that_refuses(grpcio_backend: Backend) -> None:
    """What may not be tried again is dropped at once, and said once."""
    with start_receiver() as receiver:

        def refuse(request: Any, context: grpc.ServicerContext) -> None:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you")

        receiver.answer = refuse
        with start_gateway(serving(grpcio_backend.endpoint, **observed(receiver.endpoint))) as gateway:
            gateway.wait_until_routed("/api/items/1")
            line = gateway.wait_for_event("spans cannot be exported")
            assert line["reason"] == "UNAUTHENTICATED: who are you"
            calls = receiver.calls
            gateway.get("/api/items/1")
            receiver.wait_for_calls(calls + 1)
            eventually(lambda: gateway.metric("api_gateway_spans_dropped_total", {"reason": "failed"}) >= 3, "counted")
            assert len(gateway.log("spans cannot be exported")) == 1


def test_collector_that_is_overloaded_is_asked_again(grpcio_backend: Backend) -> None:
    """UNAVAILABLE is tried again within the timeout, and nothing is lost."""
    with start_receiver() as receiver:
        refusals = iter((True, True))

        def hesitate(request: Any, context: grpc.ServicerContext) -> Any:
            if next(refusals, False):
                context.abort(grpc.StatusCode.UNAVAILABLE, "later")
            return receiver.take(request)

        receiver.answer = hesitate
        with start_gateway(serving(grpcio_backend.endpoint, **observed(receiver.endpoint))) as gateway:
            gateway.wait_until_routed("/api/items/1")
            trace_id, headers = new_trace(10)
            gateway.get("/api/items/1", headers=headers)
            spans_of(receiver, trace_id, 2)
            assert gateway.metric("api_gateway_spans_dropped_total") == 0


def test_collector_that_takes_a_part(grpcio_backend: Backend) -> None:
    """A partial success tells how many spans are lost."""
    with start_receiver() as receiver:

        def take_part(request: Any, context: object) -> Any:
            receiver.take(request)
            partial = {"rejected_spans": 1, "error_message": "too old"}
            return trace_service_pb2.ExportTraceServiceResponse(partial_success=partial)

        receiver.answer = take_part
        with start_gateway(serving(grpcio_backend.endpoint, **observed(receiver.endpoint))) as gateway:
            gateway.wait_until_routed("/api/items/1")
            assert gateway.wait_for_event("spans are rejected")["reason"] == "too old"
            eventually(lambda: gateway.metric("api_gateway_spans_dropped_total", {"reason": "rejected"}), "counted")


def test_collector_that_never_answers_holds_nobody(grpcio_backend: Backend) -> None:
    """Requests go on, and the end comes in time although exports hang."""
    with start_receiver() as receiver:
        release = threading.Event()

        def hang(request: Any, context: object) -> Any:
            release.wait(20)
            return receiver.take(request)

        receiver.answer = hang
        section = observed(receiver.endpoint, otlp_timeout_secs=0.5)
        try:
            with start_gateway(serving(grpcio_backend.endpoint, **section)) as gateway:
                gateway.wait_until_routed("/api/items/1")
                receiver.wait_for_calls(1)
                assert gateway.get("/api/items/1").status == 200
                assert gateway.process.stop() == 0
        finally:
            release.set()
