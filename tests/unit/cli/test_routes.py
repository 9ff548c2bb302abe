"""How a plan is shown."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from api_gateway.cli.routes import print_routes, show_plan
from api_gateway.cli.screen import Page, Screen
from api_gateway.config.settings import Settings
from api_gateway.discovery.plan import plan_routes
from api_gateway.discovery.planned import Plan
from tests.support.descriptors import schema_from_text

SERVICE = """
syntax = "proto3"; package p;
message M { string id = 1; }
service S { rpc GetThing(M) returns (M); rpc FetchThing(M) returns (M); rpc Odd(M) returns (M); }
"""


def shown(plan: Plan) -> str:
    stream = io.StringIO()
    show_plan(Page(stream), plan)
    return stream.getvalue()


def test_everything_in_a_plan_is_shown() -> None:
    overrides = [
        {"grpc_method": "p.S/FetchThing", "http_path": "/api/things/:id", "http_method": "GET"},
        {"grpc_method": "p.S/Gone", "http_path": "/gone", "http_method": "GET"},
    ]
    settings = Settings.model_validate(
        {"services": {"svc": {"endpoint": "http://127.0.0.1:1"}}, "route_overrides": overrides}
    )
    text = shown(plan_routes({"svc": schema_from_text(SERVICE)}, settings))
    assert text.splitlines()[:2] == [
        "METHOD  PATH             GRPC METHOD     SERVICE  SOURCE",
        "GET     /api/things/:id  p.S/FetchThing  svc      override",
    ]
    assert "\nconflict: GET /api/things/:id of p.S/GetThing: override wins over convention\n" in text
    assert "\noverride not served: GET /gone: " in text
    assert "\nunmapped: p.S/Odd of svc: " in text
    assert '\n    - grpc_method: "p.S/Odd"\n' in text


def test_an_empty_plan_says_so() -> None:
    assert shown(Plan(routes=(), conflicts=(), unmapped=(), rejected_overrides=())) == "no routes\n"


def test_a_wrong_configuration_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.yaml"
    assert print_routes(Screen(), config=missing, backends=[], is_json=False, timeout_s=1.0) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert str(missing) in err
