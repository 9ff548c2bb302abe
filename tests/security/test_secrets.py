"""Nothing that clients keep secret is told to anybody who reads logs, metrics or traces (H19, P16; semantics 35)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.backends import Backend, grpcio_backend
from tests.support.gateway import RunningGateway, observed, serving, start_gateway
from tests.support.otlp_receiver import Receiver, start_receiver

__all__ = ["grpcio_backend"]

SECRET = "S3cr3tV4lue"
FORM = "application/x-www-form-urlencoded"
ITEM = ("GET", "/api/items/7")
ITEMS = ("POST", "/api/items")
ECHO = ("POST", "/echo/v1/echo")


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with start_receiver() as started:
        yield started


@pytest.fixture(scope="module")
def gateway(grpcio_backend: Backend, receiver: Receiver) -> Iterator[RunningGateway]:
    """It logs all it ever logs, and records every trace."""
    config = serving(
        grpcio_backend.endpoint,
        log={"level": "DEBUG"},
        headers={"forward": ["x-api-key"]},
        service={"circuit_breaker": {"failure_threshold": 1_000}},
        **observed(receiver.endpoint),
    )
    with start_gateway(config) as started:
        started.wait_until_routed(ITEM[1])
        yield started


def failing(code: int, message: str) -> dict[str, Any]:
    return {"behaviour": {"failure": {"code": code, "message": message}}}


CASES: list[tuple[str, tuple[str, str], object, dict[str, str]]] = [
    ("token", ITEM, None, {"authorization": f"Bearer {SECRET}"}),
    ("password", ITEM, None, {"authorization": f"Basic {SECRET}"}),
    ("password of a proxy", ITEM, None, {"proxy-authorization": f"Basic {SECRET}"}),
    ("cookie", ITEM, None, {"cookie": f"sid={SECRET}"}),
    ("key", ITEM, None, {"x-api-key": SECRET}),
    ("key as metadata", ITEM, None, {"grpc-metadata-api-key": SECRET}),
    ("broken metadata", ITEM, None, {"grpc-metadata-key-bin": f"{SECRET}!"}),
    ("broken timeout", ITEM, None, {"x-request-timeout": SECRET}),
    ("unfit id", ITEM, None, {"x-request-id": f"{SECRET} x"}),
    ("baggage", ITEM, None, {"baggage": f"key={SECRET}"}),
    ("query", ("GET", f"/api/items/7?key={SECRET}"), None, {}),
    ("value of a parameter", ("GET", f"/api/items/7?size={SECRET}"), None, {}),
    ("name of a parameter", ("GET", f"/api/items/7?{SECRET}=1"), None, {}),
    ("query without a route", ("GET", f"/nowhere?key={SECRET}"), None, {}),
    ("JWT in the path", ("GET", f"/api/items/eyJhbGciOiJub25lIn0.{SECRET}.{SECRET}"), None, {}),
    ("body", ITEMS, {"name": SECRET}, {}),
    ("unknown field", ITEMS, {"password": SECRET}, {}),
    ("value that does not fit", ITEMS, {"size": SECRET}, {}),
    ("unknown name", ITEMS, {SECRET: 1}, {}),
    ("broken JSON", ITEMS, f'{{"name": "{SECRET}'.encode(), {}),
    ("JSON without quotes", ITEMS, f'{{"name": {SECRET}}}'.encode(), {}),
    ("form", ITEMS, f"size={SECRET}".encode(), {"content-type": FORM}),
    ("content type", ITEMS, b"{}", {"content-type": f"text/{SECRET}"}),
    ("failure of a backend", ECHO, failing(13, f"cannot log in with Bearer {SECRET}"), {}),
    ("backend that is down", ECHO, failing(14, f"password={SECRET}"), {}),
]


def with_secret(value: Any, secret: str) -> Any:
    """Return a value with the secret wherever it has the general one."""
    if isinstance(value, bytes):
        return value.replace(SECRET.encode(), secret.encode())
    if isinstance(value, str):
        return value.replace(SECRET, secret)
    if isinstance(value, dict):
        return {with_secret(name, secret): with_secret(item, secret) for name, item in value.items()}
    return tuple(with_secret(item, secret) for item in value) if isinstance(value, tuple) else value


def test_secrets_are_in_no_log_metric_or_trace(gateway: RunningGateway, receiver: Receiver) -> None:
    """Each request has a secret of its own, by which a leak tells where it came from."""
    secrets = {f"{SECRET}{number:03}": case for number, case in enumerate(CASES)}
    trace_ids = set()
    for secret, (_, target, body, headers) in secrets.items():
        method, path = with_secret(target, secret)
        answer = gateway.ask(method, path, with_secret(body, secret), headers=with_secret(headers, secret))
        fields = gateway.wait_for_event("request completed", request_id=answer.headers["x-request-id"])
        trace_ids.add(fields["trace_id"])
    spans = receiver.wait_for(
        lambda spans: trace_ids <= {span.trace_id for span in spans}, "the traces of all requests are exported"
    )
    public = {
        "log": gateway.process.stdout.text(),
        "errors": gateway.process.stderr.text(),
        "traces": "".join(str(span.span) for span in spans),
        "metrics": gateway.get("/metrics").body.decode(),
        "health": gateway.get("/health").body.decode(),
    }
    assert SECRET.upper() not in public["metrics"]
    leaks = [(case[0], place) for secret, case in secrets.items() for place, text in public.items() if secret in text]
    assert leaks == []
