"""The limits of client connections."""

from __future__ import annotations

from api_gateway.config.settings import ServerSettings
from api_gateway.edge.application import Application, EdgeLimits
from api_gateway.proxy import Proxy
from tests.support.http_application import SmallApplication


def test_limits_are_those_of_the_settings() -> None:
    """P5 and P6, in one place each: what nobody configures is the same everywhere."""
    limits, settings = EdgeLimits(), ServerSettings()
    assert limits.header_timeout_s == settings.header_timeout_ms / 1000 == 10
    assert limits.body_timeout_s == settings.body_timeout_ms / 1000 == 60
    assert limits.idle_timeout_s == settings.idle_timeout_ms / 1000 == 75
    assert limits.max_uri_bytes == settings.max_uri_bytes == 8 * 1024
    assert limits.max_header_bytes == settings.max_header_bytes == 64 * 1024
    assert limits.max_header_count == settings.max_header_count == 100
    assert limits.max_connections == settings.max_connections == 10_000


def test_applications_have_the_shape_that_the_edge_calls() -> None:
    """Checked by the type checker: what tests serve is what the gateway serves."""
    shapes: list[type[Application]] = [Proxy, SmallApplication]
    assert all(hasattr(shape, "handle") and hasattr(shape, "refuse") for shape in shapes)
