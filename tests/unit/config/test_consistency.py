"""Values that contradict each other, and texts that only look like values: each told with its place and a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from api_gateway.config.loader import load_settings
from api_gateway.config.problem import ConfigError

SERVICE = 'services: {users: {endpoint: "http://users:50051"}}\n'


def tell(folder: Path, text: str) -> list[str]:
    file = folder / "g.yaml"
    file.write_text(text)
    try:
        load_settings(file, environ={})
    except ConfigError as error:
        return [str(problem).replace(f"{file}:", "") for problem in error.problems]
    return []


VARIABLE = "variables are not filled in inside the file; "


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            "server: {port: '${PORT}'}",
            [f"1:16: server.port: {VARIABLE}set the environment variable API_GATEWAY__SERVER__PORT instead"],
            id="variable for a number",
        ),
        pytest.param(
            "auth: {jwt: {secret: '${JWT_SECRET_WITH_A_NAME_OF_MORE_THAN_32_BYTES}'}}",
            [f"1:22: auth.jwt.secret: {VARIABLE}set the environment variable API_GATEWAY__AUTH__JWT__SECRET instead"],
            id="variable that would be the secret",
        ),
        pytest.param(
            "services: {user-service: {endpoint: 'http://${HOST:-localhost}:1'}}",
            [
                f"1:37: services.user-service.endpoint: {VARIABLE}"
                "set the environment variable API_GATEWAY__SERVICES__USER_SERVICE__ENDPOINT instead"
            ],
            id="variable inside a text",
        ),
        pytest.param(
            "services: {a.b: {endpoint: 'http://${HOST}:1'}}",
            [f"1:28: services.a.b.endpoint: {VARIABLE}write the value itself"],
            id="key that no variable can name",
        ),
        pytest.param("observability: {service_name: 'costs $5 {or so}'}", [], id="no variable"),
        pytest.param(
            "admin: {port: 8080}",
            [
                "1:15: admin.port: 8080 is the port for clients (server.port), too; "
                "choose another one, or leave it out to serve operators beside clients"
            ],
            id="one port for two",
        ),
        pytest.param("admin: {port: 0}\nserver: {port: 0}", [], id="any two free ports"),
        pytest.param("admin: {port: 80, host: 10.0.0.1}\nserver: {port: 80, host: 10.0.0.2}", [], id="two addresses"),
        pytest.param(
            "route_overrides: [{grpc_method: a.B/C, http_path: /x, http_method: GET, service: user}]",
            ['1:82: route_overrides[0].service: no service has the key "user"; did you mean "users"?'],
            id="service of an override",
        ),
    ],
)
def test_what_does_not_fit_together(tmp_path: Path, text: str, told: list[str]) -> None:
    assert tell(tmp_path, text if "services:" in text else f"{text}\n{SERVICE}") == told


def test_variables_of_the_environment_hold_what_they_hold(tmp_path: Path) -> None:
    """Whoever sets one has a shell that fills in, and a secret may hold anything."""
    file = tmp_path / "g.yaml"
    file.write_text(SERVICE)
    environ = {"API_GATEWAY__OBSERVABILITY__SERVICE_NAME": "${NAME}"}
    assert load_settings(file, environ=environ).settings.observability.service_name == "${NAME}"


def test_two_services_have_two_names(tmp_path: Path) -> None:
    text = 'services:\n  a: {endpoint: "http://a:1"}\n  b: {endpoint: "http://b:1", name: a}\n'
    assert tell(tmp_path, text) == [
        '3:37: services.b.name: "a" is the name of the service a, too; '
        "names must differ; without one, a service has its key as its name"
    ]


def test_tls_that_is_configured_and_off_is_refused(tmp_path: Path) -> None:
    """What was meant to be encrypted must not go out in plain text unless somebody says so."""
    text = 'services: {a: {endpoint: "http://a:1", tls_ca_cert_path: /ca.pem}}'
    (told,) = tell(tmp_path, text)
    assert told == (
        "1:40: services.a.tls_ca_cert_path: has no effect: the connections of this service are not encrypted; "
        "add tls_enabled: true, or write the endpoint with https://"
    )
    assert tell(tmp_path, text.replace("/ca.pem", "/ca.pem, tls_enabled: false")) == []
    assert tell(tmp_path, text.replace("http:", "https:")) == []
