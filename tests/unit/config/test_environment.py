"""Settings from environment variables."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.config.document import Document
from api_gateway.config.environment import apply_environment, overriding_variables
from api_gateway.config.problem import Place
from api_gateway.config.yaml_reader import read_document

FILE = """\
server: {port: 8080}
services:
  user-service: {endpoint: "http://users:50051"}
  Order_Service: {endpoint: "http://orders:50051"}
route_overrides:
  - {grpc_method: user.UserService/GetUser, http_path: "/u/:id", http_method: GET}
"""


def applied(environ: Mapping[str, str], text: str = FILE) -> Document:
    document, _ = read_document(text, "g.yaml")
    assert list(apply_environment(document, environ)) == []
    return document


@pytest.mark.parametrize(
    ("name", "path"),
    [
        pytest.param("API_GATEWAY__SERVER__PORT", ("server", "port"), id="upper_case"),
        pytest.param("api_gateway__server__port", ("server", "port"), id="lower_case"),
        pytest.param("API_GATEWAY__server__Port", ("server", "port"), id="mixed_case"),
        pytest.param("API_GATEWAY__SERVER__WORKERS", ("server", "workers"), id="key_not_in_the_file"),
        pytest.param("API_GATEWAY__LOG__LEVEL", ("log", "level"), id="section_not_in_the_file"),
        pytest.param(
            "API_GATEWAY__SERVICES__USER_SERVICE__ENDPOINT",
            ("services", "user-service", "endpoint"),
            id="dash_in_the_file",
        ),
        pytest.param(
            "API_GATEWAY__SERVICES__ORDER_SERVICE__ENDPOINT",
            ("services", "Order_Service", "endpoint"),
            id="underscore_in_the_file",
        ),
        pytest.param("API_GATEWAY__SERVICES__NEW_ONE__ENDPOINT", ("services", "new-one", "endpoint"), id="new_service"),
        pytest.param("API_GATEWAY__SERVICES__8080__ENDPOINT", ("services", "8080", "endpoint"), id="digits_as_service"),
        pytest.param("API_GATEWAY__ROUTE_OVERRIDES__0__HTTP_PATH", ("route_overrides", 0, "http_path"), id="entry"),
        pytest.param(
            "API_GATEWAY__ROUTE_OVERRIDES__1__HTTP_PATH", ("route_overrides", 1, "http_path"), id="next_entry"
        ),
    ],
)
def test_name_finds_its_key(name: str, path: tuple[str | int, ...]) -> None:
    document = applied({name: "77"})
    assert str(document.value_at(path)) == "77"
    assert document.place_of_value(path) == Place(f"environment variable {name}")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        pytest.param("SERVER__PORT", "9000", 9000, id="number"),
        pytest.param("RATE_LIMIT__ENABLED", "true", True, id="bool"),
        pytest.param("TRUSTED_PROXIES", "[10.0.0.0/8, 'fd00::/8']", ["10.0.0.0/8", "fd00::/8"], id="list"),
        pytest.param("AUTH", "{timeout_ms: 5}", {"timeout_ms": 5}, id="section"),
        pytest.param("AUTH__JWT__SECRET", "12345", "12345", id="text_of_digits"),
        pytest.param("AUTH__JWT__SECRET", "a: b # c", "a: b # c", id="text_that_looks_like_yaml"),
        pytest.param("AUTH__JWT__SECRET", "@{[*&", "@{[*&", id="text_that_is_broken_yaml"),
        pytest.param("AUTH__JWT__SECRET", "'12345'", "12345", id="quoted_text"),
        pytest.param("AUTH__JWT__SECRET", "null", None, id="optional_text_as_null"),
        pytest.param("OBSERVABILITY__SERVICE_NAME", "null", "null", id="required_text_as_null"),
        pytest.param("AUTH__JWT__AUDIENCE", "[a, b]", ["a", "b"], id="text_or_list"),
        pytest.param("AUTH__JWT__PUBLIC_KEY", "-----BEGIN\nx\n-----END", "-----BEGIN\nx\n-----END", id="lines"),
    ],
)
def test_value_is_yaml_except_where_only_text_may_stand(name: str, text: str, value: object) -> None:
    document = applied({f"API_GATEWAY__{name}": text})
    path = tuple(part.lower() for part in name.split("__"))
    assert document.value_at(path) == value


def test_section_is_written_before_the_keys_inside_it() -> None:
    document = applied({"API_GATEWAY__LOG__LEVEL": "WARN", "API_GATEWAY__LOG": "{level: INFO, requests: false}"})
    assert document.value_at(("log",)) == {"level": "WARN", "requests": False}


def test_other_variables_are_left_alone() -> None:
    assert overriding_variables({"PATH": "/bin", "API_GATEWAY_PORT": "1", "GATEWAY_CONFIG_PATH": "x"}) == ()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        pytest.param("SERVER__PRT", "1", 'server.prt: unknown key; did you mean "port"?', id="unknown_key"),
        pytest.param("SERVR__PORT", "1", 'servr: unknown key; did you mean "server"?', id="unknown_section"),
        pytest.param("", "1", "a key is missing in the name; write for example API_GATEWAY__SERVER__PORT", id="no_key"),
        pytest.param(
            "SERVER____PORT",
            "1",
            "a key is missing in the name; write for example API_GATEWAY__SERVER__PORT",
            id="gap",
        ),
        pytest.param(
            "ROUTE_OVERRIDES__2__BODY",
            "x",
            'route_overrides[2].body: "route_overrides" has no entry before this one; '
            "entries count from 0 without gaps",
            id="gap_in_a_list",
        ),
        pytest.param("SERVER__PORT__X", "1", 'server.port.x: "server.port" is not a section', id="below_a_value"),
        pytest.param(
            "TRUSTED_PROXIES",
            "[1",
            "trusted_proxies: the bracket that begins in line 1 does not end before this",
            id="broken_yaml",
        ),
        pytest.param(
            "LOG", "{level: INFO, level: WARN}", "log.level: given twice; first in line 1", id="given_twice_inside"
        ),
    ],
)
def test_variable_that_cannot_be_used_is_named(name: str, value: str, told: str) -> None:
    document, _ = read_document(FILE, "g.yaml")
    name = f"API_GATEWAY__{name}"
    (problem,) = apply_environment(document, {name: value})
    assert str(problem) == f"environment variable {name}: {told}"
    assert document.values == read_document(FILE, "g.yaml")[0].values


def test_two_spellings_of_one_variable_contradict_each_other() -> None:
    document, _ = read_document(FILE, "g.yaml")
    environ = {"API_GATEWAY__SERVER__PORT": "1", "api_gateway__server__port": "2"}
    (problem,) = apply_environment(document, environ)
    assert str(problem) == (
        "environment variable api_gateway__server__port: server.port: sets the same key as API_GATEWAY__SERVER__PORT"
    )


names = st.lists(
    st.sampled_from(["server", "port", "services", "x", "route_overrides", "0", "7", "", "auth", "jwt", "secret"]),
    max_size=5,
).map("__".join)


@given(st.dictionaries(names.map("API_GATEWAY__{}".format), st.text(max_size=20), max_size=6))
def test_no_variables_raise_anything(environ: dict[str, str]) -> None:
    document, _ = read_document(FILE, "g.yaml")
    for problem in apply_environment(document, environ):
        assert problem.file.startswith("environment variable API_GATEWAY__")
