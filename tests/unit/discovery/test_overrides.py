"""Overrides from the configuration."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from api_gateway.config.settings import RouteOverride
from api_gateway.discovery.overrides import Offers, apply_overrides, suggest_override
from api_gateway.discovery.planned import Source
from tests.support.descriptors import schema_from_text

SCHEMA = schema_from_text(
    """
    syntax = "proto3";
    package user;
    message User { string id = 1; string name = 2; }
    message GetUserRequest { string user_id = 1; bool full = 2; }
    message FindRequest { string id = 1; }
    service UserService {
      rpc GetUser(GetUserRequest) returns (User);
      rpc Find(FindRequest) returns (User);
    }
    """
)
METHODS = {method.full_name: method for method in SCHEMA.methods()}
OFFERS: Offers = {name: [("users", method)] for name, method in METHODS.items()}
TWICE: Offers = {name: [("a", method), ("b", method)] for name, method in METHODS.items()}


def override(**fields: Any) -> RouteOverride:
    defaults = {"grpc_method": "user.UserService/Find", "http_path": "/u/:id", "http_method": "GET"}
    return RouteOverride(**{**defaults, **fields})


def test_semantics_2_override_takes_every_key() -> None:
    entry = override(
        http_path="/v2/{id=users/*}",
        http_method="patch",
        body="id",
        response_body="name",
        timeout_ms=7,
        idempotent=True,
    )
    (route,) = apply_overrides([entry], OFFERS).routes
    assert (route.service, route.method, route.source) == ("users", METHODS["user.UserService/Find"], Source.OVERRIDE)
    assert (route.verb, route.template.text, route.variables) == ("PATCH", "/v2/{id=users/*}", ("id",))
    assert (route.body, route.response_body, route.timeout_ms, route.is_idempotent) == ("id", "name", 7, True)


@pytest.mark.parametrize(
    ("http_method", "body", "expected"),
    [
        pytest.param("POST", None, "*", id="post"),
        pytest.param("PUT", None, "*", id="put"),
        pytest.param("PATCH", None, "*", id="patch"),
        pytest.param("GET", None, "", id="get"),
        pytest.param("DELETE", None, "", id="delete"),
        pytest.param("*", None, "", id="any"),
        pytest.param("POST", "", "", id="post without"),
        pytest.param("DELETE", "*", "*", id="delete with"),
    ],
)
def test_semantics_2_default_body_follows_the_http_method(http_method: str, body: str | None, expected: str) -> None:
    (route,) = apply_overrides([override(http_method=http_method, body=body)], OFFERS).routes
    assert route.body == expected


@pytest.mark.parametrize("path", ["/api/v2/users/:id", "/api/v2/users/{id}", "/api/v2/users/{id=*}"])
def test_semantics_2_both_spellings_mean_the_same(path: str) -> None:
    (route,) = apply_overrides([override(http_path=path)], OFFERS).routes
    assert (route.template.canonical, route.variables) == ("/api/v2/users/*", ("id",))


def test_semantics_5_id_of_an_override_means_the_identifier_of_the_request() -> None:
    (route,) = apply_overrides([override(grpc_method="user.UserService/GetUser")], OFFERS).routes
    assert route.variables == ("user_id",)


def test_semantics_1_several_overrides_of_one_method_add_up() -> None:
    outcome = apply_overrides([override(http_path="/one"), override(http_path="/two")], OFFERS)
    assert [route.template.text for route in outcome.routes] == ["/one", "/two"]
    assert outcome.methods == {"user.UserService/Find"}


def test_override_names_one_of_several_services() -> None:
    assert [route.service for route in apply_overrides([override(service="b")], TWICE).routes] == ["b"]
    assert [route.service for route in apply_overrides([override()], TWICE).routes] == ["a", "b"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"grpc_method": "user.UserService/Nope"}, "no service offers this method", id="unknown method"),
        pytest.param({"grpc_method": "x.Y/Z"}, "no service offers this method", id="unknown service"),
        pytest.param(
            {"grpc_method": "grpc.health.v1.Health/Check"}, "this service is never exposed", id="semantics 7 hidden"
        ),
        pytest.param({"service": "other"}, 'service "other" does not offer this method', id="other service"),
        pytest.param({"http_path": "/u/{id"}, 'expected "}" at column 7', id="broken path"),
        pytest.param({"http_path": "/u/:nope"}, "user.FindRequest has no field nope", id="unknown field"),
        pytest.param({"http_method": "POST", "body": "nope"}, "has no such field", id="unknown body"),
    ],
)
def test_wrong_override_is_rejected_with_the_reason_and_the_others_hold(fields: dict[str, str], reason: str) -> None:
    wrong = override(**fields)
    outcome = apply_overrides([wrong, override(http_path="/fine")], OFFERS)
    (rejected,) = outcome.rejected
    assert reason in rejected.reason
    assert (rejected.grpc_method, rejected.http_path) == (wrong.grpc_method, wrong.http_path)
    assert [route.template.text for route in outcome.routes] == ["/fine"]
    assert wrong.grpc_method in outcome.methods


@pytest.mark.parametrize("service", [None, "users"])
def test_semantics_6_suggested_override_can_be_pasted_and_is_accepted(service: str | None) -> None:
    text = "route_overrides:\n" + suggest_override(METHODS["user.UserService/Find"], service)
    (entry,) = yaml.safe_load(text)["route_overrides"]
    outcome = apply_overrides([RouteOverride(**entry)], OFFERS)
    assert outcome.rejected == ()
    (route,) = outcome.routes
    assert (route.verb, route.template.text, route.body) == ("POST", "/api/user-service/find", "*")
