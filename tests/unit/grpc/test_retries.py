"""Which calls are tried again, when, and how many: the policy, the budget, and calls without sockets."""

from __future__ import annotations

import random
from typing import Any

import pytest

from api_gateway.grpc.call import Call
from api_gateway.grpc.retries import Retries, RetryBudget, RetryPolicy
from api_gateway.grpc.stream_call import MAX_KEPT_BYTES
from api_gateway.model.errors import GatewayError, unavailable
from api_gateway.model.status import Code
from tests.support.h2_frames import Error, Kind, data, headers, rst_stream
from tests.support.memory_link import ManualLoop, MemoryLink
from tests.support.scripted_peer import prefixed
from tests.unit.grpc.test_call import Ended, error_of, nothing_left

KINDS = ["unary", "stream"]


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> MemoryLink:
    """A link whose jitter is none."""
    monkeypatch.setattr(random, "uniform", lambda low, high: (low + high) / 2)
    made = MemoryLink()
    made.greet()
    return made


def start(link: MemoryLink, kind: str = "unary", **options: Any) -> Call[Any]:
    """Start an idempotent call that has sent its request."""
    if kind == "unary":
        return link.unary(b"question", is_idempotent=True, **options)
    call = link.stream(is_idempotent=True, **options)
    assert Ended(call.send(b"question")).is_done
    call.close_send()
    return call


def stated(link: MemoryLink, stream_id: int, *extra: tuple[bytes, bytes], status: bytes = b"14") -> bytes:
    """Return an answer of nothing but a status."""
    return link.head(stream_id, (b"grpc-status", status), *extra, end_stream=True)


# The budget


def test_the_budget_of_grpc() -> None:
    """G62: starts full, -1 for a failure, +ratio for a success, no retry at half of it or less."""
    budget = RetryBudget(10, 0.5)
    assert [budget.failed() for _ in range(6)] == [True, True, True, True, False, False]
    assert budget.tokens == 4
    for _ in range(3):
        budget.succeeded()
    assert budget.tokens == 5.5
    assert not budget.failed()
    for _ in range(100):
        budget.succeeded()
    assert budget.tokens == 10
    for _ in range(100):
        budget.failed()
    assert budget.tokens == 0
    generous = RetryBudget(10, 3)
    generous.failed()
    generous.succeeded()
    assert generous.tokens == 10


def test_the_budget_keeps_retries_to_a_tenth() -> None:
    """Semantics 31: over many requests, whatever share of them fails, a tenth and the first half bucket."""
    for failing_percent in (5, 20, 50, 90, 100):
        budget, retries, requests = RetryBudget(100, 0.1), 0, 20_000
        for number in range(requests):
            if number % 100 < failing_percent:
                # The retry fails as well, and takes its own token.
                retries += budget.failed()
                budget.failed()
            else:
                budget.succeeded()
        assert retries <= requests * 0.1 + 50


def test_backoff_of_grpc() -> None:
    """G61: min(initial * multiplier^(n-1), max)."""
    policy = RetryPolicy(initial_backoff_s=0.1, multiplier=3, max_backoff_s=1)
    assert [policy.backoff_s(retry) for retry in (1, 2, 3, 4)] == pytest.approx([0.1, 0.3, 0.9, 1])


def test_jitter_of_grpc() -> None:
    """G61: times something between 0.8 and 1.2, spread evenly."""
    loop = ManualLoop()
    retries = Retries(RetryPolicy(), loop=loop.as_loop(), place=lambda _: None, on_result=lambda _: None)
    delays = []
    for _ in range(400):
        call = Waiting()
        retries._budget.tokens = 100
        assert retries.try_again(call, None)
        delays.append(timer_s(retries, call) - loop.time())
    assert 0.04 <= min(delays) < 0.042 < 0.058 < max(delays) <= 0.06


class Waiting:
    """The least a call has. Implements `Retryable`."""

    def __init__(self) -> None:
        self.attempts, self.backoffs, self.deadline_s, self.is_waiting = 1, 0, 1e9, False
        self.error: GatewayError | None = None

    def abandon(self, error: GatewayError) -> None:
        self.error = error


def test_backoff_starts_over_after_pushback() -> None:
    """G61: gRFC A6, "Pushback": the delay after one that the backend chose is the first one."""
    loop = ManualLoop()
    retries = Retries(RetryPolicy(max_attempts=9), loop=loop.as_loop(), place=lambda _: None, on_result=lambda _: None)
    call, delays_s = Waiting(), []
    for pushback in (None, None, b"10", None):
        assert retries.try_again(call, pushback)
        delays_s.append(timer_s(retries, call) - loop.time())
        retries.forget(call)
    for delay_s, expected_s in zip(delays_s, [0.05, 0.1, 0.01, 0.05], strict=True):
        assert 0.8 * expected_s <= delay_s <= 1.2 * expected_s


def timer_s(retries: Retries, call: Waiting) -> float:
    timer: Any = retries._timers[call]
    when_s: float = timer.when_s
    return when_s


