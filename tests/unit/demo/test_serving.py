"""What comes with every example service: reflection and health."""

from __future__ import annotations

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from api_gateway.demo.gen import session_pb2
from api_gateway.demo.serving import generic_handler
from api_gateway.schema import build_schema
from tests.support.reflection import reflect
from tests.support.rpc import unary


async def test_the_user_service_is_reflected_with_its_annotations(users: grpc.aio.Channel) -> None:
    reflected = await reflect(users, reflection_pb2)
    schema = build_schema(reflected.files, reflected.services)
    methods = {method.name: method for method in schema.services["api_gateway.demo.UserService"].methods}
    assert [method for method in methods if methods[method].rules] == ["WatchUsers"]
    assert methods["WatchUsers"].rules[0].template == "/api/users:watch"
    assert methods["GetUser"].is_idempotent


async def test_login_is_annotated(auth: grpc.aio.Channel) -> None:
    reflected = await reflect(auth, reflection_pb2)
    (login,) = build_schema(reflected.files, reflected.services).services["api_gateway.demo.SessionService"].methods
    (rule,) = login.rules
    assert (rule.verb, rule.template, rule.body) == ("POST", "/api/login", "*")


async def test_health_says_serving(users: grpc.aio.Channel) -> None:
    answer = await unary(
        users, "grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest(), health_pb2.HealthCheckResponse
    )
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_forgotten_method_is_noticed_at_the_start() -> None:
    class Forgetful:
        descriptor = session_pb2.DESCRIPTOR.services_by_name["SessionService"]

    with pytest.raises(AttributeError, match="Login"):
        generic_handler(Forgetful())
