"""The plan: which routes exist, which lost, which are missing."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import yaml

from api_gateway.config.settings import Settings
from api_gateway.discovery.plan import SYSTEM_PATHS, Plan, Source, plan_routes
from api_gateway.routing.table import RouteTable
from api_gateway.schema import Schema, build_schema
from tests.support.descriptors import compile_protos, schema_from_text

USERS = schema_from_text(
    """
    syntax = "proto3";
    package user;
    message User { string id = 1; string name = 2; }
    message Users { repeated User users = 1; }
    message UserId { string id = 1; }
    message Page { int32 size = 1; string token = 2; }
    service UserService {
      rpc GetUser(UserId) returns (User);
      rpc ListUsers(Page) returns (Users);
      rpc CreateUser(User) returns (User);
      rpc UpdateUser(User) returns (User);
      rpc DeleteUser(UserId) returns (UserId);
    }
    """
)


def plan(schemas: dict[str, Schema] | Schema, **sections: Any) -> Plan:
    """Plan with services `{key: schema}` (or one called `svc`) and further sections of the configuration."""
    known = schemas if isinstance(schemas, dict) else {"svc": schemas}
    services = {key: {"endpoint": "http://localhost:1"} for key in known} | sections.pop("services", {})
    return plan_routes(known, Settings(services=services, **sections))


def annotated(*rules: str, service: str = "S", method: str = "Do", package: str = "p", also: str = "") -> Schema:
    """Build a schema with one method; the first rule is the main one, the others are additional bindings."""
    main, *more = rules
    text = main + "".join(f" additional_bindings {{ {rule} }}" for rule in more)
    return schema_from_text(
        f"""
        syntax = "proto3";
        package {package};
        import "google/api/annotations.proto";
        message M {{ string id = 1; M inner = 2; }}
        service {service} {{ rpc {method}(M) returns (M) {{ option (google.api.http) = {{ {text} }}; }} {also} }}
        """
    )


def lines(found: Plan) -> list[str]:
    return [
        f"{route.verb} {route.template.text} -> {route.service} {route.method.full_name} ({route.source.value})"
        for route in found.routes
    ]


def test_semantics_5_convention() -> None:
    found = plan(USERS)
    assert lines(found) == [
        "GET /api/users -> svc user.UserService/ListUsers (convention)",
        "POST /api/users -> svc user.UserService/CreateUser (convention)",
        "DELETE /api/users/:id -> svc user.UserService/DeleteUser (convention)",
        "GET /api/users/:id -> svc user.UserService/GetUser (convention)",
        "PUT /api/users/:id -> svc user.UserService/UpdateUser (convention)",
    ]
    assert [(route.variables, route.body) for route in found.routes] == [
        ((), ""), ((), "*"), (("id",), ""), (("id",), ""), (("id",), "*"),
    ]  # fmt: skip
    assert (found.conflicts, found.unmapped, found.rejected_overrides) == ((), (), ())


def test_semantics_5_path_shows_id_while_the_field_is_bound() -> None:
    schema = schema_from_text(
        'syntax = "proto3"; package p; message R { string user_id = 1; bool full = 2; }'
        "service S { rpc GetUser(R) returns (R); }"
    )
    (route,) = plan(schema).routes
    assert (route.template.text, route.template.variables, route.variables) == ("/api/users/:id", ("id",), ("user_id",))


def test_semantics_1_annotation_wins_over_the_convention_with_all_its_bindings() -> None:
    schema = annotated(
        'get: "/v1/{id}"', 'put: "/v1/{id}" body: "inner" response_body: "id"', 'custom { kind: "HEAD" path: "/v1" }',
        'custom { kind: "*" path: "/any" }', method="GetThing",
    )  # fmt: skip
    found = plan(schema)
    assert lines(found) == [
        "* /any -> svc p.S/GetThing (annotation)",
        "HEAD /v1 -> svc p.S/GetThing (annotation)",
        "GET /v1/{id} -> svc p.S/GetThing (annotation)",
        "PUT /v1/{id} -> svc p.S/GetThing (annotation)",
    ]
    assert (found.routes[3].body, found.routes[3].response_body) == ("inner", "id")


def test_semantics_1_override_replaces_all_other_routes_of_its_method() -> None:
    overrides = [
        {"grpc_method": "p.S/Do", "http_path": "/mine/:id", "http_method": "GET", "timeout_ms": 9},
        {"grpc_method": "p.S/Do", "http_path": "/also", "http_method": "POST"},
    ]
    found = plan(annotated('get: "/v1/{id}"', 'get: "/v2/{id}"'), route_overrides=overrides)
    assert lines(found) == [
        "POST /also -> svc p.S/Do (override)",
        "GET /mine/:id -> svc p.S/Do (override)",
    ]
    assert [route.timeout_ms for route in found.routes] == [None, 9]


def test_rejected_override_leaves_its_method_closed() -> None:
    overrides = [{"grpc_method": "p.S/Do", "http_path": "/v1/{", "http_method": "GET"}]
    found = plan(annotated('get: "/v1/{id}"'), route_overrides=overrides, discovery={"expose_unmapped": True})
    assert found.routes == ()
    assert [rejected.http_path for rejected in found.rejected_overrides] == ["/v1/{"]


def test_override_of_an_unknown_method_is_reported() -> None:
    overrides = [{"grpc_method": "user.UserService/Gone", "http_path": "/x", "http_method": "GET"}]
    found = plan(USERS, route_overrides=overrides)
    assert [rejected.reason for rejected in found.rejected_overrides] == ["no service offers this method"]
    assert len(found.routes) == 5


def test_semantics_4_stronger_source_wins_a_conflict() -> None:
    schema = {
        "a": schema_from_text('syntax = "proto3"; package a; message M { string id = 1; }'
                              "service A { rpc GetUser(M) returns (M); }"),
        "b": annotated('get: "/api/users/{id}"', package="b"),
    }  # fmt: skip
    found = plan(schema)
    assert lines(found) == ["GET /api/users/{id} -> b b.S/Do (annotation)"]
    (conflict,) = found.conflicts
    assert (conflict.loser.method.full_name, conflict.loser.source) == ("a.A/GetUser", Source.CONVENTION)
    assert conflict.reason == "annotation wins over convention"


def test_semantics_4_first_by_full_method_name_wins_between_equals() -> None:
    schemas = {
        "y": annotated('get: "/v1/{id}"', package="aa"),
        "x": annotated('get: "/v1/{inner.id=*}"', package="bb"),
    }
    found = plan(schemas)
    assert lines(found) == ["GET /v1/{id} -> y aa.S/Do (annotation)"]
    assert [conflict.reason for conflict in found.conflicts] == ["the first by full method name wins"]
    assert found.unmapped == (), "a method that lost is told once"


def test_semantics_4_other_verb_or_other_template_is_no_conflict() -> None:
    schema = annotated(
        'get: "/v1/{id}"', 'post: "/v1/{id}"', 'custom { kind: "*" path: "/v1/{id}" }', 'get: "/v1/{id}:x"'
    )
    assert plan(schema).conflicts == ()
    assert len(plan(schema).routes) == 4


def test_method_offered_by_two_services_is_a_conflict_that_an_override_settles() -> None:
    found = plan({"b": USERS, "a": USERS})
    assert {route.service for route in found.routes} == {"a"}
    assert {conflict.loser.service for conflict in found.conflicts} == {"b"}
    assert {conflict.reason for conflict in found.conflicts} == {"two services offer the method; the first by key wins"}
    override = {"grpc_method": "user.UserService/GetUser", "http_path": "/u/:id", "http_method": "GET", "service": "b"}
    settled = plan({"b": USERS, "a": USERS}, route_overrides=[override])
    assert "GET /u/:id -> b user.UserService/GetUser (override)" in lines(settled)
    assert not [conflict for conflict in settled.conflicts if conflict.loser.method.name == "GetUser"]


def test_binding_stated_twice_is_reported() -> None:
    found = plan(annotated('get: "/v1/{id}"', 'get: "/v1/{id=*}"'))
    assert [conflict.reason for conflict in found.conflicts] == ["the method states it twice"]


@pytest.mark.parametrize("path", sorted(SYSTEM_PATHS))
@pytest.mark.parametrize("verb", ["get", "post"])
def test_system_paths_cannot_be_taken(path: str, verb: str) -> None:
    found = plan(annotated(f'{verb}: "{path}"', f'{verb}: "/{{id={path[1:]}}}"', 'get: "/v1"'))
    assert lines(found) == ["GET /v1 -> svc p.S/Do (annotation)"]
    assert [conflict.as_dict()["winner"] for conflict in found.conflicts] == ["system", "system"]


def test_system_paths_cannot_be_taken_by_an_override() -> None:
    overrides = [{"grpc_method": "p.S/Do", "http_path": "/metrics", "http_method": "GET"}]
    found = plan(annotated('get: "/v1"'), route_overrides=overrides)
    assert found.routes == ()
    assert found.conflicts[0].reason == "the path belongs to the gateway itself"


UNMAPPED = schema_from_text(
    """
    syntax = "proto3";
    package shop.v1;
    message M { string a = 1; string b = 2; }
    service OrderService { rpc SubmitOrder(M) returns (M); rpc GetOrder(M) returns (M); rpc ListOrders(M) returns (M); }
    """
)


def test_semantics_6_what_nothing_maps_is_listed_with_the_reason() -> None:
    found = plan(UNMAPPED)
    assert [(entry.method, entry.reason) for entry in found.unmapped] == [
        ("shop.v1.OrderService/GetOrder",
         "no field of shop.v1.M fits :id, which is id, order_id, name, or the only scalar field"),
        ("shop.v1.OrderService/SubmitOrder",
         "the name is not Get, List, Create, Update or Delete and a resource"),
    ]  # fmt: skip


def test_semantics_6_pasted_overrides_map_everything() -> None:
    for schemas in ({"svc": UNMAPPED}, {"a": UNMAPPED, "b": UNMAPPED}):
        entries = {entry.override for entry in plan(schemas).unmapped if entry.service in ("svc", "b")}
        pasted = yaml.safe_load("route_overrides:\n" + "\n".join(sorted(entries)))["route_overrides"]
        found = plan(schemas, route_overrides=pasted)
        assert found.unmapped == ()
        assert found.rejected_overrides == ()
        overridden = [line for line in lines(found) if line.endswith("(override)")]
        key = max(schemas)
        assert overridden == [
            f"POST /api/order-service/get-order -> {key} shop.v1.OrderService/GetOrder (override)",
            f"POST /api/order-service/submit-order -> {key} shop.v1.OrderService/SubmitOrder (override)",
        ]


def test_semantics_6_expose_unmapped_serves_the_rest_by_full_name() -> None:
    found = plan(UNMAPPED, discovery={"expose_unmapped": True})
    assert found.unmapped == ()
    assert lines(found) == [
        "GET /api/orders -> svc shop.v1.OrderService/ListOrders (convention)",
        "POST /shop.v1.OrderService/GetOrder -> svc shop.v1.OrderService/GetOrder (fallback)",
        "POST /shop.v1.OrderService/SubmitOrder -> svc shop.v1.OrderService/SubmitOrder (fallback)",
    ]
    assert {route.body for route in found.routes if route.source is Source.FALLBACK} == {"*"}


def test_semantics_7_hidden_services_are_never_planned() -> None:
    text = (
        'syntax = "proto3"; package gateway; message M { string id = 1; }'
        "service ServiceAuthPolicy { rpc GetAuthPolicy(M) returns (M); } service Other { rpc GetM(M) returns (M); }"
    )
    schema = build_schema(compile_protos({"g.proto": text}), ["gateway.ServiceAuthPolicy", "gateway.Other"])
    found = plan(schema, discovery={"expose_unmapped": True})
    assert [route.method.full_name for route in found.routes] == ["gateway.Other/GetM"]


def test_broken_annotation_is_reported_and_stops_nothing_else() -> None:
    schema = annotated('get: "/v1/{id"', 'get: "/v1/{id}"', 'get: "/v2/{nope}"', also="rpc GetM(M) returns (M);")
    found = plan(schema)
    assert lines(found) == [
        "GET /api/ms/:id -> svc p.S/GetM (convention)",
        "GET /v1/{id} -> svc p.S/Do (annotation)",
    ]
    assert [entry.reason for entry in found.unmapped] == [
        'google.api.http: path template "/v1/{id": expected "}" at column 8',
        'google.api.http: "nope": p.M has no field nope',
    ]


def test_method_whose_annotation_is_broken_is_not_guessed_from_its_name() -> None:
    schema = annotated('get: "/v1/{id"', method="GetUser")
    assert plan(schema).routes == ()
    exposed = plan(schema, discovery={"expose_unmapped": True})
    assert lines(exposed) == ["POST /p.S/GetUser -> svc p.S/GetUser (fallback)"]
    assert len(exposed.unmapped) == 1, "the broken annotation stays reported"


def test_service_without_discovery_is_reached_by_overrides_only() -> None:
    overrides = [{"grpc_method": "user.UserService/GetUser", "http_path": "/u/:id", "http_method": "GET"}]
    services = {"svc": {"endpoint": "http://localhost:1", "auto_discover": False}}
    found = plan(USERS, services=services, route_overrides=overrides, discovery={"expose_unmapped": True})
    assert lines(found) == ["GET /u/:id -> svc user.UserService/GetUser (override)"]
    assert found.unmapped == ()


def test_streaming_methods_are_planned_like_others() -> None:
    schema = schema_from_text(
        """
        syntax = "proto3"; package p; message M { string id = 1; }
        service S {
          rpc ListEvents(M) returns (stream M); rpc CreateUpload(stream M) returns (M);
          rpc GetChat(stream M) returns (stream M); rpc GetOne(M) returns (M);
        }
        """
    )
    planned = [route.as_dict() for route in plan(schema).routes]
    assert [(entry["path"], entry["streaming"]) for entry in planned] == [
        ("/api/chats/:id", "bidirectional"),
        ("/api/events", "server"),
        ("/api/ones/:id", "unary"),
        ("/api/uploads", "client"),
    ]


def test_plan_is_the_same_in_whatever_order_services_came() -> None:
    schemas = {"c": USERS, "a": USERS, "b": annotated('get: "/api/users/{id}"', 'get: "/x/{"'), "d": UNMAPPED}
    plans = [plan(dict(order)) for order in itertools.permutations(schemas.items())]
    assert all(found == plans[0] for found in plans)


def test_plan_is_ready_for_json() -> None:
    overrides = [{"grpc_method": "x.Y/Z", "http_path": "/x", "http_method": "GET"}]
    found = plan({"a": USERS, "b": USERS, "c": UNMAPPED}, route_overrides=overrides)
    printed = json.loads(json.dumps(found.as_dict()))
    assert set(printed) == {"routes", "conflicts", "unmapped", "rejected_overrides"}
    assert printed["routes"][0] == {
        "verb": "GET", "path": "/api/orders", "service": "c", "method": "shop.v1.OrderService/ListOrders",
        "streaming": "unary", "variables": [], "body": "", "response_body": "", "timeout_ms": None,
        "idempotent": True, "source": "convention",
    }  # fmt: skip
    assert printed["conflicts"][0]["winner"]["service"] == "a"
    assert printed["rejected_overrides"][0]["reason"] == "no service offers this method"
    assert printed["unmapped"][0]["override"].startswith("- grpc_method:")


def test_planned_routes_build_a_table() -> None:
    found = plan(USERS)
    table = RouteTable.build((route.verb, route.template, route.method.name) for route in found.routes)
    assert len(table) == len(found.routes)
    assert table.match("DELETE", "/api/users/7") == ("DeleteUser", ("7",))


def test_no_schema_is_an_empty_plan() -> None:
    found = plan({}, services={"svc": {"endpoint": "http://localhost:1"}})
    assert found == Plan(routes=(), conflicts=(), unmapped=(), rejected_overrides=())
