"""Tokens checked by the auth service."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from api_gateway.model.status import Code
from api_gateway.policy.contracts import VALIDATE_TOKEN
from tests.support.auth_bench import Bench, token_answer
from tests.support.auth_upstream import exchange, turns, upstream_error
from tests.support.token_factory import NOW_S, b64, claims, hs256


async def test_service_tells_who_it_is() -> None:
    """semantics 28, 34: the service's answer becomes identity metadata."""
    bench = Bench()
    bench.validator.answer = token_answer(user="u-1", roles=("user", "Domain Admins"))
    made = exchange(b"Bearer opaque~token==")
    assert not await bench.pass_in(made)
    assert bench.validator.calls == [(VALIDATE_TOKEN, b"\x0a\x0eopaque~token==")]
    assert (made.user_id, made.roles) == ("u-1", ("user", "Domain Admins"))
    found = dict(made.metadata)
    assert found[b"x-user-id"] == b"u-1" and found[b"x-user-roles"] == b"user,Domain Admins"
    text = found[b"x-auth-claims"]
    assert not text.endswith(b"=")
    assert json.loads(base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))) == {
        "sub": "u-1",
        "roles": ["user", "Domain Admins"],
    }


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        pytest.param(token_answer(valid=False, error="expired"), 401, "rejected", id="invalid"),
        pytest.param(b"", 401, "rejected", id="empty_answer"),
        pytest.param(upstream_error(Code.UNAUTHENTICATED), 401, "rejected", id="unauthenticated"),
        pytest.param(
            upstream_error(Code.UNAUTHENTICATED, "HTTP"), 503, "validator_unavailable", id="http_401_of_a_proxy"
        ),
        pytest.param(upstream_error(Code.UNAVAILABLE), 503, "validator_unavailable", id="unreachable"),
        pytest.param(upstream_error(Code.DEADLINE_EXCEEDED), 503, "validator_unavailable", id="too_slow"),
        pytest.param(upstream_error(Code.UNIMPLEMENTED), 503, "validator_unavailable", id="unimplemented"),
        pytest.param(upstream_error(Code.PERMISSION_DENIED), 503, "validator_unavailable", id="denied"),
        pytest.param(upstream_error(Code.INTERNAL), 503, "validator_unavailable", id="internal"),
        pytest.param(b"\xff\xff\xff", 503, "validator_unavailable", id="junk"),
        pytest.param(b"\x08\x01\x12\x02\xff\xfe", 503, "validator_unavailable", id="not_utf8"),
        pytest.param(token_answer(user="a\r\nx-user-roles: admin"), 401, "identity", id="header_injection"),
        pytest.param(token_answer(user="Jürgen"), 401, "identity", id="non_ascii_user"),
        pytest.param(token_answer(roles=("user,admin",)), 401, "identity", id="comma_in_role"),
        pytest.param(token_answer(roles=("ad\nmin",)), 401, "identity", id="line_feed_in_role"),
    ],
)
async def test_failures_of_the_service(answer: bytes | Exception, status: int, reason: str) -> None:
    """semantics 28, 34, 35: each failure has its status and its reason, and none lets anybody in."""
    bench = Bench()
    bench.validator.answer = answer
    made = exchange(b"Bearer opaque")
    error = await bench.refused(made)
    assert (error.http, bench.failures) == (status, [reason])
    assert made.metadata == []
    await bench.refused(exchange(b"Bearer opaque"))
    assert len(bench.validator.calls) == 2, "failures must not be cached"


async def test_log_detail_holds_no_token() -> None:
    """H19: a service that echoes the token does not get it into our log."""
    bench = Bench()
    bench.validator.answer = token_answer(valid=False, error="bad token opaque-token")
    error = await bench.refused(exchange(b"Bearer opaque-token"))
    assert error.log_reason == "rejected: bad token <token>"
    assert "bad token" not in error.message


async def test_log_detail_is_short() -> None:
    """semantics 35, 46: a service that explains at length does not fill the log."""
    bench = Bench()
    bench.validator.answer = b"\x22\x88\x27" + b"x" * 5_000
    error = await bench.refused(exchange(b"Bearer opaque"))
    assert error.log_reason == "rejected: " + "x" * 200


