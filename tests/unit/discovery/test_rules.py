"""Joining one HTTP rule to one method."""

from __future__ import annotations

import re

import pytest

from api_gateway.discovery.planned import Source
from api_gateway.discovery.rules import plan_rule
from api_gateway.schema import HttpRule, Method
from tests.support.descriptors import method_of, schema_from_text


@pytest.fixture(scope="module")
def method() -> Method:
    schema = schema_from_text(
        """
        syntax = "proto3";
        package p;
        message Item { string id = 1; Item parent = 2; }
        message Request {
          string user_id = 1; Item item_box = 2; repeated string tags = 3; map<string, string> labels = 4;
          int32 weird = 5 [json_name = "user_id2"];
        }
        message Reply { Item item_out = 1; repeated Item items = 2; }
        service S { rpc Do(Request) returns (Reply); }
        """
    )
    return method_of(schema, "p.S/Do")


def test_semantics_11_fields_are_found_in_both_spellings(method: Method) -> None:
    rule = HttpRule(verb="post", template="/x/{userId}/{itemBox.parent.id}", body="itemBox", response_body="itemOut")
    route = plan_rule("svc", method, rule, Source.ANNOTATION, timeout_ms=5)
    assert (route.verb, route.variables) == ("POST", ("user_id", "item_box.parent.id"))
    assert (route.body, route.response_body, route.timeout_ms) == ("item_box", "item_out", 5)
    assert route.template.text == "/x/{userId}/{itemBox.parent.id}"


def test_variables_bind_the_fields_they_are_renamed_to(method: Method) -> None:
    route = plan_rule(
        "svc", method, HttpRule(verb="GET", template="/x/:id"), Source.CONVENTION, rename={"id": "user_id"}
    )
    assert route.variables == ("user_id",)
    assert route.template.variables == ("id",)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        pytest.param(HttpRule(verb="GET", template="/x/{"), "expected a field name at column 5", id="template"),
        pytest.param(HttpRule(verb="A B", template="/x"), '"A B" is not an HTTP method', id="verb"),
        pytest.param(HttpRule(verb="", template="/x"), '"" is not an HTTP method', id="empty verb"),
        pytest.param(HttpRule(verb="GET", template="/{no}"), "p.Request has no field no", id="variable"),
        pytest.param(HttpRule(verb="GET", template="/{item_box.no}"), "p.Item has no field no", id="inner variable"),
        pytest.param(HttpRule(verb="GET", template="/{user_id.x}"), "user_id is not a message", id="into a scalar"),
        pytest.param(HttpRule(verb="GET", template="/{tags}"), "tags holds more than one value", id="repeated"),
        pytest.param(HttpRule(verb="GET", template="/{labels.a}"), "labels holds more than one value", id="map"),
        pytest.param(HttpRule(verb="GET", template="/{user_id}/{userId}"), "binds a field twice", id="twice"),
        pytest.param(HttpRule(verb="PUT", template="/x", body="no"), 'body "no": p.Request has', id="body"),
        pytest.param(HttpRule(verb="PUT", template="/x", body="item_box.id"), "has no such field", id="nested body"),
        pytest.param(
            HttpRule(verb="GET", template="/x", response_body="no"),
            'response_body "no": p.Reply has',
            id="response body",
        ),
    ],
)
def test_rule_that_does_not_fit_is_refused_with_the_reason(method: Method, rule: HttpRule, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        plan_rule("svc", method, rule, Source.ANNOTATION)


@pytest.mark.parametrize("verb", ["GET", "*", "head", "OPTIONS", "BREW", "M-SEARCH"])
def test_semantics_3_any_http_method_can_be_bound(method: Method, verb: str) -> None:
    route = plan_rule("svc", method, HttpRule(verb=verb, template="/x"), Source.ANNOTATION)
    assert route.verb == verb.upper()


@pytest.mark.parametrize(
    ("verb", "level", "stated", "expected"),
    [
        ("GET", "", None, True),
        ("get", "", None, True),
        ("POST", "", None, False),
        ("PUT", "", None, False),
        ("*", "", None, False),
        ("POST", "NO_SIDE_EFFECTS", None, True),
        ("DELETE", "IDEMPOTENT", None, True),
        ("POST", "IDEMPOTENCY_UNKNOWN", None, False),
        ("GET", "NO_SIDE_EFFECTS", False, False),
        ("POST", "", True, True),
    ],
)
def test_semantics_31_what_may_be_tried_again(verb: str, level: str, stated: bool | None, expected: bool) -> None:
    """GET, and what the schema declares; an override's own word is stronger."""
    option = f"{{ option idempotency_level = {level}; }}" if level else ";"
    schema = schema_from_text(
        f'syntax = "proto3"; package p; message M {{}} service S {{ rpc A(M) returns (M) {option} }}'
    )
    rule = HttpRule(verb=verb, template="/a")
    route = plan_rule("svc", method_of(schema, "p.S/A"), rule, Source.OVERRIDE, is_idempotent=stated)
    assert route.is_idempotent is expected


@pytest.mark.parametrize(
    ("request_type", "reply", "expected"),
    [("M", "stream M", True), ("stream M", "M", False), ("stream M", "stream M", False)],
)
def test_semantics_31_streams_of_requests_are_never_tried_again(request_type: str, reply: str, expected: bool) -> None:
    """Not even when it is said of them: what the client sent is not kept. A stream of answers to one request is."""
    schema = schema_from_text(
        f'syntax = "proto3"; package p; message M {{}} service S {{ rpc A({request_type}) returns ({reply}) '
        "{ option idempotency_level = IDEMPOTENT; } }"
    )
    rule = HttpRule(verb="GET", template="/a")
    route = plan_rule("svc", method_of(schema, "p.S/A"), rule, Source.OVERRIDE, is_idempotent=True)
    assert route.is_idempotent is expected
