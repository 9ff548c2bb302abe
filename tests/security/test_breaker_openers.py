"""What one client may send must not stop a service for all others (semantics 40, B20).

Backends answer some mistakes of clients as if they were their own (INTERNAL): the gateway must find those first. The
breaker opens at the first failure here, so that each request is its own proof.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.backends import Backend, grpcio_backend
from tests.support.descriptors import descriptors_of
from tests.support.gateway import LONGER_THAN_ANY_TEST_MS, TIMEOUT_S, RunningGateway, start_gateway
from tests.support.recording_backend import recording_backend

__all__ = ["grpcio_backend"]

FRAGILE = {"circuit_breaker": {"failure_threshold": 1, "timeout_seconds": 1}}
SHORT_MS = 100
"""What unary calls may take, other than those of others."""
OTHERS = "/others/7"
HURRY = {"x-request-timeout": "0.06"}
"""More than half of what a unary call may take, and next to nothing of what a stream may."""
EVERYTHING = "/everything.EverythingService"


@pytest.fixture(scope="module")
def gateway(grpcio_backend: Backend) -> Iterator[RunningGateway]:
    """In front of servers on gRPC's C core, as those of Python, C++, Ruby and PHP are."""
    with recording_backend(descriptors_of("everything.proto")) as everything:
        services = {
            "echo": {"endpoint": grpcio_backend.endpoint, "timeout_ms": SHORT_MS, **FRAGILE},
            "everything": {"endpoint": everything.endpoint, **FRAGILE},
        }
        others = {
            "grpc_method": "tests.echo.EchoService/GetItem",
            "http_method": "GET",
            "http_path": "/others/:id",
            "timeout_ms": LONGER_THAN_ANY_TEST_MS,
        }
        config = {
            "services": services,
            "route_overrides": [others],
            "discovery": {"expose_unmapped": True},
            "server": {"request_timeout_ms": LONGER_THAN_ANY_TEST_MS},
        }
        with start_gateway(config) as started:
            started.wait_until_routed(OTHERS)
            started.wait_until_routed(f"{EVERYTHING}/EchoTree", method="POST")
            yield started


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        pytest.param("grpc-metadata-a-bin", "YR", 200, id="bits behind the last byte"),
        pytest.param("grpc-metadata-a-bin", "YQ==,YR==", 200, id="the same in the second value"),
        pytest.param("grpc-metadata-a-bin", "YQ==YQ==", 400, id="padding in the middle"),
        pytest.param("grpc-metadata-a-bin", "Y=Q=", 400, id="padding between"),
        pytest.param("grpc-metadata-a-bin", ",,", 200, id="empty values"),
        pytest.param("grpc-metadata-lb-cost-bin", "YQ", 200, id="a key of gRPC's own"),
        pytest.param("grpc-metadata-lb_cost-bin", "YQ", 200, id="the same, spelled otherwise"),
        pytest.param("grpc-metadata-a", "x" * 40_000, 431, id="more than the backend takes"),
        pytest.param("user-agent", "x" * 40_000, 431, id="more than the backend takes, in a header of browsers"),
        pytest.param("authorization", "x" * 40_000, 431, id="more than the backend takes, as a token"),
    ],
)
def test_semantics_40_headers_of_one_client_stop_nobody(
    gateway: RunningGateway, name: str, value: str, status: int
) -> None:
    assert gateway.get(OTHERS, headers={name: value}).status == status
    assert gateway.get(OTHERS).status == 200


@pytest.mark.parametrize(("name", "value"), [("x-request-timeout", "0.001"), ("grpc-timeout", "1m")])
def test_semantics_40_hurry_of_one_client_stops_nobody(gateway: RunningGateway, name: str, value: str) -> None:
    slow = {"behaviour": {"sleep_ms": 600_000}}
    assert gateway.ask("POST", "/echo/v1/echo", slow, headers={name: value}).status == 504
    assert gateway.get(OTHERS).status == 200


@pytest.mark.parametrize(
    ("method", "opening", "closing", "depth"),
    [
        pytest.param("Structured", '{"a":', "}", 40, id="Struct"),
        pytest.param("Valued", "[", "]", 60, id="Value"),
        pytest.param("EchoTree", '{"left":', "}", 101, id="messages"),
        pytest.param("EchoTree", '{"named":{"a":', "}}", 60, id="maps"),
    ],
)
def test_semantics_40_depth_of_one_clients_messages_stops_nobody(
    gateway: RunningGateway, method: str, opening: str, closing: str, depth: int
) -> None:
    """A backend cannot parse what has more than 100 messages inside each other, and calls that INTERNAL."""
    target = f"{EVERYTHING}/{method}"
    for count, status in ((depth, 400), (2, 200)):
        text = opening * count + ("{}" if method == "EchoTree" else "1") + closing * count
        assert gateway.ask("POST", target, text.encode()).status == status


@pytest.mark.parametrize(
    ("target", "body"),
    [
        pytest.param("/echo/v1/stream", {"behaviour": {"sleep_ms": 600_000}}, id="server stream without a message"),
        pytest.param("/echo/v1/collect", {"behaviour": {"sleep_ms": 600_000}}, id="client stream that is read slowly"),
    ],
)
def test_semantics_40_hurry_stops_no_streams(gateway: RunningGateway, target: str, body: object) -> None:
    assert gateway.ask("POST", target, body, headers=HURRY).status == 504
    assert gateway.get(OTHERS).status == 200


def test_semantics_40_a_client_that_sends_nothing_stops_nobody(gateway: RunningGateway) -> None:
    """It opens a stream of requests, and lets it miss its deadline."""
    head = (
        b"POST /echo/v1/collect HTTP/1.1\r\nHost: gateway.test\r\nContent-Type: application/x-ndjson\r\n"
        b"X-Request-Timeout: 0.06\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=TIMEOUT_S) as client:
        client.sendall(head)
        assert client.recv(65_536).startswith(b"HTTP/1.1 504 ")
    assert gateway.get(OTHERS).status == 200
