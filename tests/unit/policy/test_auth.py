"""What happens to a request: public routes, policies of backends, tokens checked by the service or by the gateway."""

from __future__ import annotations

import asyncio
import base64
import json
import timeit
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api_gateway.config.settings import AuthSettings
from api_gateway.model.errors import GatewayError
from api_gateway.model.exchange import Exchange
from api_gateway.model.policy import Policy
from api_gateway.model.status import Code
from api_gateway.policy.auth import Auth, AuthListener, GuardedRoute
from api_gateway.policy.contracts import GET_AUTH_POLICY, VALIDATE_TOKEN
from api_gateway.policy.jwks import KeyFetch
from api_gateway.waiting import Runner
from tests.support.auth_upstream import FakeUpstream, exchange, turns, upstream_error
from tests.support.token_factory import NOW_S, SECRET, b64, claims, hs256, key_set, rsa_key, signed

ROUTE = GuardedRoute(service="users", method="user.UserService/GetUser", template="/api/users/:id", verb="GET")
REQUIRE_ANY = b"\x08\x01"
REQUIRE_ADMIN = b"\x08\x01\x12\x05admin"
PUBLIC = b"\x08\x00"
JWT = {"secret": SECRET}
GOOD = b"Bearer " + hs256({"alg": "HS256"}, claims())


def token_answer(
    *, valid: bool = True, user: str = "alice", roles: tuple[str, ...] = ("user",), error: str = ""
) -> bytes:
    parts = [b"\x08\x01" if valid else b""]
    for tag, text in ((0x12, user), *((0x1A, role) for role in roles), (0x22, error)):
        if text:
            parts.append(bytes((tag, len(text.encode()))) + text.encode())
    return b"".join(parts)


