"""Every setting of the gateway: one class a section, each field with its meaning, unit and default.

The classes are the contract of the configuration file. They only describe and check values; reading files and
environment variables is `loader.py`'s job. All are frozen: a changed configuration is a new object.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ByteSize, Field, field_validator, model_validator

from api_gateway.config.auth_settings import AuthSettings as AuthSettings
from api_gateway.config.auth_settings import JwtSettings as JwtSettings
from api_gateway.config.auth_settings import PublicRoute as PublicRoute
from api_gateway.config.observability_settings import ObservabilitySettings as ObservabilitySettings
from api_gateway.config.operator_settings import AdminSettings as AdminSettings
from api_gateway.config.operator_settings import LogSettings as LogSettings
from api_gateway.config.retry_settings import RetrySettings
from api_gateway.config.section import Section
from api_gateway.config.values import (
    Endpoint,
    HeaderPattern,
    HttpMethod,
    IPNetwork,
    Origin,
    PositiveMs,
    PositiveSeconds,
)

_GRPC_METHOD = re.compile(r"[A-Za-z_][\w.]*/[A-Za-z_]\w*")


class ServerSettings(Section):
    """The listener for clients."""

    host: str = "127.0.0.1"
    """Address to listen on. The default serves this machine only; `0.0.0.0` serves every network."""
    port: int = Field(default=8080, ge=0, le=65535)
    """TCP port; 0 lets the kernel choose, the start screen prints which."""
    request_timeout_ms: PositiveMs = 30_000
    """Longest time a whole request may take, in milliseconds, whatever a service or a client asks for."""
    workers: int = Field(default=1, ge=1, le=256)
    """Worker processes. `--workers` on the command line wins."""
    header_timeout_ms: PositiveMs = 10_000
    """Time from a request's first byte to the end of its header, in milliseconds; trickling does not extend it."""
    body_timeout_ms: PositiveMs = 60_000
    """Time from the end of the header to the end of the body, in milliseconds; absolute."""
    idle_timeout_ms: PositiveMs = 75_000
    """How long a keep-alive connection may wait for its next request, in milliseconds."""
    drain_timeout_ms: PositiveMs = 30_000
    """How long in-flight requests may finish after SIGTERM or SIGINT, in milliseconds."""
    shutdown_delay_ms: int = Field(default=0, ge=0, le=300_000)
    """Time from `/health/ready` turning 503 to the listener closing, in milliseconds, for load balancers to notice."""
    max_connections: int = Field(default=10_000, ge=1)
    """Open client connections per worker; one more is closed at once."""
    max_connections_per_address: int = Field(default=1_000, ge=1)
    """Open connections per worker of one client address (IPv6: of one /64); one more is closed at once. Addresses in
    `trusted_proxies` are exempt. The default leaves room for an office behind one address, and a tenth of the worker's
    connections to any single client."""
    max_uri_bytes: int = Field(default=8_192, ge=64, le=65_535)
    """Longest request target, in bytes (414 beyond). 8 KiB is what browsers and proxies agree on."""
    max_header_bytes: int = Field(default=65_536, ge=1_024)
    """Largest header section, names and values together, in bytes (431 beyond)."""
    max_header_count: int = Field(default=100, ge=8)
    """Most header fields in one request (431 beyond)."""


class CircuitBreakerSettings(Section):
    """When calls to a failing service stop, and when they start again."""

    failure_threshold: int = Field(default=5, ge=1)
    """Consecutive failures that open it."""
    success_threshold: int = Field(default=2, ge=1)
    """Consecutive successful trials that close it again."""
    timeout_seconds: PositiveSeconds = 60
    """How long it stays open before a trial, in seconds."""


class TranscodingSettings(Section):
    """How JSON is read and written for one service."""

    unknown_query: Literal["reject", "ignore"] = "reject"
    """What an unknown query key means: 400 that names it, or nothing."""
    unknown_fields: Literal["reject", "ignore"] = "reject"
    """What an unknown key in a JSON body means: 400 that names it, or nothing."""
    emit_defaults: bool = False
    """Write fields that hold their default value."""
    preserve_proto_names: bool = False
    """Write `field_name` instead of `fieldName`."""
    enums_as_ints: bool = False
    """Write enum numbers instead of names."""


