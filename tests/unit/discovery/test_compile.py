"""Compiled routes: what they know, what they keep, and that one that does not fit leaves the others alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api_gateway.config.settings import BodyLimitSettings
from api_gateway.discovery.compile import Compiled, body_limit_bytes
from api_gateway.discovery.plan import plan_routes
from api_gateway.routing.route import Route
from tests.support.descriptors import schema_from_text
from tests.unit.discovery.scenes import ECHO, Compiling


def routes_of(compiled: Compiled) -> dict[str, Route]:
    return {f"{verb} {template.text}": route for verb, template, route in compiled.table}


def test_a_route_knows_all_that_is_known_before_a_request(tmp_path: Path) -> None:
    scene = Compiling(tmp_path)
    route = routes_of(scene.compile())["GET /api/items/:id"]
    assert (route.template, route.verb, route.service) == ("/api/items/:id", "GET", "echo-service")
    assert route.grpc_path == b"/tests.echo.EchoService/GetItem"
    assert route.method.full_name == "tests.echo.EchoService/GetItem"
    assert route.timeout_s == 5.0
    assert route.body_limit_bytes == 10 * 1024 * 1024
    assert route.channel is scene.service
    assert route.registry is ECHO.registry
    message = route.binding.bind(("i-1",), "size=3", b"", b"")
    request: Any = route.method.input.type.from_binary(message)
    assert (request.id, request.size) == ("i-1", 3)


def test_every_planned_route_is_served(tmp_path: Path) -> None:
    """Semantics 25: methods with a stream of requests like all others."""
    compiled = Compiling(tmp_path).compile()
    assert compiled.failures == ()
    routes = routes_of(compiled)
    assert {"GET /echo/v1/stream", "POST /echo/v1/collect", "GET /echo/v1/chat"} <= set(routes)
    assert len(compiled.table) == len(routes) > 10


def test_streams_have_timeouts_of_their_own(tmp_path: Path) -> None:
    """A call that may be long is not cut by the timeout of short ones (semantics 30)."""
    scene = Compiling(tmp_path, service={"stream_timeout_ms": 120_000, "stream_idle_timeout_ms": 7_000})
    route = routes_of(scene.compile())["GET /echo/v1/stream"]
    assert (route.timeout_s, route.idle_timeout_s) == (120.0, 7.0)


@pytest.mark.parametrize(
    ("server_ms", "service_ms", "route_ms", "expected_s"),
    [
        pytest.param(30_000, 5_000, None, 5.0, id="service"),
        pytest.param(1_000, 5_000, None, 1.0, id="server"),
        pytest.param(30_000, 5_000, 20_000, 20.0, id="a route may take longer than its service"),
        pytest.param(10_000, 5_000, 20_000, 10.0, id="but not longer than the server"),
    ],
)
def test_semantics_30_smallest_timeout_holds(
    tmp_path: Path, server_ms: int, service_ms: int, route_ms: int | None, expected_s: float
) -> None:
    override = {"grpc_method": "tests.echo.EchoService/Probe", "http_path": "/probe", "http_method": "GET"}
    scene = Compiling(
        tmp_path,
        service={"timeout_ms": service_ms},
        server={"request_timeout_ms": server_ms},
        route_overrides=[{**override, "timeout_ms": route_ms}],
    )
    assert routes_of(scene.compile())["GET /probe"].timeout_s == expected_s


def test_unchanged_routes_are_kept_with_their_policies(tmp_path: Path) -> None:
    scene = Compiling(tmp_path)
    before = routes_of(scene.compile())
    bound = list(scene.bound)
    assert sorted(bound) == sorted(before)
    after = routes_of(scene.compile())
    assert all(after[name] is before[name] for name in before)
    assert scene.bound == bound


def test_routes_share_the_codecs_of_their_messages(tmp_path: Path) -> None:
    """Until the schema changes: also with routes that came later, or were compiled again."""
    text = """
        syntax = "proto3";
        package p;
        message M { string id = 1; }
        service S { rpc GetThing(M) returns (M); rpc CreateThing(M) returns (M); }
        """
    scene = Compiling(tmp_path)
    first = {route.encoder for route in routes_of(scene.compile(schema_from_text(text))).values()}
    again = {route.encoder for route in routes_of(scene.compile(schema_from_text(text))).values()}
    other = {route.encoder for route in routes_of(scene.compile(schema_from_text(text.replace("id", "key")))).values()}
    assert len(first) == len(again) == len(other) == 1
    assert first == again != other


def test_a_route_that_comes_later_shares_the_codecs_too(tmp_path: Path) -> None:
    scene = Compiling(tmp_path)
    schemas = {
        "echo": schema_from_text(
            """
        syntax = "proto3";
        package p;
        message M { string id = 1; }
        service S { rpc GetThing(M) returns (M); rpc CreateThing(M) returns (M); }
        """
        )
    }
    plan = plan_routes(schemas, scene.settings)
    scene.compiler.compile(replace(plan, routes=plan.routes[:1]), schemas)
    routes = routes_of(scene.compiler.compile(plan, schemas))
    assert len(routes) == 2
    assert len({route.encoder for route in routes.values()}) == 1


def test_a_changed_schema_has_its_routes_compiled_anew(tmp_path: Path) -> None:
    scene = Compiling(tmp_path)
    text = 'syntax = "proto3"; package p; message M { string id = 1; } service S { rpc GetThing(M) returns (M); }'
    before = routes_of(scene.compile(schema_from_text(text)))
    after = routes_of(scene.compile(schema_from_text(text.replace("id = 1;", "id = 1; string name = 2;"))))
    assert before.keys() == after.keys() == {"GET /api/things/:id"}
    assert before["GET /api/things/:id"] is not after["GET /api/things/:id"]


def test_a_rule_that_does_not_fit_its_messages_is_a_failure(tmp_path: Path) -> None:
    """The plan checks names; the binding also knows which types can stand in a path."""
    schema = schema_from_text(
        """
        syntax = "proto3";
        package p;
        import "google/api/annotations.proto";
        message M { M inner = 1; string id = 2; }
        service S {
          rpc A(M) returns (M) { option (google.api.http) = { get: "/a/{inner}" }; }
          rpc B(M) returns (M) { option (google.api.http) = { get: "/b/{id}" }; }
        }
        """
    )
    compiled = Compiling(tmp_path).compile(schema)
    assert list(routes_of(compiled)) == ["GET /b/{id}"]
    assert [(planned.template.text, bool(why)) for planned, why in compiled.failures] == [("/a/{inner}", True)]


LIMITS = BodyLimitSettings(default_limit=10, upload_limit=1000, upload_paths=["/files", "/v1/*/content", "/deep/"])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/files", 1000, id="the path"),
        pytest.param("/files/:id", 1000, id="below it"),
        pytest.param("/files/{name=**}", 1000, id="below it, template"),
        pytest.param("/filesystem", 10, id="only the same letters"),
        pytest.param("/v1/:id/content", 1000, id="pattern"),
        pytest.param("/v1/:id/other", 10, id="not the pattern"),
        pytest.param("/deep/er", 1000, id="slash at the end"),
        pytest.param("/", 10, id="root"),
    ],
)
def test_upload_paths_have_their_own_limit(path: str, expected: int) -> None:
    assert body_limit_bytes(path, LIMITS) == expected
