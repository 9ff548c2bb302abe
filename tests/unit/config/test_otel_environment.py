"""OpenTelemetry's environment variables fill in what the file leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest

from api_gateway.config.loader import LoadedSettings, load_settings
from api_gateway.config.problem import ConfigError
from api_gateway.config.settings import ObservabilitySettings

SERVICES = "services: {s: {endpoint: 'http://localhost:1'}}\n"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def loaded(tmp_path: Path, environ: dict[str, str], file: str = "") -> LoadedSettings:
    path = tmp_path / "gateway.yaml"
    path.write_text(SERVICES + file)
    return load_settings(path, environ=environ)


def traces(tmp_path: Path, environ: dict[str, str], file: str = "") -> ObservabilitySettings:
    return loaded(tmp_path, environ, file).settings.observability


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        pytest.param({ENDPOINT: "http://c:4317"}, "http://c:4317", id="all_signals"),
        pytest.param({ENDPOINT: "http://c:4317/"}, "http://c:4317", id="slash"),
        pytest.param({ENDPOINT: "http://c"}, "http://c:4317", id="default_port"),
        pytest.param({ENDPOINT: "https://c"}, "https://c:443", id="default_tls_port"),
        pytest.param({ENDPOINT: "c:4317"}, "https://c:4317", id="no_scheme_is_secure"),
        pytest.param({ENDPOINT: "c:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"}, "http://c:4317", id="insecure"),
        pytest.param(
            {ENDPOINT: "http://c:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t:2"}, "http://t:2", id="traces_win"
        ),
        pytest.param({ENDPOINT: "  "}, None, id="empty_is_unset"),
        pytest.param({ENDPOINT: "http://c:1", "OTEL_SDK_DISABLED": "TRUE"}, None, id="disabled"),
        pytest.param({ENDPOINT: "http://c:1", "OTEL_TRACES_EXPORTER": "none"}, None, id="no_exporter"),
        pytest.param({ENDPOINT: "http://c:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http://c:1", id="grpc"),
    ],
)
def test_endpoint(tmp_path: Path, environ: dict[str, str], endpoint: str | None) -> None:
    assert traces(tmp_path, environ).tempo_endpoint == endpoint


def test_everything_else(tmp_path: Path) -> None:
    settings = traces(
        tmp_path,
        {
            ENDPOINT: "https://c:4317",
            "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20abc%3D,x-org=7",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/c.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/k.pem",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=ignored,k8s.pod.name=p%2C1",
            "OTEL_SERVICE_NAME": "edge",
            "OTEL_TRACES_SAMPLER": "traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.25",
            "OTEL_BSP_SCHEDULE_DELAY": "5000",
            "OTEL_BSP_MAX_QUEUE_SIZE": "2048",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "256",
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "128",
            "OTEL_SPAN_EVENT_COUNT_LIMIT": "12",
        },
    )
    assert settings.headers == {"authorization": "Basic abc=", "x-org": "7"}
    assert (settings.tls_ca_cert_path, settings.tls_client_cert_path) == (Path("/ca.pem"), Path("/c.pem"))
    assert settings.tls_client_key_path == Path("/k.pem")
    assert settings.otlp_timeout_secs == 2.5
    assert (settings.service_name, settings.resource_attributes) == ("edge", {"k8s.pod.name": "p,1"})
    assert (settings.sample_ratio, settings.follow_parent) == (0.25, False)
    assert (settings.export_interval_ms, settings.max_queued_spans, settings.max_spans_per_export) == (5000, 2048, 256)
    assert (settings.max_attributes_per_span, settings.max_events_per_span) == (128, 12)


@pytest.mark.parametrize(
    ("sampler", "argument", "expected"),
    [
        ("always_on", "", (1.0, False)),
        ("always_off", "", (0.0, False)),
        ("parentbased_always_on", "", (1.0, True)),
        ("parentbased_always_off", "", (0.0, True)),
        ("parentbased_traceidratio", "0.5", (0.5, True)),
        ("parentbased_traceidratio", "", (1.0, True)),
    ],
)
def test_samplers(tmp_path: Path, sampler: str, argument: str, expected: tuple[float, bool]) -> None:
    environ = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}
    settings = traces(tmp_path, environ)
    assert (settings.sample_ratio, settings.follow_parent) == expected


def test_file_and_own_variables_win(tmp_path: Path) -> None:
    """What is set for this gateway is more exact than what is set for all programs of a machine."""
    environ = {
        "OTEL_SERVICE_NAME": "env",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_RESOURCE_ATTRIBUTES": "a=env,b=env",
        "API_GATEWAY__OBSERVABILITY__OTLP_TIMEOUT_SECS": "9",
    }
    file = "observability: {service_name: file, sample_ratio: 0.5, resource_attributes: {a: file}}"
    found = loaded(tmp_path, environ, file)
    settings = found.settings.observability
    assert (settings.service_name, settings.otlp_timeout_secs) == ("file", 9)
    assert (settings.sample_ratio, settings.follow_parent) == (0.5, True), "one sampler is not made of two"
    assert settings.resource_attributes == {"a": "file", "b": "env"}
    assert found.overrides == ("API_GATEWAY__OBSERVABILITY__OTLP_TIMEOUT_SECS", "OTEL_RESOURCE_ATTRIBUTES")


def test_headers_do_not_go_to_another_collector(tmp_path: Path) -> None:
    """They are the secrets of the endpoint they were set with."""
    environ = {ENDPOINT: "https://hosted:443", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=s3cret"}
    settings = traces(tmp_path, environ, "observability: {tempo_endpoint: 'http://tempo:4317'}")
    assert (settings.tempo_endpoint, settings.headers) == ("http://tempo:4317", {})


def test_disabled_wins_over_the_file(tmp_path: Path) -> None:
    """It is a switch for emergencies."""
    file = "observability: {tempo_endpoint: 'http://tempo:4317'}"
    assert traces(tmp_path, {"OTEL_SDK_DISABLED": "true"}, file).tempo_endpoint is None


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        pytest.param({ENDPOINT: "ftp://c"}, "expected an address", id="endpoint"),
        pytest.param({ENDPOINT: "http://c:99999"}, "", id="port"),
        pytest.param(
            {ENDPOINT: "http://c:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, '"grpc" only', id="http"
        ),
        pytest.param({ENDPOINT: "http://c:1", "OTEL_EXPORTER_OTLP_HEADERS": "s3cret"}, "key=value", id="headers"),
        pytest.param({"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, "whole number", id="timeout"),
        pytest.param({"OTEL_TRACES_SAMPLER": "xray"}, '"xray" is no sampler', id="sampler"),
        pytest.param(
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, "from 0 to 1", id="ratio"
        ),
        pytest.param({"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "whole number", id="queue"),
    ],
)
def test_mistakes_name_the_variable_and_no_secret(tmp_path: Path, environ: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        traces(tmp_path, environ)
    (problem,) = caught.value.problems
    assert said in problem.message
    assert problem.place is not None
    assert problem.place.source.startswith("environment variable OTEL_")
    assert "s3cret" not in str(caught.value)
