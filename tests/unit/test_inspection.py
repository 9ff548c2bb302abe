"""What is told of settings whose values are right one by one: paths, idle sections, files that cannot be used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api_gateway.config.loader import load_settings
from api_gateway.config.problem import ConfigError
from api_gateway.inspection import inspect_settings
from tests.support.certificates import CertificateFiles, write_certificates

SERVICE = 'services: {users: {endpoint: "http://users:50051"}}\n'
OVERRIDE = "grpc_method: a.B/C, http_method: GET"


def warnings_of(folder: Path, text: str, *, now: datetime | None = None) -> list[str]:
    file = folder / "g.yaml"
    file.write_text(text)
    loaded = inspect_settings(load_settings(file, environ={}), now=now)
    return [str(warning).replace(f"{file}:", "") for warning in loaded.warnings]


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    return write_certificates(tmp_path)


def tls(**paths: str) -> str:
    lines = [f'    {name}: "{path}"\n' for name, path in paths.items()]
    return 'services:\n  users:\n    endpoint: "https://users:1"\n' + "".join(lines)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        pytest.param("/x/{id", 'expected "}" at column 7', id="open brace"),
        pytest.param("/x//y", "expected a literal, a wildcard or a variable at column 4", id="empty segment"),
        pytest.param("/**/**", '"**" may stand only once in a template at column 5', id="two rests"),
    ],
)
def test_a_path_that_cannot_be_routed_is_an_error(tmp_path: Path, path: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        warnings_of(tmp_path, SERVICE + f'route_overrides: [{{{OVERRIDE}, http_path: "{path}"}}]')
    (problem,) = caught.value.problems
    assert (problem.key, problem.line, problem.column) == ("route_overrides[0].http_path", 2, 69)
    assert told in problem.message


def test_a_path_for_two_methods_is_told(tmp_path: Path) -> None:
    """semantics 4: it never stops the gateway."""
    text = (
        "route_overrides:\n"
        "  - {grpc_method: a.B/C, http_method: GET, http_path: /x/:id}\n"
        "  - {grpc_method: a.B/D, http_method: POST, http_path: /x/:id}\n"
        "  - {grpc_method: a.B/E, http_method: GET, http_path: '/x/{name}'}\n"
    )
    assert warnings_of(tmp_path, text + SERVICE) == [
        "4:55: route_overrides[2].http_path: GET /x/{name} is the route of a.B/C, too; choose another path"
    ]


def test_a_path_of_the_gateway_itself_is_told(tmp_path: Path) -> None:
    (told,) = warnings_of(tmp_path, SERVICE + f"route_overrides: [{{{OVERRIDE}, http_path: /health}}]")
    assert told.endswith("http_path: the gateway answers this path itself; choose another path")


@pytest.mark.parametrize(
    ("section", "told"),
    [
        pytest.param("rate_limit: {requests_per_minute: 5}", "rate_limit: the section is there, but", id="limit"),
        pytest.param("cors: {max_age_seconds: 5}", "cors: the section is there, but nothing", id="cors"),
        pytest.param("cors: {enabled: true}", "cors.allowed_origins: no origin is allowed", id="no origins"),
        pytest.param("rate_limit: {enabled: false, requests_per_minute: 5}", "", id="off on purpose"),
        pytest.param("rate_limit: {enabled: true}", "", id="on"),
    ],
)
def test_a_section_that_does_nothing_is_told(tmp_path: Path, section: str, told: str) -> None:
    warnings = warnings_of(tmp_path, f"{section}\n{SERVICE}")
    assert len(warnings) == bool(told)
    assert all(warning.startswith(f"1:1: {told}") for warning in warnings)


def test_files_that_can_be_used_are_no_matter(tmp_path: Path, files: CertificateFiles) -> None:
    text = tls(tls_ca_cert_path=files.ca, tls_client_cert_path=files.certificate, tls_client_key_path=files.key)
    assert warnings_of(tmp_path, text) == []


def test_files_of_a_service_without_tls_are_not_read(tmp_path: Path) -> None:
    text = tls(tls_ca_cert_path="/none/ca.pem").replace("https", "http") + "    tls_enabled: false\n"
    assert warnings_of(tmp_path, text) == []


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert warnings_of(tmp_path, tls(tls_ca_cert_path="/none/ca.pem")) == [
        "4:23: services.users.tls_ca_cert_path: there is no file /none/ca.pem"
    ]


def test_a_directory_is_told(tmp_path: Path) -> None:
    (told,) = warnings_of(tmp_path, tls(tls_ca_cert_path=str(tmp_path)))
    assert told.endswith(f"{tmp_path} cannot be read: Is a directory")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param("hello", "is no PEM file with a certificate or a key", id="no PEM"),
        pytest.param(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds a broken certificate", id="broken"
        ),
    ],
)
def test_a_file_of_another_kind_is_told(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(content)
    (warning,) = warnings_of(tmp_path, tls(tls_ca_cert_path=str(file)))
    assert warning.endswith(f"{file} {told}")


def test_a_certificate_out_of_its_time_is_told(tmp_path: Path, files: CertificateFiles) -> None:
    now = datetime.now(UTC)
    (late,) = warnings_of(tmp_path, tls(tls_ca_cert_path=files.ca), now=now + timedelta(days=30))
    assert f"the certificate in {files.ca} expired on " in late
    (early,) = warnings_of(tmp_path, tls(tls_ca_cert_path=files.ca), now=now - timedelta(days=30))
    assert f"the certificate in {files.ca} is not valid before " in early


def test_a_key_of_another_certificate_is_told(tmp_path: Path, files: CertificateFiles) -> None:
    (tmp_path / "other").mkdir()
    other = write_certificates(tmp_path / "other")
    (told,) = warnings_of(tmp_path, tls(tls_client_cert_path=files.certificate, tls_client_key_path=other.key))
    assert told.startswith("2:3: services.users: cannot use the TLS files")
