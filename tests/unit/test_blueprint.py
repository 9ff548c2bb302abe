"""Settings in the words of the parts."""

from __future__ import annotations

from pathlib import Path

from api_gateway.blueprint import channel_options, edge_limits, service_target
from api_gateway.config.retry_settings import RetrySettings
from api_gateway.config.settings import ServerSettings, ServiceSettings


def test_targets_of_services() -> None:
    plain = service_target(ServiceSettings(endpoint="http://users:50051"))
    assert (plain.host, plain.port, plain.tls) == ("users", 50051, None)
    ca = Path("/ca.pem")
    secure = service_target(
        ServiceSettings(
            endpoint="http://users:50051", tls_enabled=True, tls_domain="users.internal", tls_ca_cert_path=ca
        )
    )
    assert secure.tls is not None
    assert (secure.tls.domain, secure.tls.ca_path) == ("users.internal", ca)


def test_milliseconds_become_seconds() -> None:
    service = ServiceSettings(endpoint="http://users:50051", connect_timeout_ms=1_500, keepalive_interval_ms=10_000)
    options = channel_options(service, RetrySettings())
    assert (options.connect_timeout_s, options.keepalive_interval_s) == (1.5, 10.0)
    limits = edge_limits(ServerSettings(header_timeout_ms=250, body_timeout_ms=750, idle_timeout_ms=5))
    assert (limits.header_timeout_s, limits.body_timeout_s, limits.idle_timeout_s) == (0.25, 0.75, 0.005)


def test_what_is_off_is_off() -> None:
    options = channel_options(ServiceSettings(endpoint="http://users:50051", health_check=False), RetrySettings())
    assert (options.health_service, options.compressed_from_bytes) == (None, None)
    service = ServiceSettings(endpoint="http://users:50051", compression="gzip", compression_min_bytes=7)
    assert channel_options(service, RetrySettings()).compressed_from_bytes == 7
