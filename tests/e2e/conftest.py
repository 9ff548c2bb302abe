"""What end-to-end tests start from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.backends import Backend, backend, grpcio_backend, grpclib_backend, node_backend
from tests.support.gateway import RunningGateway, observed, serving, start_gateway
from tests.support.otlp_receiver import Receiver, start_receiver

__all__ = ["backend", "grpcio_backend", "grpclib_backend", "node_backend", "receiver", "traced_gateway"]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """One receiver of traces for all tests of a module that keep to their own."""
    with start_receiver() as started:
        yield started


@pytest.fixture(scope="module")
def traced_gateway(grpcio_backend: Backend, receiver: Receiver) -> Iterator[RunningGateway]:
    """A gateway that records every trace."""
    with start_gateway(serving(grpcio_backend.endpoint, **observed(receiver.endpoint))) as started:
        started.wait_until_routed("/api/items/1")
        yield started