class ServiceSettings(Section):
    """One gRPC backend."""

    name: str = ""
    """Name in logs and metrics; the section's key when empty."""
    endpoint: Endpoint | list[Endpoint]
    """Where it listens: `http://host:port`, `https://host:port` (TLS) or `dns:///host:port`; or a list of these, all
    with the same scheme. Every address of every name is used."""
    timeout_ms: PositiveMs = 5_000
    """Longest time for one call, in milliseconds; travels to the backend as `grpc-timeout`."""
    stream_timeout_ms: PositiveMs = 3_600_000
    """The same for methods that stream, in milliseconds; `server.request_timeout_ms` does not shorten it."""
    stream_idle_timeout_ms: PositiveMs = 300_000
    """How long a stream of requests may stand still in both directions, in milliseconds; then it ends with 504."""
    connection_pool_size: int = Field(default=10, ge=1, le=1_000)
    """Most connections a worker opens to it; opened as needed, and at least one to each of its addresses."""
    connect_timeout_ms: PositiveMs = 20_000
    """Longest time for one connection attempt, TCP, TLS and HTTP/2 settings together (gRPC's minimum is 20 s)."""
    reconnect_grace_ms: int = Field(default=4_000, ge=0, le=60_000)
    """How long calls wait for a backend that just went away before they fail with 503, in milliseconds."""
    max_backoff_ms: int = Field(default=10_000, ge=1_000, le=600_000)
    """Longest wait between two attempts to connect, in milliseconds. gRPC's own bound is 120 s, but nobody wants to
    wait two minutes for a backend that is back; spread over the workers, an attempt every 10 s costs it nothing."""
    resolve_interval_ms: int = Field(default=30_000, ge=0, le=86_400_000)
    """Time between two looks at what its names mean and at its TLS files, in milliseconds; 0: only when a connection
    fails. Addresses written as such are never looked up."""
    keepalive_interval_ms: int = Field(default=0, ge=0, le=86_400_000)
    """Silence on a connection after which the backend is asked for a sign of life, in milliseconds; 0: never, else at
    least 10000. Many servers allow one every 300000 only, and close connections that ask more often."""
    keepalive_timeout_ms: PositiveMs = 20_000
    """How long that sign may take before the connection is given up, in milliseconds; on Linux, sent data may also stay
    unacknowledged for no longer than this (TCP_USER_TIMEOUT). Nothing without `keepalive_interval_ms`."""
    keepalive_without_calls: bool = False
    """Ask on connections without calls, too."""
    max_connection_age_ms: int = Field(default=1_800_000, ge=0, le=604_800_000)
    """Age at which a connection is replaced by a new one, +-10 %, in milliseconds; no call is lost. 0: never."""
    health_check: bool = True
    """Watch its health service (grpc.health.v1), and give no calls to an address that says it does not serve. A backend
    without one counts as serving."""
    health_service: str = ""
    """The name to ask the health service for; empty asks for the server as a whole."""
    auto_discover: bool = True
    """Ask it for its schema by server reflection."""
    max_message_bytes: ByteSize = Field(default=ByteSize(16 * 1024 * 1024), gt=0)
    """Largest message accepted from it, in bytes; refused from the length prefix, before it is buffered."""
    max_queued_calls: int = Field(default=1_000, ge=0)
    """Calls that may wait for a connection or a stream slot; one more is 503 at once."""
    tls_enabled: bool = False
    """Speak TLS, even if the endpoint says `http://`."""
    tls_domain: str = ""
    """Name checked in the server's certificate and sent as SNI; the endpoint's host when empty."""
    tls_ca_cert_path: Path | None = None
    """PEM file with the CAs to trust; the system's when absent."""
    tls_client_cert_path: Path | None = None
    """PEM file with our certificate chain, for mTLS."""
    tls_client_key_path: Path | None = None
    """PEM file with the key of that certificate."""
    compression: Literal["none", "gzip"] = "none"
    """How messages to it are compressed. Compressed answers are always understood."""
    compression_min_bytes: int = Field(default=1_024, ge=0)
    """Shortest message that is compressed, in bytes; for shorter ones it costs more than it saves."""
    circuit_breaker: CircuitBreakerSettings = CircuitBreakerSettings()
    retry: RetrySettings | None = None
    """Instead of the whole section `retry` of all services."""
    transcoding: TranscodingSettings = TranscodingSettings()

    @model_validator(mode="after")
    def _client_certificate_is_whole(self) -> ServiceSettings:
        if (self.tls_client_cert_path is None) != (self.tls_client_key_path is None):
            raise ValueError("tls_client_cert_path and tls_client_key_path must be given together")
        return self

    @field_validator("endpoint")
    @classmethod
    def _endpoints_are_one_service(cls, value: str | list[str]) -> str | list[str]:
        if isinstance(value, list):
            if not value:
                raise ValueError("the list has no address")
            if len({endpoint.partition(":")[0] for endpoint in value}) > 1:
                raise ValueError("all addresses of a service must have the same scheme")
            if len(set(value)) < len(value):
                raise ValueError("an address is listed twice")
        return value

    @field_validator("keepalive_interval_ms")
    @classmethod
    def _keepalive_is_no_flood(cls, value: int) -> int:
        if 0 < value < 10_000:
            raise ValueError("expected 0 (never) or at least 10000 (gRFC A8)")
        return value

    @property
    def endpoints(self) -> tuple[str, ...]:
        """All addresses as they were written."""
        return (self.endpoint,) if isinstance(self.endpoint, str) else tuple(self.endpoint)

    @property
    def endpoint_text(self) -> str:
        """The same for people."""
        return ", ".join(self.endpoints)

    @property
    def is_tls(self) -> bool:
        """Whether connections to it are encrypted."""
        return self.tls_enabled or self.endpoints[0].startswith("https://")