class Bench:
    """An Auth with its fakes around it. Time stands still until it is told to move."""

    def __init__(self, *, fetch: Callable[[], Awaitable[bytes]] | None = None, **settings: Any) -> None:
        self.backend = FakeUpstream(REQUIRE_ANY)
        self.validator = FakeUpstream(token_answer())
        self.failures: list[str] = []
        self.fetches: list[KeyFetch] = []
        self.wall_s = NOW_S
        self.ahead_s = 0.0
        if "jwt" not in settings:
            settings.setdefault("service_endpoint", "http://127.0.0.1:1")
        self.auth = Auth(
            AuthSettings(**settings),
            AuthListener(on_failure=self.failures.append, on_key_fetch=self.fetches.append),
            service=None if "jwt" in settings else self.validator,
            fetch_keys=fetch,
            wall_clock=lambda: self.wall_s,
            clock=self.now_s,
        )
        self.policy = self.auth.bind(ROUTE, self.backend)

    def now_s(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead_s

    async def pass_in(self, made: Exchange, policy: Policy | None = None) -> bool:
        """Admit an exchange; return whether that was decided at once."""
        pending = (policy or self.policy).admit(made, self.now_s())
        if pending is None:
            return True
        await pending
        return False

    async def refused(self, made: Exchange, policy: Policy | None = None) -> GatewayError:
        with pytest.raises(GatewayError) as caught:
            await self.pass_in(made, policy)
        return caught.value


# Which calls need a token


async def test_require_auth_needs_a_token() -> None:
    """semantics 33, 35: the backend demands a token, none came."""
    bench = Bench()
    error = await bench.refused(exchange())
    assert (error.http, error.code, error.reason) == (401, Code.UNAUTHENTICATED, "TOKEN_MISSING")
    assert bench.failures == ["missing_token"]
    assert bench.backend.calls == [(GET_AUTH_POLICY, b"\x0a\x18user.UserService/GetUser")]
    assert bench.validator.calls == []


async def test_public_policy_needs_none() -> None:
    """semantics 33: a backend may let everybody in."""
    bench = Bench()
    bench.backend.answer = PUBLIC
    made = exchange()
    await bench.pass_in(made)
    assert made.metadata == [] and made.user_id == "" and bench.failures == []


async def test_public_policy_ignores_a_token() -> None:
    """semantics 33: nobody is asked about a token that is not needed."""
    bench = Bench()
    bench.backend.answer = PUBLIC
    await bench.pass_in(exchange(b"Bearer junk"))
    assert bench.validator.calls == []


@pytest.mark.parametrize(
    ("public", "route", "is_public"),
    [
        pytest.param({"path": "/api/users/:id"}, ROUTE, True, id="all_methods"),
        pytest.param({"path": "/api/users/:id", "method": "get"}, ROUTE, True, id="this_method"),
        pytest.param({"path": "/api/users/{user_id}"}, ROUTE, True, id="other_spelling"),
        pytest.param({"path": "/api/users/{user_id=*}"}, ROUTE, True, id="explicit_star"),
        pytest.param({"path": "/api/users/:id", "method": "POST"}, ROUTE, False, id="other_method"),
        pytest.param({"path": "/api/users/me"}, ROUTE, False, id="a_path_that_matches_the_template_only"),
        pytest.param({"path": "/api/users/{id=**}"}, ROUTE, False, id="wider_template"),
        pytest.param({"path": "/api/users"}, ROUTE, False, id="prefix"),
        pytest.param({"path": "/api/users/:id/"}, ROUTE, False, id="trailing_slash"),
    ],
)
async def test_public_routes_are_open_and_nothing_else_is(
    public: dict[str, str], route: GuardedRoute, is_public: bool
) -> None:
    """semantics 33: `auth.public_routes` are open, whatever the backend says; it is not even asked."""
    bench = Bench(public_routes=[public])
    policy = bench.auth.bind(route, bench.backend)
    if is_public:
        assert await bench.pass_in(exchange(), policy)
        assert bench.backend.calls == []
    else:
        assert (await bench.refused(exchange(), policy)).http == 401


# How long a policy is remembered


@pytest.mark.parametrize(
    ("answer", "asked_before", "asked_after"),
    [
        pytest.param(REQUIRE_ANY, 299.0, 301.0, id="absent_means_300"),
        pytest.param(REQUIRE_ANY + b"\x18" + b"\xff" * 9 + b"\x01", 299.0, 301.0, id="negative_means_300"),
        pytest.param(REQUIRE_ANY + b"\x18\x0a", 9.0, 11.0, id="10_seconds"),
    ],
)
async def test_policy_is_asked_once_per_ttl(answer: bytes, asked_before: float, asked_after: float) -> None:
    """semantics 33: one question while the answer is fresh, another when it ran out."""
    bench = Bench(jwt=JWT)
    bench.backend.answer = answer
    assert not await bench.pass_in(exchange(GOOD))
    bench.ahead_s = asked_before
    assert await bench.pass_in(exchange(GOOD))
    assert len(bench.backend.calls) == 1
    bench.ahead_s = asked_after
    assert not await bench.pass_in(exchange(GOOD))
    assert len(bench.backend.calls) == 2


async def test_ttl_zero_is_not_remembered() -> None:
    """semantics 33: an explicit 0 means that each request asks, and that nothing serves when the backend is gone."""
    bench = Bench(jwt=JWT)
    bench.backend.answer = REQUIRE_ANY + b"\x18\x00"
    for count in (1, 2, 3):
        await bench.pass_in(exchange(GOOD))
        assert len(bench.backend.calls) == count
    bench.backend.answer = upstream_error(Code.UNAVAILABLE)
    assert (await bench.refused(exchange(GOOD))).http == 503


async def test_one_question_at_a_time_per_method() -> None:
    """semantics 33: 100 requests, one question."""
    bench = Bench(jwt=JWT)
    bench.backend.gate = asyncio.Event()
    waiting = [asyncio.ensure_future(bench.pass_in(exchange(GOOD))) for _ in range(100)]  # noqa: TID251  # gathered below
    await turns(lambda: len(bench.backend.calls) == 1)
    bench.backend.gate.set()
    await asyncio.gather(*waiting)
    assert len(bench.backend.calls) == 1


async def test_routes_of_one_method_share_what_is_known() -> None:
    """semantics 33: a new route table, or a second route, does not ask again."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(GOOD))
    other = bench.auth.bind(
        GuardedRoute(service="users", method=ROUTE.method, template="/v2/users/{id}", verb="GET"), bench.backend
    )
    assert await bench.pass_in(exchange(GOOD), other)
    assert len(bench.backend.calls) == 1


async def test_same_method_of_another_service_is_another_policy() -> None:
    """semantics 33: each backend speaks for itself."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(GOOD))
    other = FakeUpstream(PUBLIC)
    policy = bench.auth.bind(GuardedRoute(service="other", method=ROUTE.method, template="/other", verb="GET"), other)
    await bench.pass_in(exchange(), policy)
    assert len(other.calls) == 1


async def test_forgotten_policies_are_asked_again() -> None:
    """An operator's refresh reaches the policies too."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(GOOD))
    bench.auth.forget_policies()
    bench.backend.answer = REQUIRE_ADMIN
    assert (await bench.refused(exchange(GOOD))).http == 403


# Backends that cannot say


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(upstream_error(Code.UNAVAILABLE, "UPSTREAM_UNAVAILABLE"), id="unreachable"),
        pytest.param(upstream_error(Code.DEADLINE_EXCEEDED), id="too_slow"),
        pytest.param(upstream_error(Code.INTERNAL), id="internal"),
        pytest.param(upstream_error(Code.UNIMPLEMENTED, "NO_MESSAGE"), id="unimplemented_by_a_broken_answer"),
        pytest.param(upstream_error(Code.PERMISSION_DENIED), id="denied"),
        pytest.param(b"\xff\xff", id="junk"),
        pytest.param(b"\x12\x02\xff\xfe", id="not_utf8"),
    ],
)
@pytest.mark.parametrize("default_policy", ["public", "require_auth"])
async def test_never_known_policy_refuses(answer: bytes | Exception, default_policy: str) -> None:
    """semantics 33: never known and not to be had is 503, even where the default is public. Nothing fails open."""
    bench = Bench(jwt=JWT, default_policy=default_policy)
    bench.backend.answer = answer
    error = await bench.refused(exchange(GOOD))
    assert (error.http, error.reason, error.retryable) == (503, "AUTH_UNAVAILABLE", True)
    assert (b"retry-after", b"1") in error.headers
    assert bench.failures == ["policy_unavailable"]


async def test_stale_policy_serves_for_ten_more_ttls_then_refuses() -> None:
    """semantics 33: expired but unreachable; and it is the old answer that holds, not a weaker one."""
    bench = Bench(jwt=JWT)
    bench.backend.answer = REQUIRE_ANY + b"\x18\x0a"
    await bench.pass_in(exchange(GOOD))
    bench.backend.answer = upstream_error(Code.UNAVAILABLE)
    for bench.ahead_s in (11.0, 50.0, 109.0):
        await bench.pass_in(exchange(GOOD))
        assert (await bench.refused(exchange())).http == 401
    bench.ahead_s = 111.0
    assert (await bench.refused(exchange(GOOD))).http == 503
    assert bench.failures == ["missing_token"] * 3 + ["policy_unavailable"]


async def test_stale_policy_does_not_wait_for_a_backend_that_hangs() -> None:
    """semantics 33: after one failed question, nobody waits for the next one while the old answer may serve."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(GOOD))
    bench.backend.answer = upstream_error(Code.UNAVAILABLE)
    bench.ahead_s = 301.0
    await bench.pass_in(exchange(GOOD))
    bench.backend.gate = asyncio.Event()
    bench.ahead_s = 303.0
    for _ in range(3):
        async with asyncio.timeout(5):
            await bench.pass_in(exchange(GOOD))
    await turns(lambda: len(bench.backend.calls) == 3)
    bench.backend.answer = REQUIRE_ADMIN
    bench.backend.gate.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert (await bench.refused(exchange(GOOD))).http == 403
    assert len(bench.backend.calls) == 3


@pytest.mark.parametrize(
    ("default_policy", "status"),
    [pytest.param("public", None, id="public"), pytest.param("require_auth", 401, id="auth")],
)
async def test_backend_without_the_policy_service_gets_the_default(default_policy: str, status: int | None) -> None:
    """semantics 33: UNIMPLEMENTED from the backend means `auth.default_policy`, remembered like an answer."""
    bench = Bench(jwt=JWT, default_policy=default_policy)
    bench.backend.answer = upstream_error(Code.UNIMPLEMENTED)
    for _ in range(2):
        if status is None:
            await bench.pass_in(exchange())
        else:
            assert (await bench.refused(exchange())).http == status
    assert len(bench.backend.calls) == 1


async def test_roles_without_require_auth_are_required() -> None:
    """A backend that contradicts itself gets the stricter half: nothing fails open."""
    bench = Bench(jwt=JWT)
    bench.backend.answer = b"\x12\x05admin"
    assert (await bench.refused(exchange())).http == 401


# Deadlines and cancels


async def test_question_gets_the_auth_timeout() -> None:
    """semantics 30, 34: a question may take `auth.timeout_ms`, whatever the first asker's deadline is."""
    bench = Bench(timeout_ms=1500)
    now_s = bench.now_s()
    await bench.pass_in(exchange(GOOD, deadline_s=now_s + 30))
    assert bench.backend.deadlines[0] == pytest.approx(now_s + 1.5, abs=0.5)
    assert bench.validator.deadlines[0] == pytest.approx(now_s + 1.5, abs=0.5)


async def test_request_does_not_wait_beyond_its_deadline() -> None:
    """semantics 30: the deadline covers auth calls; the question goes on for the others."""
    bench = Bench()
    bench.backend.gate = asyncio.Event()
    error = await bench.refused(exchange(GOOD, deadline_s=bench.now_s() + 0.01))
    assert (error.http, error.code) == (504, Code.DEADLINE_EXCEEDED)
    assert bench.failures == ["deadline"]
    bench.backend.gate.set()
    await bench.pass_in(exchange(GOOD))
    assert len(bench.backend.calls) == 1


async def test_cancelled_request_leaves_the_question_alone() -> None:
    """A request is stepped by a Runner; cancelling it takes only its own waiting with it."""
    bench = Bench(jwt=JWT)
    bench.backend.gate = asyncio.Event()
    ends: list[tuple[str, BaseException | None]] = []

    async def request(made: Exchange) -> None:
        pending = bench.policy.admit(made, bench.now_s())
        assert pending is not None
        await pending

    runners = []
    for name in ("cancelled", "patient"):
        runner = Runner(request(exchange(GOOD)), lambda _, error, name=name: ends.append((name, error)))  # type: ignore[misc]
        runner.start()
        runners.append(runner)
    runners[0].cancel()
    await asyncio.sleep(0)
    bench.backend.gate.set()
    await turns(lambda: len(ends) == 2)
    assert [(name, type(error)) for name, error in ends] == [
        ("cancelled", asyncio.CancelledError),
        ("patient", type(None)),
    ]
    assert len(bench.backend.calls) == 1


async def test_closing_answers_who_waits() -> None:
    """Shutting down answers 503 and leaves no task behind."""
    bench = Bench()
    bench.backend.gate = asyncio.Event()
    waiting = asyncio.ensure_future(bench.refused(exchange(GOOD)))  # noqa: TID251  # awaited below
    await turns(lambda: len(bench.backend.calls) == 1)
    await bench.auth.aclose()
    assert (await waiting).http == 503
    assert (await bench.refused(exchange(GOOD))).http == 503
    assert len(asyncio.all_tasks()) == 1


# Tokens checked by the service


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


# Tokens checked in the gateway


async def test_good_token_tells_who_it_is() -> None:
    """semantics 28, 34: the verified claims travel as they stood in the token."""
    bench = Bench(jwt={**JWT, "roles_claim": "realm_access.roles"})
    payload = claims(realm_access={"roles": ["user", "admin"]}, name="Jürgen")
    made = exchange(b"Bearer " + hs256({"alg": "HS256"}, payload))
    await bench.pass_in(made)
    assert made.metadata == [
        (b"x-user-id", b"alice"),
        (b"x-user-roles", b"user,admin"),
        (b"x-auth-claims", b64(json.dumps(payload))),
    ]
    assert (made.user_id, made.roles) == ("alice", ("user", "admin"))


async def test_known_token_is_decided_at_once_until_it_expires() -> None:
    """semantics 34: cached until `exp` (here with the leeway), by the wall clock."""
    bench = Bench(jwt={**JWT, "leeway_seconds": 30})
    await bench.pass_in(exchange(GOOD))
    bench.wall_s = NOW_S + 600 + 29
    made = exchange(GOOD)
    assert await bench.pass_in(made)
    assert made.user_id == "alice"
    bench.wall_s = NOW_S + 600 + 30
    error = await bench.refused(exchange(GOOD))
    assert (error.http, bench.failures) == (401, ["expired"])


@pytest.mark.parametrize(
    ("answer", "roles", "status"),
    [
        pytest.param(REQUIRE_ANY, [], None, id="any_caller"),
        pytest.param(REQUIRE_ADMIN, ["admin"], None, id="the_role"),
        pytest.param(REQUIRE_ADMIN + b"\x12\x03ops", ["ops"], None, id="one_of_two"),
        pytest.param(REQUIRE_ADMIN, ["user"], 403, id="another_role"),
        pytest.param(REQUIRE_ADMIN, [], 403, id="no_role"),
        pytest.param(REQUIRE_ADMIN, ["Admin"], 403, id="other_case"),
        pytest.param(REQUIRE_ADMIN, ["admin2"], 403, id="longer"),
    ],
)
async def test_roles(answer: bytes, roles: list[str], status: int | None) -> None:
    """semantics 35: any one of the required roles suffices; a valid token without one is 403. J43."""
    bench = Bench(jwt=JWT)
    bench.backend.answer = answer
    token = b"Bearer " + hs256({"alg": "HS256"}, claims(roles=roles))
    if status is None:
        await bench.pass_in(exchange(token))
        return
    for _ in range(2):
        made = exchange(token)
        error = await bench.refused(made)
        assert (error.http, error.code, made.metadata) == (status, Code.PERMISSION_DENIED, [])
        assert error.headers == ((b"www-authenticate", b'Bearer error="insufficient_scope"'),)
    assert bench.failures == ["missing_role", "missing_role"]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"Bearer", id="alone"),
        pytest.param(b"Bearer ", id="alone_with_space"),
        pytest.param(b"Bearer  TOKEN", id="two_spaces"),
        pytest.param(b"Bearer\tTOKEN", id="tab"),
        pytest.param(b"Bearer TOKEN TOKEN", id="two_tokens"),
        pytest.param(b"Bearer TOKEN, Bearer TOKEN", id="comma"),
        pytest.param(b"Bearer TOKEN,", id="trailing_comma"),
        pytest.param(b"Bearer TOKEN ", id="trailing_space"),
        pytest.param(b"Bearer token=TOKEN", id="parameter"),
        pytest.param(b"Bearer \xa0TOKEN", id="non_ascii"),
        pytest.param(b"BearerTOKEN", id="no_space"),
        pytest.param(b"Basic YWxpY2U6c2VjcmV0", id="basic"),
        pytest.param(b"TOKEN", id="no_scheme"),
        pytest.param(b"Token TOKEN", id="other_scheme"),
    ],
)
async def test_credentials_of_another_form(value: bytes) -> None:
    """J38: only `Bearer`, one space, one token."""
    bench = Bench(jwt=JWT)
    error = await bench.refused(exchange(value.replace(b"TOKEN", GOOD[7:])))
    assert (error.http, bench.failures) == (401, ["bad_scheme"])


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER ", b"bEaReR "])
async def test_scheme_is_case_insensitive(scheme: bytes) -> None:
    """J38: as RFC 9110 section 11.1 says."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(scheme + GOOD[7:]))


@pytest.mark.parametrize("is_public", [False, True])
async def test_two_authorization_headers(is_public: bool) -> None:
    """semantics 35, J37: two are 400, on public routes too, since both would be forwarded."""
    bench = Bench(jwt=JWT, public_routes=[{"path": ROUTE.template}] if is_public else [])
    policy = bench.auth.bind(ROUTE, bench.backend)
    error = await bench.refused(exchange(GOOD + b", " + GOOD, repeated=frozenset({b"authorization"})), policy)
    assert (error.http, error.reason) == (400, "AUTHORIZATION_REPEATED")
    assert bench.failures == ["repeated_authorization"]


@pytest.mark.parametrize(
    "request_parts",
    [
        pytest.param({"query": "access_token=TOKEN"}, id="query"),
        pytest.param({"headers": {b"cookie": b"access_token=TOKEN"}}, id="cookie"),
        pytest.param({"headers": {b"proxy-authorization": b"Bearer TOKEN"}}, id="proxy_authorization"),
        pytest.param({"headers": {b"x-authorization": b"Bearer TOKEN"}}, id="other_header"),
    ],
)
async def test_tokens_elsewhere_are_not_looked_at(request_parts: dict[str, Any]) -> None:
    """J37: one place only, so no two places can disagree."""
    bench = Bench(jwt=JWT)
    assert (await bench.refused(exchange(**request_parts))).reason == "TOKEN_MISSING"


async def test_client_learns_the_class_only() -> None:
    """J41, J43, semantics 22, 35: every invalid token gets the same answer; the reason is for log and metric."""
    bench = Bench(jwt={**JWT, "issuer": "https://issuer", "audience": "api"})
    good = claims(iss="https://issuer", aud="api")
    tokens = {
        "malformed": b"junk",
        "signature": hs256({"alg": "HS256"}, good, "x" * 32),
        "algorithm": hs256({"alg": "none"}, good),
        "expired": hs256({"alg": "HS256"}, {**good, "exp": 1}),
        "issuer": hs256({"alg": "HS256"}, {**good, "iss": "https://other"}),
        "audience": hs256({"alg": "HS256"}, {**good, "aud": "other"}),
    }
    answers = set()
    for token in tokens.values():
        error = await bench.refused(exchange(b"Bearer " + token))
        answers.add((error.http, error.code, error.message, error.reason, error.headers, tuple(error.metadata)))
    (answer,) = answers
    assert answer[:2] == (401, Code.UNAUTHENTICATED)
    assert answer[4] == ((b"www-authenticate", b'Bearer error="invalid_token"'),)
    assert bench.failures == list(tokens)


async def test_oversized_token_costs_nothing() -> None:
    """J39: refused by its length, before it is hashed."""
    bench = Bench(jwt=JWT)
    for size in (8_193, 1024 * 1024):
        assert (await bench.refused(exchange(b"Bearer " + b"a" * size))).http == 401
    assert bench.failures == ["too_large", "too_large"]


async def test_cache_tells_tokens_apart_by_all_their_bytes() -> None:
    """J44: one changed character of the signature is another token."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(GOOD))
    other = GOOD[:-2] + (b"A" if GOOD[-2:-1] != b"A" else b"B") + GOOD[-1:]
    assert (await bench.refused(exchange(other))).http == 401


