"""The rate limit as a policy: what passes, what is said, and what happens without a store."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from api_gateway.config.settings import RateLimitSettings
from api_gateway.model.errors import GatewayError
from api_gateway.model.exchange import Exchange
from api_gateway.model.message import Request
from api_gateway.model.policy import Policy
from api_gateway.model.status import Code
from api_gateway.policy.chain import abide_by
from api_gateway.policy.rate_limit import RateLimit
from api_gateway.state.local import LocalStoreFile
from api_gateway.state.store import StoreError, WindowStore
from api_gateway.state.window import Verdict

T0 = 1_000_020.0


class Listener:
    """Writes down what it heard."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.failures = 0

    def rate_limited(self, route: str) -> None:
        self.refused.append(route)

    def rate_limit_store_failed(self, reason: str) -> None:
        self.failures += 1


class BrokenStore:
    """A store that cannot answer, at once or when awaited."""

    def __init__(self, *, later: bool) -> None:
        self._later = later

    def hit(self, key: bytes, limit: int, now_s: float) -> Verdict | Awaitable[Verdict]:
        return self._fail() if self._later else self._raise()

    def _raise(self) -> Verdict:
        raise StoreError("out of order")

    async def _fail(self) -> Verdict:
        return self._raise()


class SlowStore:
    """Answers with one verdict, later."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    async def hit(self, key: bytes, limit: int, now_s: float) -> Verdict:
        return self._verdict


@pytest.fixture
def store(tmp_path: Path) -> WindowStore:
    return LocalStoreFile(tmp_path, max_memory_bytes=1024 * 1024).open(window_s=60.0)


@pytest.fixture
def listener() -> Listener:
    return Listener()


def limits(store: WindowStore, listener: Listener, **settings: Any) -> RateLimit:
    return RateLimit(RateLimitSettings(enabled=True, **settings), store, listener)


def exchange(key: bytes = b"\x7f\x00\x00\x01") -> Exchange:
    request = Request(
        method="GET", path="/", query="", headers={}, repeated=frozenset(), body=None, peer="127.0.0.1", started_s=0.0
    )
    asked = Exchange(request)
    asked.client_key = key
    return asked


def admit(policy: Policy, now_s: float = T0, key: bytes = b"\x7f\x00\x00\x01") -> dict[bytes, bytes]:
    asked = exchange(key)
    assert policy.admit(asked, now_s) is None
    return dict(asked.response_headers)


def refusal(policy: Policy, now_s: float = T0) -> GatewayError:
    decision = policy.admit(exchange(), now_s)
    assert isinstance(decision, GatewayError)
    return decision


def test_every_limited_answer_carries_the_headers(store: WindowStore, listener: Listener) -> None:
    """semantics 38: RateLimit-Limit, -Remaining and -Reset on answers that pass."""
    policy = limits(store, listener, requests_per_minute=3).bind("/api/users/:id", "GET")
    expected = {b"ratelimit-limit": b"3", b"ratelimit-reset": b"60"}
    assert admit(policy) == {**expected, b"ratelimit-remaining": b"2"}
    assert admit(policy) == {**expected, b"ratelimit-remaining": b"1"}
    assert admit(policy, T0 + 19.5) == {**expected, b"ratelimit-remaining": b"0", b"ratelimit-reset": b"41"}


def test_one_too_many_is_429(store: WindowStore, listener: Listener) -> None:
    """semantics 22, 38, R8: RESOURCE_EXHAUSTED with Retry-After, reason and the same headers."""
    policy = limits(store, listener, requests_per_minute=1).bind("/api/users/:id", "GET")
    admit(policy)
    asked = exchange()
    error = policy.admit(asked, T0 + 30.0)
    assert isinstance(error, GatewayError)
    assert (error.code, error.http, error.reason) == (Code.RESOURCE_EXHAUSTED, 429, "RATE_LIMITED")
    assert dict(error.headers) == {
        b"ratelimit-limit": b"1",
        b"ratelimit-remaining": b"0",
        b"ratelimit-reset": b"60",
        b"retry-after": b"60",
    }
    assert asked.response_headers == []
    assert error.metadata == {"limit": "1", "window_seconds": "60"}
    assert error.message == "too many requests: 1 per 60 s are allowed; retry in 60 s"
    assert not error.retryable
    assert listener.refused == ["/api/users/:id"]


def test_after_the_stated_wait_a_request_passes(store: WindowStore, listener: Listener) -> None:
    """semantics 22: Retry-After is true."""
    policy = limits(store, listener, requests_per_minute=10).bind("/", "GET")
    for _ in range(10):
        admit(policy, T0 + 7.0)
    wait_s = int(dict(refusal(policy, T0 + 8.0).headers)[b"retry-after"])
    refusal(policy, T0 + 8.0 + wait_s - 1.5)
    admit(policy, T0 + 8.0 + wait_s)


def test_each_refusal_tells_its_own_wait(store: WindowStore, listener: Listener) -> None:
    """semantics 22, 38: Retry-After and RateLimit-Reset count down, whatever was told to those who came before."""
    policy = limits(store, listener, requests_per_minute=1).bind("/", "GET")
    admit(policy)
    for later_s, wait in ((10.0, b"80"), (50.0, b"40"), (10.0, b"80")):
        error = refusal(policy, T0 + later_s)
        headers = dict(error.headers)
        assert (headers[b"retry-after"], headers[b"ratelimit-reset"]) == (wait, wait)
        assert error.message.endswith(f"retry in {wait.decode()} s")


async def test_nobody_is_told_to_come_again_in_no_time(listener: Listener) -> None:
    """semantics 22: a wait is told in whole seconds, one at least."""
    policy = limits(SlowStore((-1, 0.0)), listener).bind("/", "GET")
    with pytest.raises(GatewayError) as caught:
        await abide_by(policy.admit(exchange(), T0))
    assert (caught.value.http, dict(caught.value.headers)[b"retry-after"]) == (429, b"1")


def test_routes_share_one_limit(store: WindowStore, listener: Listener) -> None:
    """semantics 37, R6: another path, another method, the same bucket."""
    limit = limits(store, listener, requests_per_minute=2)
    admit(limit.bind("/a", "GET"))
    admit(limit.bind("/b", "POST"))
    refusal(limit.bind("/c", "GET"))


def test_clients_do_not_share(store: WindowStore, listener: Listener) -> None:
    policy = limits(store, listener, requests_per_minute=1).bind("/", "GET")
    admit(policy, key=b"\x01\x02\x03\x04")
    admit(policy, key=b"\x01\x02\x03\x05")


def test_an_override_counts_for_itself(store: WindowStore, listener: Listener) -> None:
    """semantics 36: rate_limit.routes have their own limit and counter."""
    limit = limits(
        store, listener, requests_per_minute=1, routes=[{"path": "/login", "method": "post", "requests_per_minute": 2}]
    )
    login, other = limit.bind("/login", "POST"), limit.bind("/login", "GET")
    admit(other)
    assert admit(login)[b"ratelimit-limit"] == b"2"
    admit(login)
    refusal(login)
    refusal(other)


@pytest.mark.parametrize(
    ("path", "limited"),
    [
        pytest.param("/users/:id", True, id="same_text"),
        pytest.param("/users/{user_id}", True, id="other_spelling"),
        pytest.param("/users/{id=*}", True, id="explicit_star"),
        pytest.param("/users/me", False, id="a_path_that_matches_the_template_only"),
        pytest.param("/users/{id=**}", False, id="wider_template"),
        pytest.param("/users", False, id="prefix"),
    ],
)
def test_an_override_means_its_route_however_it_is_written(
    store: WindowStore, listener: Listener, path: str, limited: bool
) -> None:
    """semantics 36: as `auth.public_routes` do; a limit that is spelt otherwise must not silently be none."""
    limit = limits(store, listener, routes=[{"path": path, "requests_per_minute": 2}])
    assert admit(limit.bind("/users/:id", "GET"))[b"ratelimit-limit"] == (b"2" if limited else b"100")


def test_an_override_for_all_methods_has_one_counter(store: WindowStore, listener: Listener) -> None:
    limit = limits(store, listener, routes=[{"path": "/login", "requests_per_minute": 2}])
    admit(limit.bind("/login", "GET"))
    admit(limit.bind("/login", "POST"))
    refusal(limit.bind("/login", "PUT"))


def test_two_overrides_do_not_share(store: WindowStore, listener: Listener) -> None:
    routes = [{"path": "/a", "requests_per_minute": 1}, {"path": "/b", "requests_per_minute": 1}]
    limit = limits(store, listener, routes=routes)
    admit(limit.bind("/a", "GET"))
    admit(limit.bind("/b", "GET"))


def test_two_methods_of_one_path_do_not_share(store: WindowStore, listener: Listener) -> None:
    """semantics 36: each entry of rate_limit.routes has its own counter, also beside another one of its path."""
    routes = [{"path": "/a", "method": method, "requests_per_minute": 1} for method in ("GET", "POST")]
    limit = limits(store, listener, routes=routes)
    admit(limit.bind("/a", "GET"))
    admit(limit.bind("/a", "POST"))


@pytest.mark.parametrize(("window_s", "expected"), [(1, b"2"), (30, b"50"), (600, b"1000"), (3600, b"6000")])
def test_limit_is_scaled(store: WindowStore, listener: Listener, window_s: int, expected: bytes) -> None:
    """semantics 36: Limit = requests_per_minute scaled to window_seconds; also beyond the values formatted ahead."""
    policy = limits(store, listener, requests_per_minute=100, window_seconds=window_s).bind("/", "GET")
    headers = admit(policy)
    assert headers[b"ratelimit-limit"] == expected
    assert int(headers[b"ratelimit-remaining"]) == int(expected) - 1


@pytest.mark.parametrize("later", [False, True], ids=["at-once", "awaited"])
async def test_store_out_of_order_lets_requests_pass(listener: Listener, later: bool) -> None:
    """semantics 39, P12: by default requests pass, without headers, and the alarm rises."""
    policy = limits(BrokenStore(later=later), listener).bind("/", "GET")
    asked = exchange()
    await abide_by(policy.admit(asked, T0))
    assert asked.response_headers == []
    assert (listener.failures, listener.refused) == (1, [])


@pytest.mark.parametrize("later", [False, True], ids=["at-once", "awaited"])
async def test_store_out_of_order_refuses_if_told_so(listener: Listener, later: bool) -> None:
    """semantics 39: rate_limit.on_store_error: refuse is 503 with Retry-After; the cause is for the log only."""
    policy = limits(BrokenStore(later=later), listener, on_store_error="refuse").bind("/", "GET")
    with pytest.raises(GatewayError) as caught:
        await abide_by(policy.admit(exchange(), T0))
    assert (caught.value.http, caught.value.reason) == (503, "RATE_LIMIT_UNAVAILABLE")
    assert caught.value.log_reason == "out of order"
    assert "out of order" not in caught.value.message
    assert listener.failures == 1


async def test_awaited_verdicts_decide_the_same(listener: Listener) -> None:
    asked = exchange()
    passing = limits(SlowStore((7, 12.5)), listener, requests_per_minute=9).bind("/", "GET")
    await abide_by(passing.admit(asked, T0))
    assert asked.response_headers == [
        (b"ratelimit-limit", b"9"),
        (b"ratelimit-remaining", b"7"),
        (b"ratelimit-reset", b"13"),
    ]
    refusing = limits(SlowStore((-1, 2.0)), listener).bind("/x", "GET").admit(exchange(), T0)
    with pytest.raises(GatewayError, match="retry in 2 s"):
        await abide_by(refusing)
    assert listener.refused == ["/x"]


def test_settle_does_nothing(store: WindowStore, listener: Listener) -> None:
    policy = limits(store, listener, requests_per_minute=1).bind("/", "GET")
    admit(policy)
    policy.settle(exchange(), T0 + 1.0)
    refusal(policy, T0 + 1.0)
