"""What happens to a request: public routes, credentials, roles, and what the client learns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api_gateway.config.settings import AuthSettings
from api_gateway.model.errors import GatewayError
from api_gateway.model.status import Code
from api_gateway.policy.auth import Auth, AuthListener, GuardedRoute
from api_gateway.policy.contracts import GET_AUTH_POLICY
from tests.support.auth_bench import GOOD, JWT, PUBLIC, REQUIRE_ADMIN, REQUIRE_ANY, ROUTE, Bench, token_answer
from tests.support.auth_upstream import exchange
from tests.support.cpu_time import cheapest_cpu_s
from tests.support.token_factory import NOW_S, b64, claims, hs256

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


async def test_oversized_token_is_never_sent_to_the_service() -> None:
    """J39: the bound holds to the byte where nobody else checks it."""
    bench = Bench()
    await bench.pass_in(exchange(b"Bearer " + b"a" * 8_192))
    assert (await bench.refused(exchange(b"Bearer " + b"a" * 8_193))).http == 401
    assert (len(bench.validator.calls), bench.failures) == (1, ["too_large"])


async def test_cache_tells_tokens_apart_by_all_their_bytes() -> None:
    """J44: one changed character of the signature is another token."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(GOOD))
    other = GOOD[:-2] + (b"A" if GOOD[-2:-1] != b"A" else b"B") + GOOD[-1:]
    assert (await bench.refused(exchange(other))).http == 401


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


async def test_require_role_refuses_two_authorization_headers() -> None:
    """J37: on `/admin/*` as well, even if the first of them is good."""
    bench = Bench(jwt=JWT)
    admin = b"Bearer " + hs256({"alg": "HS256"}, claims(roles=["admin"]))
    with pytest.raises(GatewayError) as caught:
        await bench.auth.require_role(exchange(admin, repeated=frozenset({b"authorization"})), "admin")
    assert (caught.value.http, caught.value.reason) == (400, "AUTHORIZATION_REPEATED")


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
    """design: the whole check of a known token is a few microseconds of CPU."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(GOOD))
    made, now_s = exchange(GOOD), bench.now_s()

    def admit() -> None:
        for _ in range(2_000):
            bench.policy.admit(made, now_s)
            made.metadata.clear()

    assert cheapest_cpu_s(admit, enough_s=2_000 * 30e-6) <= 2_000 * 30e-6
