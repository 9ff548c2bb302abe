"""Every kind of mistake in words for people, and never the value of a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ByteSize

from api_gateway.config import explain
from api_gateway.config.keys import is_secret, section_at
from api_gateway.config.loader import load_settings
from api_gateway.config.problem import ConfigError, KeyPath
from api_gateway.config.section import Section
from api_gateway.config.settings import Settings

SERVICE = 'services: {users: {endpoint: "http://users:50051"}}\n'


def tell(folder: Path, text: str) -> list[str]:
    file = folder / "g.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(file, environ={})
    return [str(problem).replace(f"{file}:", "") for problem in caught.value.problems]


EXPLAINED = [
    pytest.param("server: {prt: 1}", '1:10: server.prt: unknown key; did you mean "port"?', id="unknown_key"),
    pytest.param(
        "tempo_endpoint: x", '1:1: tempo_endpoint: unknown key; it belongs into "observability"', id="wrong_section"
    ),
    pytest.param(
        "log: {zzz: 1}",
        "1:7: log.zzz: unknown key; known here: level, levels, requests, sample_successes",
        id="nothing_like_it",
    ),
    pytest.param("server: {port: x}", '1:16: server.port: expected a whole number, got "x"', id="text_for_number"),
    pytest.param("server: {port: yes}", "1:16: server.port: expected a number, got true", id="bool_for_number"),
    pytest.param("server: {port: 1.5}", "1:16: server.port: expected a whole number, got 1.5", id="fraction"),
    pytest.param("server: {port: }", "1:16: server.port: expected a whole number, got nothing", id="nothing"),
    pytest.param("server: {port: [1]}", "1:16: server.port: expected a whole number, got a list", id="list_for_number"),
    pytest.param(
        "server: {port: {a: 1}}", "1:16: server.port: expected a whole number, got a section", id="section_for_number"
    ),
    pytest.param("server: {port: 65536}", "1:16: server.port: expected at most 65535, got 65536", id="too_large"),
    pytest.param("server: {workers: 0}", "1:19: server.workers: expected at least 1, got 0", id="too_small"),
    pytest.param(
        "server: {port: 1" + "0" * 400 + "}", "1:16: server.port: expected at most 65535, got a huge number", id="huge"
    ),
    pytest.param(
        "observability: {otlp_timeout_secs: 0}",
        "1:36: observability.otlp_timeout_secs: expected more than 0, got 0",
        id="not_above",
    ),
    pytest.param(
        "observability: {otlp_timeout_secs: x}",
        '1:36: observability.otlp_timeout_secs: expected a number, got "x"',
        id="text_for_float",
    ),
    pytest.param(
        "server: {host: 1.0}", "1:16: server.host: expected text, got 1.0; put it in quotes", id="number_for_text"
    ),
    pytest.param(
        "server: {host: no}", "1:16: server.host: expected text, got false; put it in quotes", id="bool_for_text"
    ),
    pytest.param("log: {requests: 5}", "1:17: log.requests: expected true or false, got 5", id="number_for_bool"),
    pytest.param(
        "log: {level: debug}",
        '1:14: log.level: expected "DEBUG", "INFO", "WARN" or "ERROR", got "debug"; did you mean "DEBUG"?',
        id="choice",
    ),
    pytest.param("server: 5", "1:9: server: expected a section with keys of its own, got 5", id="number_for_section"),
    pytest.param(
        "cors: {allowed_origins: x}",
        '1:25: cors.allowed_origins: expected a list, got "x"; put it in brackets, or begin each entry with a dash',
        id="text_for_list",
    ),
    pytest.param(
        "trusted_proxies: {a: 1}",
        "1:18: trusted_proxies: expected a list, got a section; begin each entry with a dash",
        id="section_for_list",
    ),
    pytest.param(
        "server: [port]",
        "1:9: server: expected a section with keys of its own, got a list; "
        "begin each entry with its name and a colon, without a dash",
        id="list_for_section",
    ),
    pytest.param(
        "server: {request_timeout_ms: 1.5m}",
        '1:30: server.request_timeout_ms: expected a whole number, got "1.5m"; '
        "the unit is part of the key: write 90000",
        id="time_with_a_unit",
    ),
    pytest.param(
        "rate_limit: {window_seconds: 1 h}",
        '1:30: rate_limit.window_seconds: expected a whole number, got "1 h"; the unit is part of the key: write 3600',
        id="time_in_seconds_with_a_unit",
    ),
    pytest.param(
        "timeout_ms: 5",
        '1:1: timeout_ms: unknown key; it belongs into "auth" or "state" or each service in "services"',
        id="key_of_services",
    ),
    pytest.param(
        "cors: {allowed_origins: ['https://App.example:443/']}",
        '1:26: cors.allowed_origins[0]: browsers never send this origin; did you mean "https://app.example"?',
        id="origin",
    ),
    pytest.param(
        "route_overrides: [{grpc_method: a.B.C, http_path: /x, http_method: GET}]",
        '1:33: route_overrides[0].grpc_method: expected a method like "package.Service/Method"; did you mean "a.B/C"?',
        id="method_with_a_dot",
    ),
    pytest.param(
        "trusted_proxies: [10.0.0.1/8]",
        '1:19: trusted_proxies[0]: expected a network such as 10.0.0.0/8 or fd00::/8, got "10.0.0.1/8";'
        ' did you mean "10.0.0.0/8"?',
        id="host_bits",
    ),
    pytest.param(
        "trusted_proxies: [x]",
        '1:19: trusted_proxies[0]: expected a network such as 10.0.0.0/8 or fd00::/8, got "x"',
        id="no_network",
    ),
    pytest.param(
        "body_limit: {default_limit: 10 pints}",
        '1:29: body_limit.default_limit: expected a size such as 10MiB, or a number of bytes, got "10 pints"',
        id="size_unit",
    ),
    pytest.param(
        "body_limit: {default_limit: much}",
        '1:29: body_limit.default_limit: expected a size such as 10MiB, or a number of bytes, got "much"',
        id="size",
    ),
    pytest.param(
        "body_limit: {default_limit: -1}",
        "1:29: body_limit.default_limit: expected a size such as 10MiB, or a number of bytes, got -1",
        id="negative_size",
    ),
    pytest.param("auth: ", "1:1: auth: the section is empty; fill it in, or remove it", id="empty_optional_section"),
    pytest.param(
        "auth: {service_endpoint: 'http://a:1', jwt: ~}",
        "1:40: auth.jwt: the section is empty; fill it in, or remove it",
        id="empty_nested_section",
    ),
    pytest.param("server:", "1:8: server: expected a section with keys of its own, got nothing", id="empty_section"),
    pytest.param(
        "auth: {jwt: {secret: x, audience: 5}}",
        "1:35: auth.jwt.audience: expected text or a list, got 5; put it in quotes",
        id="one_problem_for_a_union",
    ),
    pytest.param(
        "auth: {jwt: {secret: x, algorithms: []}}",
        "1:37: auth.jwt.algorithms: the list or section is empty: expected at least one entry",
        id="empty_list",
    ),
    pytest.param(
        "auth: {service_endpoint: 'http://a:1', public_routes: [{path: x}]}",
        '1:63: auth.public_routes[0].path: expected a path that begins with "/", got "x"',
        id="path",
    ),
    pytest.param(
        "auth: {service_endpoint: 'http://a:1', public_routes: [{path: /x, method: G T}]}",
        '1:75: auth.public_routes[0].method: expected an HTTP method such as GET, or "*", got "G T"',
        id="method",
    ),
    pytest.param(
        "rate_limit: {routes: [{path: /x, requests_per_minute: 1, method: " + "G" * 33 + "}]}",
        "1:66: rate_limit.routes[0].method: string should have at most 32 characters",
        id="too_long",
    ),
    pytest.param(
        "auth: {timeout_ms: 5}",
        "1:7: auth: give service_endpoint or jwt, so that tokens can be validated",
        id="rule_of_a_section",
    ),
    pytest.param(
        "route_overrides: [{grpc_method: a.B/C, http_path: /x, http_method: GET, service: user}]",
        '1:82: route_overrides[0].service: no service has the key "user"; did you mean "users"?',
        id="unknown_service",
    ),
    pytest.param(
        "server: {host: " + "x" * 99 + ", port: '" + "y" * 99 + "'}",
        '1:123: server.port: expected a whole number, got "' + "y" * 57 + '..."',
        id="long_values_are_cut",
    ),
]


@pytest.mark.parametrize(("text", "told"), EXPLAINED)
def test_mistake_is_told_with_place_key_and_way_out(tmp_path: Path, text: str, told: str) -> None:
    assert tell(tmp_path, text + "\n" + SERVICE) == [told]


def test_missing_key_is_told_where_its_section_begins(tmp_path: Path) -> None:
    assert tell(tmp_path, "services:\n  users:\n    timeout_ms: 5\n") == [
        '2:3: services.users.endpoint: the key is missing; write for example endpoint: "http://localhost:50051"'
    ]
    assert tell(tmp_path, 'services:\n  users: "http://a:1"\n') == [
        "2:10: services.users: expected a section with keys of its own, got text; "
        'the address is the key "endpoint" of this section'
    ]
    (told,) = tell(tmp_path, "server: {port: 1}")
    assert told.startswith("1:1: services: the key is missing: name at least one backend; ")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("auth: {jwt: {secret: [hunter2]}}", id="list"),
        pytest.param("auth: {jwt: {secret: 5552368}}", id="number"),
        pytest.param("auth: {jwt: {secret: {a: hunter2}}}", id="section"),
        pytest.param("auth: {jwt: hunter2}", id="one_level_too_high"),
        pytest.param("auth: {jwt: {secrt: hunter2}}", id="mistyped_key"),
        pytest.param("auth: {jwt: {secret: hunter2, public_key: x}}", id="rule_of_the_section"),
        pytest.param("auth: {jwt: {secret: hunter2, secret: hunter2}}", id="given_twice"),
        pytest.param("auth: {jwt: {secret: !own hunter2}}", id="own_tag"),
        pytest.param("state: {redis_url: 'http://:hunter2@redis:6379'}", id="password_in_a_wrong_address"),
        pytest.param("services: {x: {endpoint: 'http://u:hunter2@x'}}", id="password_in_an_endpoint"),
        pytest.param("auth: {jwt: {secret: 'hunter2}}", id="unclosed_quote"),
        pytest.param("auth:\n  jwt:\n    secret: hunter2: x", id="second_colon"),
    ],
)
def test_secret_is_never_told(tmp_path: Path, text: str) -> None:
    for told in tell(tmp_path, text):
        assert "hunter2" not in told
        assert "5552368" not in told


def test_every_pattern_of_the_settings_has_words() -> None:
    patterns = {pattern for _, pattern in _patterns(Settings, ())}
    assert patterns
    assert patterns == set(explain._PATTERNS)


def test_every_secret_is_marked() -> None:
    """A field whose name speaks of secrets, or whose value may hold one, is declared with `repr=False`."""
    for path in _leaves(Settings, ()):
        if re.search(r"secret|password|token$|_url$", str(path[-1])) and path[-1] != "jwks_url":
            assert is_secret(path), path


def _leaves(section: type[Section], path: KeyPath) -> Iterator[KeyPath]:
    for name in section.model_fields:
        for inner in ((*path, name), (*path, name, "any"), (*path, name, 0)):
            below = section_at(inner)
            if below is not None:
                yield from _leaves(below, inner)
                break
        else:
            yield (*path, name)


def _patterns(section: type[Section], path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    for leaf in _leaves(section, path):
        parent = section_at(leaf[:-1])
        assert parent is not None
        if parent.model_fields[str(leaf[-1])].annotation is ByteSize:
            continue  # its pattern is pydantic's own
        schema = parent.model_json_schema()["properties"][str(leaf[-1])]
        for candidate in (schema, *schema.get("anyOf", ())):
            if "pattern" in candidate:
                yield leaf, candidate["pattern"]