class RouteLimit(Section):
    """A limit of its own for one route."""

    path: str = Field(pattern=r"^/")
    """Path template of the route; how its variables are called and written makes no difference."""
    method: HttpMethod = "*"
    """HTTP method, or `*` for all."""
    requests_per_minute: int = Field(ge=1)
    """Requests allowed per client and minute."""


class RateLimitSettings(Section):
    """How often one client address may ask."""

    enabled: bool = False
    """Whether requests are counted at all. The section's presence does not switch it on; this key does."""
    requests_per_minute: int = Field(default=100, ge=1)
    """Requests allowed per client and minute."""
    window_seconds: int = Field(default=60, ge=1, le=86_400)
    """Length of the sliding window, in seconds; the limit is scaled to it."""
    routes: list[RouteLimit] = []
    """Routes with a limit of their own."""
    max_memory: ByteSize = Field(default=ByteSize(64 * 1024 * 1024), ge=1024 * 1024)
    """Most memory the windows may take, in bytes."""
    on_store_error: Literal["allow", "refuse"] = "allow"
    """What happens to requests while the counters cannot be reached; an alarm metric rises either way."""


class DiscoverySettings(Section):
    """How schemas are found and kept fresh."""

    enabled: bool = True
    """Ask services for their schema by reflection."""
    refresh_interval_seconds: PositiveSeconds = 300
    """Time between two rounds, in seconds; spread by 10 % so that workers and replicas do not ask at once."""
    expose_unmapped: bool = False
    """Serve methods that nothing maps as `POST /<package.Service>/<Method>`."""


def _guess_method(value: str) -> str:
    """Read what is written `/package.Service/Method` or `package.Service.Method` as what is meant."""
    service, _, method = value.strip("/").replace("/", ".").rpartition(".")
    guess = f"{service}/{method}"
    return f'; did you mean "{guess}"?' if _GRPC_METHOD.fullmatch(guess) else ""


class RouteOverride(Section):
    """A route written by hand; it replaces everything discovered for its method."""

    grpc_method: str
    """Full name, `package.Service/Method`."""
    http_path: str = Field(pattern=r"^/")
    """Path with `:name` segments or in the template grammar of `google.api.http`."""
    http_method: HttpMethod
    """HTTP method."""
    body: str | None = None
    """`*`, a field's name, or nothing; by default `*` for POST, PUT and PATCH."""
    response_body: str | None = None
    """Field of the answer that becomes the whole body."""
    service: str | None = None
    """Key of the service, when several offer the method."""
    timeout_ms: PositiveMs | None = None
    """Longest time for one call, in milliseconds, instead of the service's."""
    idempotent: bool | None = None
    """Whether a call may be tried again; by default GET may, and what the schema declares with `idempotency_level`."""

    @field_validator("grpc_method")
    @classmethod
    def _names_a_method(cls, value: str) -> str:
        if not _GRPC_METHOD.fullmatch(value):
            raise ValueError(f'expected a method like "package.Service/Method"{_guess_method(value)}')
        return value


