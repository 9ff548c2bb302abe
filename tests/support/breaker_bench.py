"""A circuit breaker on a test's bench: stores, a listener and workers that plain numbers drive through time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from api_gateway.config.settings import CircuitBreakerSettings
from api_gateway.grpc.failures import connection_lost
from api_gateway.model.errors import GatewayError
from api_gateway.model.exchange import Exchange
from api_gateway.model.message import Request
from api_gateway.model.policy import Policy
from api_gateway.model.status import Code
from api_gateway.policy.breaker import Breaker
from api_gateway.state.store import BreakerRecord, BreakerState, BreakerStore, StoreError

SERVICE = "user-service"
SETTINGS = CircuitBreakerSettings(failure_threshold=3, success_threshold=2, timeout_seconds=60)
TIMEOUT_S = 5.0
T0 = 1000.0
CLOSED, OPEN, HALF_OPEN = BreakerState


class Listener:
    """Writes down what it heard."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []
        self.failures = 0

    def breaker_changed(self, service: str, old: BreakerState, new: BreakerState) -> None:
        assert service == SERVICE
        self.changes.append((old.label, new.label))

    def breaker_store_failed(self, service: str, reason: str) -> None:
        self.failures += 1


class MemoryStore:
    """One record in memory, which counts how often it is asked and can be switched off."""

    def __init__(self) -> None:
        self.record = BreakerRecord()
        self.accesses = 0
        self.is_broken = False

    def read_breaker(self, service: str) -> BreakerRecord:
        self._access()
        return self.record

    def update_breaker(
        self, service: str, change: Callable[[BreakerRecord], BreakerRecord]
    ) -> tuple[BreakerRecord, BreakerRecord]:
        self._access()
        before, self.record = self.record, change(self.record)
        return before, self.record

    def _access(self) -> None:
        self.accesses += 1
        if self.is_broken:
            raise StoreError("out of order")


class Worker:
    """One worker's breaker, driven with plain numbers for time."""

    def __init__(self, store: BreakerStore, listener: Listener) -> None:
        self.breaker = Breaker(SERVICE, SETTINGS, store, listener)
        self.policy: Policy = self.breaker.bind(TIMEOUT_S)

    def state(self, now_s: float) -> BreakerState:
        return self.breaker.record(now_s).state

    def begin(self, now_s: float, timeout_s: float = TIMEOUT_S) -> Exchange:
        request = Request(
            method="GET", path="/", query="", headers={}, repeated=frozenset(), body=None, peer="", started_s=now_s
        )
        exchange = Exchange(request)
        exchange.deadline_s = now_s + timeout_s
        self.policy.admit(exchange, now_s)
        return exchange

    def lose(self, exchange: Exchange, now_s: float) -> None:
        """End a call as the end of its connection does."""
        exchange.error_reason = connection_lost(SERVICE, "closed by the peer").reason
        self.end(exchange, Code.UNAVAILABLE, now_s)

    def end(self, exchange: Exchange, code: int | None, now_s: float) -> None:
        exchange.grpc_code = code
        self.policy.settle(exchange, now_s)

    def call(self, code: int | None, now_s: float) -> None:
        self.end(self.begin(now_s), code, now_s)

    def refused(self, now_s: float) -> GatewayError:
        with pytest.raises(GatewayError) as caught:
            self.begin(now_s)
        return caught.value


def trip(worker: Worker, now_s: float = T0) -> None:
    """Fail until it opens."""
    for _ in range(SETTINGS.failure_threshold):
        worker.call(Code.UNAVAILABLE, now_s)
