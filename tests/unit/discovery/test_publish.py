"""Tables put in force: what changed, what is told to operators, and what metrics and log hear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api_gateway.discovery.publish import RoutePublisher
from api_gateway.discovery.watcher import TableChange
from api_gateway.routing.route import Route
from api_gateway.routing.table import RouteTable
from api_gateway.schema import Schema
from api_gateway.telemetry.log import configure_logging
from tests.support.descriptors import schema_from_text
from tests.unit.discovery.scenes import ECHO, Compiling
from tests.unit.telemetry.capture import Capture


class Publishing(Compiling):
    """A publisher on top of the compiler."""

    def __init__(self, directory: Path, **sections: Any) -> None:
        super().__init__(directory, **sections)
        self.tables: list[RouteTable[Route]] = []
        self.publisher = RoutePublisher(self.settings, self.compiler, self.metrics, self.tables.append)

    async def rebuild(self, schema: Schema) -> TableChange:
        return await self.publisher.rebuild({"echo": schema})

    def metric(self, name: str) -> str:
        """Return the value of a metric of the service, as the page shows it."""
        assert self.metrics.flush(0.0)
        (line,) = (
            line
            for line in self.metrics.render(b"")[1].decode().splitlines()
            if line.startswith(f"{name}{{") and 'service="echo-service"' in line
        )
        return line.rpartition(" ")[2]


def things(*methods: str, more: str = "") -> Schema:
    rpcs = "".join(f"rpc {method}(M) returns (M);" for method in methods)
    return schema_from_text(
        f'syntax = "proto3"; package p; message M {{ string id = 1; {more} }} service S {{ {rpcs} }}'
    )


async def test_the_table_is_put_in_force_and_the_plan_is_kept(tmp_path: Path) -> None:
    scene = Publishing(tmp_path)
    await scene.rebuild(ECHO)
    (table,) = scene.tables
    route, variables = table.match("GET", "/api/items/i-1")
    assert (route.method.name, variables) == ("GetItem", ("i-1",))
    published = scene.publisher.published
    assert published is not None
    assert published.failures == ()
    assert [unmapped.method for unmapped in published.plan.unmapped] == ["tests.echo.EchoService/Probe"]


A, B = "GET /api/as/:id", "GET /api/bs/:id"


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        pytest.param(things("GetA"), things("GetA"), TableChange(), id="nothing"),
        pytest.param(things("GetA"), things("GetA", "GetB"), TableChange(added=(B,), changed=(A,)), id="added"),
        pytest.param(things("GetA", "GetB"), things("GetB"), TableChange(removed=(A,), changed=(B,)), id="removed"),
        pytest.param(things("GetA"), things("GetA", more="int32 n = 2;"), TableChange(changed=(A,)), id="changed"),
    ],
)
async def test_changes_are_told_route_by_route(
    tmp_path: Path, before: Schema, after: Schema, change: TableChange
) -> None:
    """All routes of a service with a new schema count as changed: their types are new ones, whatever they look like."""
    scene = Publishing(tmp_path)
    first = await scene.rebuild(before)
    assert len(first.added) == len(scene.tables[0])
    assert await scene.rebuild(after) == change


def test_before_the_first_table_there_is_no_plan(tmp_path: Path) -> None:
    assert Publishing(tmp_path).publisher.published is None


async def test_metrics_show_the_plan(tmp_path: Path) -> None:
    scene = Publishing(tmp_path)
    await scene.rebuild(ECHO)
    published = scene.publisher.published
    assert published is not None
    assert scene.metric("api_gateway_routes") == str(float(len(published.plan.routes)))
    assert scene.metric("api_gateway_unmapped_methods") == "1.0"
    assert scene.metric("api_gateway_route_conflicts") == "0.0"


async def test_what_is_not_served_is_logged_with_its_reason(tmp_path: Path) -> None:
    probe = {"grpc_method": "tests.echo.EchoService/Probe", "http_method": "GET"}
    scene = Publishing(
        tmp_path,
        route_overrides=[
            {**probe, "http_path": "/health"},
            {**probe, "http_path": "/api/items/:id"},
            {**probe, "http_path": "/{nope}"},
            {**probe, "http_path": "/twice/{text}", "body": "text"},
        ],
    )
    with Capture() as capture:
        configure_logging(capture.writer)
        await scene.rebuild(ECHO)
        lines = [line["fields"] for line in capture.lines]
    events = {(line["message"], line.get("route") or line.get("http_path")): line for line in lines}
    assert events["route conflict", "GET /health"]["winner"] == "the gateway itself"
    lost = events["route conflict", "GET /api/items/:id"]
    assert (lost["loser"], lost["reason"]) == ("tests.echo.EchoService/GetItem", "override wins over convention")
    assert "nope" in events["override not served", "/{nope}"]["reason"]
    assert "path variable" in events["route not served", "GET /twice/{text}"]["reason"]