# Keys that are published


async def test_keys_that_were_never_loaded() -> None:
    """J49: readiness false, 503, never 401, never through."""

    async def fails() -> bytes:
        raise OSError("no route")

    bench = Bench(fetch=fails, jwt={"jwks_url": "https://issuer.example/keys"})
    token = b"Bearer " + signed(rsa_key(), "RS256")
    assert not bench.auth.is_ready(bench.now_s())
    assert (await bench.refused(exchange(token))).http == 503
    bench.auth.start()
    await turns(lambda: bool(bench.fetches))
    assert not bench.auth.is_ready(bench.now_s())
    assert (await bench.refused(exchange(token))).http == 503
    assert bench.failures == ["keys_unavailable"] * 2 and not bench.fetches[0].is_ok
    await bench.auth.aclose()


async def test_rotation_and_revocation() -> None:
    """J15, J44, J50: a new key is found by one refresh; a key that is gone takes its cached tokens with it."""
    published = [key_set(rsa_key("old"))]

    async def fetch() -> bytes:
        return published[0]

    bench = Bench(fetch=fetch, jwt={"jwks_url": "https://issuer.example/keys"})
    bench.auth.start()
    await turns(lambda: bool(bench.fetches))
    old, new = (b"Bearer " + signed(rsa_key(name), "RS256") for name in ("old", "new"))
    await bench.pass_in(exchange(old))
    assert bench.auth.is_ready(bench.now_s())
    published[0] = key_set(rsa_key("old"), rsa_key("new"))
    assert (await bench.refused(exchange(new))).http == 401, "the last fetch was just now"
    bench.ahead_s = 31.0
    assert not await bench.pass_in(exchange(new))
    assert await bench.pass_in(exchange(old)), "a key that stays keeps its tokens"
    published[0] = key_set(rsa_key("new"))
    bench.ahead_s = 62.0
    assert (await bench.refused(exchange(b"Bearer " + signed(rsa_key("third"), "RS256")))).http == 401
    assert (await bench.refused(exchange(old))).http == 401
    assert await bench.pass_in(exchange(new))
    assert bench.failures == ["unknown_key"] * 3
    await bench.auth.aclose()