def test_closing_ends_those_that_wait() -> None:
    """Nobody waits for a channel that is gone."""
    loop = ManualLoop()
    placed: list[object] = []
    retries = Retries(RetryPolicy(), loop=loop.as_loop(), place=placed.append, on_result=lambda _: None)
    call = Waiting()
    assert retries.try_again(call, None)
    retries.close(lambda: unavailable("over", "SHUTTING_DOWN"))
    assert call.error is not None
    loop.advance(10)
    assert (placed, call.is_waiting, retries._timers) == ([], False, {})


# Calls


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_call_is_tried_again_after_a_delay(link: MemoryLink, kind: str) -> None:
    """G61: Trailers-Only with UNAVAILABLE; the second attempt says so and brings the same message."""
    call = start(link, kind)
    first = link.frames(Kind.DATA)
    assert not [name for name, _ in link.heads[1] if name == b"grpc-previous-rpc-attempts"]
    link.feed(stated(link, 1, (b"x-of-the-first", b"1")))
    assert (call.done(), call.is_waiting, link.owner.retried) == (False, True, [])
    link.loop.advance(0.049)
    assert link.owner.retried == []
    link.loop.advance(0.002)
    assert link.owner.retried == [call]
    call.start(link.connection)
    frames = link.frames()
    assert (b"grpc-previous-rpc-attempts", b"1") in link.heads[3]
    sent = [each.payload for each in frames if each.kind == Kind.DATA and each.payload]
    assert sent == [each.payload for each in first if each.payload] == [prefixed(b"question")]
    link.feed(link.head(3), data(3, prefixed(b"answer")), link.trailers(3))
    assert (call.done(), call.exception(), call.headers, call.attempts) == (True, None, [], 2)
    assert link.owner.results == ["succeeded"]
    nothing_left(link)


@pytest.mark.parametrize("kind", KINDS)
def test_attempts_end_with_the_last_error(link: MemoryLink, kind: str) -> None:
    """G61: at most max_attempts, which is three here; backoff grows."""
    call = start(link, kind)
    for stream_id, delay_s in ((1, 0.05), (3, 0.1)):
        link.frames()
        link.feed(stated(link, stream_id))
        link.loop.advance(delay_s - 0.001)
        assert call.is_waiting
        link.loop.advance(0.002)
        call.start(link.connection)
    link.frames()
    assert (b"grpc-previous-rpc-attempts", b"2") in link.heads[5]
    link.feed(stated(link, 5))
    assert (error_of(call).code, error_of(call).attempts) == (Code.UNAVAILABLE, 3)
    assert link.owner.retries._budget.tokens == 97, "G62: the last attempt takes a token too"
    assert link.owner.results == ["failed", "failed"]
    nothing_left(link)


LOST: dict[str, Any] = {
    "stated": lambda link: link.feed(stated(link, 1)),
    "refused twice": lambda link: refuse_twice(link),
    "connection lost": lambda link: link.connection.connection_lost(None),
    "http 503": lambda link: link.feed(headers(1, link.coder.encode([(b":status", b"503")]), end_stream=True)),
}


def refuse_twice(link: MemoryLink) -> None:
    link.feed(rst_stream(1, Error.REFUSED_STREAM))
    link.owner.retried.pop().start(link.connection)
    link.frames()
    link.feed(rst_stream(3, Error.REFUSED_STREAM))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cause", LOST)
def test_what_is_tried_again(link: MemoryLink, kind: str, cause: str) -> None:
    """G61: UNAVAILABLE before a response head, whatever the reason; the transparent retry comes first and is free."""
    call = start(link, kind)
    link.frames()
    LOST[cause](link)
    assert (call.is_waiting, call.attempts, call.done()) == (True, 1, False)
    call.cancel()
    assert len(link.owner.wheel) == 0