class ErrorSettings(Section):
    """How errors are told to clients: the gateway's own and those of backends alike."""

    format: Literal["aip193", "status", "problem"] = "aip193"
    """`aip193`: `{"error": {"code": 404, "status": "NOT_FOUND", ...}}`; `status`: `google.rpc.Status` as JSON;
    `problem`: RFC 9457, as `application/problem+json`."""


class HeaderSettings(Section):
    """Which request headers backends get to see."""

    forward: list[HeaderPattern] = []
    """Names (`x-tenant`) or beginnings (`x-acme-*`, `*`) of headers that backends get besides those they always get."""


class CorsSettings(Section):
    """Which pages of other origins may call."""

    enabled: bool = False
    """Whether CORS headers are sent at all."""
    allowed_origins: list[Origin] = []
    """Origins compared exactly, or `*` for all (refused together with credentials)."""
    allowed_methods: list[str] = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    """Methods named in preflight answers."""
    allowed_headers: list[str] = ["authorization", "content-type", "x-request-id"]
    """Request headers named in preflight answers."""
    expose_headers: list[str] = []
    """Response headers that scripts may read."""
    max_age_seconds: int = Field(default=600, ge=0, le=86_400)
    """How long a browser may keep a preflight answer, in seconds."""
    allow_credentials: bool = False
    """Whether cookies and authorization may be sent."""

    @model_validator(mode="after")
    def _credentials_need_named_origins(self) -> CorsSettings:
        if "null" in self.allowed_origins:
            raise ValueError('allowed_origins "null" would allow every sandboxed page and local file')
        if self.allow_credentials and "*" in self.allowed_origins:
            raise ValueError('allowed_origins "*" cannot be combined with allow_credentials')
        return self


class BodyLimitSettings(Section):
    """Largest request bodies."""

    default_limit: ByteSize = Field(default=ByteSize(10 * 1024 * 1024), ge=0)
    """Largest body, in bytes, or as `10MiB`; beyond it 413, and the rest is not read."""
    upload_limit: ByteSize = Field(default=ByteSize(100 * 1024 * 1024), ge=0)
    """The same for the paths in `upload_paths`."""
    upload_paths: list[str] = []
    """Path prefixes that take large bodies."""


class StateSettings(Section):
    """Where several machines keep what they share. The workers of one machine need nothing here."""

    redis_url: Annotated[str, Field(pattern=r"^(rediss?|unix)://.")] | None = Field(default=None, repr=False)
    """Redis or Valkey, for example `redis://host:6379/0`; makes limits exact across machines. May hold a password."""
    timeout_ms: PositiveMs = 50
    """Longest wait for one answer of it, in milliseconds; then `rate_limit.on_store_error` decides."""


class Settings(Section):
    """The whole configuration file."""

    server: ServerSettings = ServerSettings()
    services: dict[str, ServiceSettings] = Field(min_length=1)
    """Backends by key."""
    retry: RetrySettings = RetrySettings()
    auth: AuthSettings | None = None
    rate_limit: RateLimitSettings = RateLimitSettings()
    observability: ObservabilitySettings = ObservabilitySettings()
    discovery: DiscoverySettings = DiscoverySettings()
    route_overrides: list[RouteOverride] = []
    errors: ErrorSettings = ErrorSettings()
    headers: HeaderSettings = HeaderSettings()
    cors: CorsSettings = CorsSettings()
    body_limit: BodyLimitSettings = BodyLimitSettings()
    trusted_proxies: list[IPNetwork] = []
    """Networks whose `X-Forwarded-For` is believed; nobody's by default."""
    state: StateSettings = StateSettings()
    log: LogSettings = LogSettings()
    admin: AdminSettings = AdminSettings()

    def retry_of(self, key: str) -> RetrySettings:
        """How calls to a service are tried again."""
        return self.services[key].retry or self.retry

    def service_name(self, key: str) -> str:
        """Name of a service in logs and metrics."""
        return self.services[key].name or key
