"""What the settings mean to the parts: sections of the configuration in, options of parts out."""

from __future__ import annotations

from typing import Final

from . import __version__
from .config.retry_settings import RetrySettings
from .config.settings import ServerSettings, ServiceSettings
from .edge.application import EdgeLimits
from .grpc.connectivity import ChannelOptions
from .grpc.retries import RetryPolicy
from .grpc.target import Target, parse_targets

USER_AGENT: Final = f"api-gateway/{__version__}"
AUTH_CHANNEL_OPTIONS: Final = ChannelOptions(max_backoff_s=10.0, resolve_interval_s=30.0, user_agent=USER_AGENT)
"""The channel to the auth service has no section of its own. As the defaults of `services`: who asks for tokens waits
for its return no longer than for that of other backends."""
ADMIN_LIMITS: Final = EdgeLimits(max_connections=256)
"""Bounds of the operators' own listener: scrapers and probes are few."""


def channel_options(service: ServiceSettings, retry: RetrySettings) -> ChannelOptions:
    """Return the options of a service's channel."""
    return ChannelOptions(
        pool_size=service.connection_pool_size,
        connect_timeout_s=service.connect_timeout_ms / 1000,
        max_message_bytes=int(service.max_message_bytes),
        max_queued_calls=service.max_queued_calls,
        reconnect_grace_s=service.reconnect_grace_ms / 1000,
        max_backoff_s=service.max_backoff_ms / 1000,
        resolve_interval_s=service.resolve_interval_ms / 1000,
        keepalive_interval_s=service.keepalive_interval_ms / 1000,
        keepalive_timeout_s=service.keepalive_timeout_ms / 1000,
        keepalive_without_calls=service.keepalive_without_calls,
        max_connection_age_s=service.max_connection_age_ms / 1000,
        health_service=service.health_service if service.health_check else None,
        user_agent=USER_AGENT,
        retry=retry_policy(retry),
        compressed_from_bytes=service.compression_min_bytes if service.compression == "gzip" else None,
    )


def service_target(service: ServiceSettings) -> Target:
    """Return where a service listens and how it is secured."""
    return parse_targets(
        service.endpoints,
        tls_enabled=service.tls_enabled,
        tls_domain=service.tls_domain,
        ca_path=service.tls_ca_cert_path,
        client_cert_path=service.tls_client_cert_path,
        client_key_path=service.tls_client_key_path,
    )


def retry_policy(settings: RetrySettings) -> RetryPolicy:
    """Return a retry section in the words of channels."""
    return RetryPolicy(
        max_attempts=settings.max_attempts,
        initial_backoff_s=settings.initial_backoff_ms / 1000,
        max_backoff_s=settings.max_backoff_ms / 1000,
        multiplier=settings.multiplier,
        max_tokens=settings.budget.max_tokens,
        token_ratio=settings.budget.token_ratio,
    )


def edge_limits(server: ServerSettings) -> EdgeLimits:
    """Return the bounds of client connections."""
    return EdgeLimits(
        header_timeout_s=server.header_timeout_ms / 1000,
        body_timeout_s=server.body_timeout_ms / 1000,
        idle_timeout_s=server.idle_timeout_ms / 1000,
        max_uri_bytes=server.max_uri_bytes,
        max_header_bytes=server.max_header_bytes,
        max_header_count=server.max_header_count,
        max_connections=server.max_connections,
    )