FINAL: dict[str, Any] = {
    "another status": lambda link: link.feed(stated(link, 1, status=b"8")),
    "reset": lambda link: link.feed(rst_stream(1, Error.INTERNAL_ERROR)),
    "after a head": lambda link: link.feed(link.head(1), link.trailers(1, b"14")),
    "lost after a head": lambda link: (link.feed(link.head(1)), link.connection.connection_lost(None)),
    "deadline": lambda link: link.loop.advance(6),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cause", FINAL)
def test_what_is_not_tried_again(link: MemoryLink, kind: str, cause: str) -> None:
    """G61: other codes, and anything after a response head, which commits the call."""
    call = start(link, kind)
    link.frames()
    FINAL[cause](link)
    assert (call.done(), call.is_waiting, link.owner.results) == (True, False, [])
    nothing_left(link)


def test_a_stream_that_sent_too_much_is_not_tried_again(link: MemoryLink) -> None:
    """G61: what is no longer kept cannot be sent again: the call is committed."""
    call = link.stream(is_idempotent=True)
    assert Ended(call.send(bytes(MAX_KEPT_BYTES))).is_done
    link.frames()
    link.feed(stated(link, 1))
    assert (error_of(call).code, call.is_waiting, link.owner.results) == (Code.UNAVAILABLE, False, [])
    nothing_left(link)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cause", LOST)
def test_calls_with_effects_are_not_tried_again(link: MemoryLink, kind: str, cause: str) -> None:
    """semantics 31, G61: whatever made it UNAVAILABLE says nothing about what the backend has done."""
    call: Call[Any] = link.unary(b"x") if kind == "unary" else link.stream()
    link.frames()
    LOST[cause](link)
    assert error_of(call).code == Code.UNAVAILABLE
    assert link.owner.retries._budget.tokens == 100
    nothing_left(link)


@pytest.mark.parametrize(
    ("values", "delay_s"),
    [((b"0",), 0.0), ((b"300",), 0.3), ((b"2000",), 2.0)],
)
def test_pushback_sets_the_delay(link: MemoryLink, values: tuple[bytes, ...], delay_s: float) -> None:
    """G61: grpc-retry-pushback-ms is obeyed, and backoff starts over after it."""
    call = start(link)
    link.frames()
    link.feed(stated(link, 1, *((b"grpc-retry-pushback-ms", value) for value in values)))
    assert call.is_waiting
    if delay_s:
        link.loop.advance(delay_s - 0.001)
        assert link.owner.retried == []
    link.loop.advance(0.002)
    assert link.owner.retried == [call]
    call.start(link.connection)
    link.frames()
    link.feed(stated(link, 3))
    link.loop.advance(0.051)
    assert call.attempts == 3
    call.cancel()
    nothing_left(link)


@pytest.mark.parametrize("values", [(b"-1",), (b"soon",), (b"",), (b"1.5",), (b"10", b"10"), (b"9" * 10,)])
def test_pushback_that_forbids(link: MemoryLink, values: tuple[bytes, ...]) -> None:
    """G61: negative or unparsable means do not retry."""
    call = start(link)
    link.frames()
    link.feed(stated(link, 1, *((b"grpc-retry-pushback-ms", value) for value in values)))
    assert error_of(call).code == Code.UNAVAILABLE
    assert link.owner.results == ["refused"]
    nothing_left(link)


def test_an_empty_budget_forbids(link: MemoryLink) -> None:
    """G62: and says so."""
    link.owner.retries._budget.tokens = 50
    call = start(link)
    link.frames()
    link.feed(stated(link, 1))
    assert error_of(call).code == Code.UNAVAILABLE
    assert link.owner.results == ["throttled"]
    nothing_left(link)


def test_transparent_retries_cost_nothing(link: MemoryLink) -> None:
    """G62, G63: no token, no attempt, no delay."""
    call = start(link)
    link.frames()
    link.feed(rst_stream(1, Error.REFUSED_STREAM))
    assert (link.owner.retried, call.attempts, link.owner.retries._budget.tokens) == ([call], 1, 100)
    call.start(link.connection)
    link.frames()
    assert not [name for name, _ in link.heads[3] if name == b"grpc-previous-rpc-attempts"]
    call.cancel()
    nothing_left(link)


@pytest.mark.parametrize("kind", KINDS)
def test_cancelled_while_it_waits(link: MemoryLink, kind: str) -> None:
    """semantics 26: no timer, no deadline, no second attempt."""
    call = start(link, kind)
    link.frames()
    link.feed(stated(link, 1))
    assert call.cancel()
    link.loop.advance(5)
    assert link.owner.retried == []
    nothing_left(link)


def test_deadline_while_it_waits(link: MemoryLink) -> None:
    """G43: one deadline for all attempts. A delay that it would not outlive is not begun: the error is told at once."""
    call = start(link, timeout_s=0.06)
    link.frames()
    link.feed(stated(link, 1))
    assert call.is_waiting
    link.loop.advance(0.051)
    link.loop.advance(0.05)
    assert error_of(call).code == Code.DEADLINE_EXCEEDED
    hasty = start(link, timeout_s=0.04)
    link.frames()
    link.feed(stated(link, 3))
    assert error_of(hasty).code == Code.UNAVAILABLE
    nothing_left(link)


def test_a_call_that_succeeds_fills_the_budget(link: MemoryLink) -> None:
    """G62."""
    link.owner.retries._budget.tokens = 70
    call = start(link)
    link.frames()
    link.feed(link.head(1), data(1, prefixed(b"answer")), link.trailers(1))
    assert call.done()
    assert link.owner.retries._budget.tokens == pytest.approx(70.1)
    assert link.owner.results == []


def test_a_stream_goes_on_sending_in_its_second_attempt(link: MemoryLink) -> None:
    """G61: what is sent while it waits goes out after what was sent before."""
    call = link.stream(is_idempotent=True)
    assert Ended(call.send(b"one")).is_done
    link.frames()
    link.feed(stated(link, 1))
    two = Ended(call.send(b"two"))
    three = Ended(call.send(b"three"))
    assert (two.is_done, three.is_done) == (True, False)
    link.loop.advance(0.06)
    call.start(link.connection)
    assert three.is_done
    sent = b"".join(each.payload for each in link.frames(Kind.DATA) if each.stream_id == 3)
    assert sent == prefixed(b"one") + prefixed(b"two") + prefixed(b"three")
    call.cancel()
    nothing_left(link)