# Operators


async def test_require_role() -> None:
    """`/admin/*` needs a token with the role, whatever the backends say."""
    bench = Bench(jwt=JWT)
    admin = b"Bearer " + hs256({"alg": "HS256"}, claims(roles=["admin"]))
    made = exchange(admin)
    await bench.auth.require_role(made, "admin")
    assert made.user_id == "alice"
    for value, status in ((None, 401), (GOOD, 403), (b"Bearer junk", 401)):
        with pytest.raises(GatewayError) as caught:
            await bench.auth.require_role(exchange(value), "admin")
        assert caught.value.http == status
    assert bench.backend.calls == []


async def test_require_role_asks_the_service() -> None:
    """The same with tokens that the auth service checks."""
    bench = Bench()
    with pytest.raises(GatewayError) as caught:
        await bench.auth.require_role(exchange(b"Bearer opaque"), "admin")
    assert caught.value.http == 403
    bench.validator.answer = token_answer(roles=("admin",))
    await bench.auth.require_role(exchange(b"Bearer other"), "admin")


def test_settings_without_a_validator() -> None:
    """Nothing is guarded by nobody: building fails."""
    listener = AuthListener(on_failure=lambda _: None, on_key_fetch=lambda _: None)
    with pytest.raises(ValueError, match=r"auth\.jwt"):
        Auth(AuthSettings(service_endpoint="http://127.0.0.1:1"), listener)


async def test_known_caller_costs_little() -> None:
    """design: the whole check of a known token is a few microseconds. The bound is loose, for busy machines."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(GOOD))
    made, now_s = exchange(GOOD), bench.now_s()

    def admit() -> None:
        bench.policy.admit(made, now_s)
        made.metadata.clear()

    best_us = min(timeit.repeat(admit, number=2_000, repeat=5)) / 2_000 * 1e6
    print(f"{best_us:.2f} us")
    assert best_us < 30
