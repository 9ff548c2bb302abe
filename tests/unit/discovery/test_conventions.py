"""The naming convention."""

from __future__ import annotations

import pytest

from api_gateway.discovery.conventions import Convention, apply_convention, identifier_of
from api_gateway.schema import Method
from tests.support.descriptors import method_of, schema_from_text


def method(name: str, request: str = "string id = 1;", more: str = "") -> Method:
    """Compile a service with one method and return it."""
    schema = schema_from_text(
        f'syntax = "proto3"; package p; {more} message Request {{ {request} }} message Reply {{}}'
        f"service S {{ rpc {name}(Request) returns (Reply); }}"
    )
    return method_of(schema, f"p.S/{name}")


@pytest.mark.parametrize(
    ("name", "verb", "path", "identifier", "body"),
    [
        pytest.param("GetUser", "GET", "/api/users/:id", "id", "", id="get"),
        pytest.param("ListUsers", "GET", "/api/users", None, "", id="list"),
        pytest.param("CreateUser", "POST", "/api/users", None, "*", id="create"),
        pytest.param("UpdateUser", "PUT", "/api/users/:id", "id", "*", id="update"),
        pytest.param("DeleteUser", "DELETE", "/api/users/:id", "id", "", id="delete"),
        pytest.param("GetOrderItem", "GET", "/api/order-items/:id", "id", "", id="two words"),
        pytest.param("ListUser", "GET", "/api/users", None, "", id="list in the singular"),
        pytest.param("GetCategory", "GET", "/api/categories/:id", "id", "", id="category"),
        pytest.param("GetBox", "GET", "/api/boxes/:id", "id", "", id="box"),
        pytest.param("GetBus", "GET", "/api/buses/:id", "id", "", id="bus"),
        pytest.param("GetDay", "GET", "/api/days/:id", "id", "", id="day"),
        pytest.param("GetHTTPServer", "GET", "/api/http-servers/:id", "id", "", id="acronym"),
        pytest.param("ListURLs", "GET", "/api/urls", None, "", id="plural acronym"),
        pytest.param("GetStatus", "GET", "/api/statuses/:id", "id", "", id="status"),
        pytest.param("GetSettings", "GET", "/api/settings/:id", "id", "", id="plural already"),
    ],
)
def test_semantics_5_name_becomes_route(name: str, verb: str, path: str, identifier: str | None, body: str) -> None:
    expected = Convention(verb=verb, path=path, identifier=identifier, body=body)
    assert apply_convention(method(name)) == expected


@pytest.mark.parametrize(
    ("name", "request_fields", "field"),
    [
        pytest.param("GetUser", "string name = 1; string user_id = 2; string id = 3;", "id", id="id first"),
        pytest.param("GetUser", "string name = 1; string user_id = 2;", "user_id", id="resource id before name"),
        pytest.param("GetOrderItem", "string order_id = 1; int64 order_item_id = 2;", "order_item_id", id="two words"),
        pytest.param("GetUser", "string name = 1; bool full = 2;", "name", id="name"),
        pytest.param("GetUser", "string login = 1;", "login", id="only scalar"),
        pytest.param("GetUser", "Other o = 1; repeated string r = 2; string login = 3;", "login", id="among others"),
        pytest.param("GetUser", "oneof key { string id = 1; string mail = 2; }", "id", id="in a oneof"),
        pytest.param("GetUser", "optional string id = 1; string x = 2;", "id", id="optional"),
        pytest.param("GetUser", "Other id = 1; string name = 2;", "name", id="id that is a message"),
        pytest.param("GetUser", "repeated string id = 1; string x = 2;", "x", id="id that is repeated"),
        pytest.param("GetUser", "map<string, string> id = 1; string x = 2;", "x", id="id that is a map"),
        pytest.param("GetUser", "Kind kind = 1; string x = 2;", "x", id="an enum is no identifier"),
        pytest.param("GetUser", "string login = 1; string mail = 2;", None, id="two that may be meant"),
        pytest.param("GetUser", "Other user = 1;", None, id="no scalar"),
        pytest.param("GetUser", "", None, id="no field"),
        pytest.param("FetchUser", "string name = 1; string x = 2;", "name", id="name outside the convention"),
    ],
)
def test_semantics_5_field_that_id_binds(name: str, request_fields: str, field: str | None) -> None:
    more = "message Other { string id = 1; } enum Kind { KIND_UNSPECIFIED = 0; }"
    assert identifier_of(method(name, request_fields, more)) == field


def test_semantics_5_method_without_identifier_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match=r"no field of p\.Request fits :id, which is id, order_item_id, name"):
        apply_convention(method("GetOrderItem", "string a = 1; string b = 2;"))


@pytest.mark.parametrize("name", ["Get", "List", "Getter", "Listen", "BatchGetUsers", "FetchUser", "getUser", "Search"])
def test_semantics_5_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the name is not Get, List, Create, Update or Delete and a resource"):
        apply_convention(method(name))


def test_convention_does_not_ask_for_an_identifier_where_the_path_has_none() -> None:
    assert apply_convention(method("ListUsers", "")).path == "/api/users"
    assert apply_convention(method("CreateUser", "")).path == "/api/users"