async def test_tokens_are_told_apart_by_all_their_bytes() -> None:
    """J44: tokens that end alike, or begin alike, are different tokens."""
    bench = Bench()
    tail = b"a" * 64
    for number, token in enumerate((tail, b"x" + tail, tail + b"x"), start=1):
        await bench.pass_in(exchange(b"Bearer " + token))
        assert len(bench.validator.calls) == number


async def test_open_questions_are_bounded() -> None:
    """semantics 34, C13: while a thousand tokens are being asked about, one more gets 503."""
    bench = Bench(timeout_ms=600_000)
    assert (await bench.refused(exchange())).http == 401  # the method's policy is known from here on
    bench.validator.gate = asyncio.Event()
    waiting = [
        asyncio.ensure_future(bench.pass_in(exchange(b"Bearer %d" % number)))  # noqa: TID251  # gathered below
        for number in range(1_000)
    ]
    await turns(lambda: len(bench.validator.calls) == 1_000)
    assert (await bench.refused(exchange(b"Bearer one-more"))).http == 503
    assert bench.failures == ["missing_token", "overloaded"]
    bench.validator.gate.set()
    await asyncio.gather(*waiting)


@pytest.mark.parametrize("expiry", ["1" + "0" * 400, "-1" + "0" * 400, "1e400", '"soon"', "null"])
async def test_what_is_no_time_is_no_expiry(expiry: str) -> None:
    """J28, semantics 34: the service found the token good; its `exp` only shortens how long that is remembered."""
    bench = Bench()
    payload = b64(f'{{"exp": {expiry}}}')
    await bench.pass_in(exchange(b"Bearer " + b".".join((b64('{"alg":"HS256"}'), payload, b"AAAA"))))
    assert len(bench.validator.calls) == 1


async def test_service_answers_are_kept_for_the_cache_ttl() -> None:
    """semantics 34: at most `auth.cache_ttl_seconds`."""
    bench = Bench(cache_ttl_seconds=30)
    await bench.pass_in(exchange(b"Bearer opaque"))
    bench.ahead_s = 29.0
    assert await bench.pass_in(exchange(b"Bearer opaque"))
    bench.ahead_s = 31.0
    assert not await bench.pass_in(exchange(b"Bearer opaque"))
    assert len(bench.validator.calls) == 2


async def test_service_answers_are_not_kept_beyond_the_tokens_own_expiry() -> None:
    """semantics 34: a JWT's `exp` ends it, whatever the TTL."""
    bench = Bench(cache_ttl_seconds=3600)
    token = b"Bearer " + hs256({"alg": "HS256"}, claims(exp=int(NOW_S) + 60))
    await bench.pass_in(exchange(token))
    bench.wall_s = NOW_S + 59
    assert await bench.pass_in(exchange(token))
    bench.wall_s = NOW_S + 60
    assert not await bench.pass_in(exchange(token))
    assert len(bench.validator.calls) == 2


async def test_cache_ttl_zero_asks_each_time() -> None:
    """semantics 34: nothing is kept."""
    bench = Bench(cache_ttl_seconds=0)
    await bench.pass_in(exchange(b"Bearer opaque"))
    await bench.pass_in(exchange(b"Bearer opaque"))
    assert len(bench.validator.calls) == 2


async def test_requests_with_one_token_share_a_question() -> None:
    """A burst with one new token asks the service once; another token is another question."""
    bench = Bench()
    await bench.refused(exchange())
    bench.validator.gate = asyncio.Event()
    tokens = [b"Bearer one"] * 50 + [b"Bearer two"]
    waiting = [asyncio.ensure_future(bench.pass_in(exchange(token))) for token in tokens]  # noqa: TID251  # gathered below
    await turns(lambda: len(bench.validator.calls) == 2)
    bench.validator.gate.set()
    await asyncio.gather(*waiting)
    assert len(bench.validator.calls) == 2
