"""CORS: who may call, and what he is told."""

from __future__ import annotations

import pytest

from api_gateway.config.settings import CorsSettings
from api_gateway.edge.cors import Cors
from api_gateway.model.message import Request

PAGE = "https://app.example.com"


def cors(*origins: str, enabled: bool = True, expose: tuple[str, ...] = (), credentials: bool = False) -> Cors:
    return Cors(
        CorsSettings(
            enabled=enabled,
            allowed_origins=list(origins),
            expose_headers=list(expose),
            allow_credentials=credentials,
        )
    )


def asked(
    method: str = "GET", origin: str | None = PAGE, *, wants: str | None = None, repeated: bool = False
) -> Request:
    headers = {b"host": b"gateway.test"}
    if origin is not None:
        headers[b"origin"] = origin.encode("latin-1")
    if wants is not None:
        headers[b"access-control-request-method"] = wants.encode()
    return Request(
        method=method,
        path="/api/users",
        query="",
        headers=headers,
        repeated=frozenset((b"origin",)) if repeated else frozenset(),
        body=None,
        peer="192.0.2.1",
        started_s=0.0,
    )


def test_preflight_of_an_allowed_origin_is_answered() -> None:
    """semantics 8: OPTIONS answers CORS."""
    response = cors(PAGE).preflight(asked("OPTIONS", wants="PUT"))
    assert response is not None
    assert (response.status, response.body) == (204, b"")
    assert response.headers == [
        (b"access-control-allow-origin", PAGE.encode()),
        (b"vary", b"origin, access-control-request-method, access-control-request-headers"),
        (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
        (b"access-control-allow-headers", b"authorization, content-type, x-request-id"),
        (b"access-control-max-age", b"600"),
    ]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(asked("GET", wants="PUT"), id="another_method"),
        pytest.param(asked("OPTIONS"), id="no_requested_method"),
        pytest.param(asked("OPTIONS", None, wants="PUT"), id="no_origin"),
        pytest.param(asked("OPTIONS", "https://evil.example.com", wants="PUT"), id="another_origin"),
    ],
)
def test_anything_else_is_no_preflight(request_: Request) -> None:
    assert cors(PAGE).preflight(request_) is None


def test_allowed_origin_is_told_so() -> None:
    assert cors(PAGE).headers(asked()) == [
        (b"access-control-allow-origin", PAGE.encode()),
        (b"vary", b"origin"),
    ]


@pytest.mark.parametrize(
    "origin",
    [
        pytest.param("null", id="null"),
        pytest.param("", id="empty"),
        pytest.param("https://evil-app.example.com", id="longer_name"),
        pytest.param("https://app.example.com.evil.test", id="suffix"),
        pytest.param("https://appXexample.com", id="regex_dot"),
        pytest.param("https://app.example.comm", id="one_letter_more"),
        pytest.param("http://app.example.com", id="scheme"),
        pytest.param("https://app.example.com:8443", id="port"),
        pytest.param("https://app.example.com/", id="slash"),
        pytest.param("https://APP.example.com", id="case"),
        pytest.param("https://sub.app.example.com", id="subdomain"),
        pytest.param(f"{PAGE}, {PAGE}", id="two_of_them_joined"),
        pytest.param(f" {PAGE}", id="space"),
        pytest.param("*", id="star"),
        pytest.param("https://\xe4pp.example.com", id="no_ascii"),
    ],
)
def test_other_origins_are_told_nothing(origin: str) -> None:
    """H18: exact comparison; and a cache must not hand the answer to an allowed page."""
    assert cors(PAGE).headers(asked(origin=origin)) == [(b"vary", b"origin")]
    assert cors(PAGE).preflight(asked("OPTIONS", origin, wants="PUT")) is None


@pytest.mark.parametrize("seconds", [0, 5, 86_400])
def test_preflights_may_be_kept_as_long_as_configured(seconds: int) -> None:
    policy = Cors(CorsSettings(enabled=True, allowed_origins=[PAGE], max_age_seconds=seconds))
    answer = policy.preflight(asked("OPTIONS", wants="PUT"))
    assert answer is not None
    assert dict(answer.headers)[b"access-control-max-age"] == b"%d" % seconds


def test_answer_to_nobodys_origin_varies_too() -> None:
    assert cors(PAGE).headers(asked(origin=None)) == [(b"vary", b"origin")]


def test_each_allowed_origin_is_told_its_own_name() -> None:
    policy = cors(PAGE, "http://localhost:3000")
    for origin in (PAGE, "http://localhost:3000"):
        assert policy.headers(asked(origin=origin))[0] == (b"access-control-allow-origin", origin.encode())


@pytest.mark.parametrize("origin", [PAGE, "null", None])
def test_star_allows_everybody_and_does_not_vary(origin: str | None) -> None:
    assert cors("*").headers(asked(origin=origin)) == [(b"access-control-allow-origin", b"*")]


def test_star_answers_every_preflight() -> None:
    response = cors("*").preflight(asked("OPTIONS", "https://anybody.test", wants="DELETE"))
    assert response is not None
    assert response.headers[0] == (b"access-control-allow-origin", b"*")
    assert not [value for name, value in response.headers if name == b"vary"]


def test_credentials_and_exposed_headers_are_named() -> None:
    policy = cors(PAGE, expose=("X-Request-Id", "RateLimit-Remaining"), credentials=True)
    assert policy.headers(asked())[2:] == [
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"x-request-id, ratelimit-remaining"),
    ]
    response = policy.preflight(asked("OPTIONS", wants="GET"))
    assert response is not None
    assert (b"access-control-allow-credentials", b"true") in response.headers
    assert b"access-control-expose-headers" not in dict(response.headers)


def test_credentials_go_to_no_other_origin() -> None:
    assert cors(PAGE, credentials=True).headers(asked(origin="https://evil.test")) == [(b"vary", b"origin")]


def test_empty_lists_name_nothing() -> None:
    policy = Cors(CorsSettings(enabled=True, allowed_origins=[PAGE], allowed_methods=[], allowed_headers=[]))
    response = policy.preflight(asked("OPTIONS", wants="GET"))
    assert response is not None
    assert dict(response.headers).keys() == {b"access-control-allow-origin", b"vary", b"access-control-max-age"}


@pytest.mark.parametrize("origins", [(), (PAGE,), ("*",)])
def test_switched_off_it_says_nothing(origins: tuple[str, ...]) -> None:
    policy = cors(*origins, enabled=False)
    assert policy.headers(asked()) == []
    assert policy.preflight(asked("OPTIONS", wants="GET")) is None


def test_preflights_do_not_share_their_headers() -> None:
    """The proxy adds the request id to them."""
    policy = cors(PAGE)
    for _ in range(2):
        response = policy.preflight(asked("OPTIONS", wants="GET"))
        assert response is not None
        assert len(response.headers) == 5
        response.headers.append((b"x-request-id", b"1"))


@pytest.mark.parametrize(
    ("origin", "is_admitted"),
    [
        pytest.param(PAGE, True, id="allowed"),
        pytest.param(None, True, id="no-page"),
        pytest.param("https://gateway.test", True, id="our-own"),
        pytest.param("https://evil.example", False, id="other"),
        pytest.param("https://evil-gateway.test", False, id="ends-like-ours"),
        pytest.param("null", False, id="null"),
    ],
)
def test_websockets_open_for_allowed_pages_only(origin: str | None, is_admitted: bool) -> None:
    """H18: browsers do not ask before a WebSocket, so its own request is judged."""
    assert cors(PAGE).admits(asked(origin=origin)) is is_admitted
