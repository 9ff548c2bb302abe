"""The section `observability`: traces, where they go and how many there are."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from api_gateway.config.section import Section
from api_gateway.config.values import Endpoint, PositiveMs, PositiveSeconds, check_export_header


class ObservabilitySettings(Section):
    """Traces, and the name the gateway has in them."""

    tempo_endpoint: Endpoint | None = None
    """OTLP/gRPC collector, for example `http://tempo:4317`, or `https://...` for one that speaks TLS; no traces are
    exported without it."""
    service_name: str = "api-gateway"
    """`service.name` of every span."""
    sample_ratio: float = Field(default=1.0, ge=0, le=1)
    """Share of the traces that begin here which are recorded: 0.01 is one of a hundred, 0 none."""
    follow_parent: bool = True
    """Whether the decision in a caller's `traceparent` stands, to record or not to; `false` applies `sample_ratio` to
    every trace, for gateways whose clients must not decide what is recorded."""
    headers: dict[str, str] = Field(default={}, repr=False)
    """Metadata sent with every export, for example `authorization` or `x-api-key` of a hosted collector. Secret."""
    tls_ca_cert_path: Path | None = None
    """PEM file with the CAs that the collector's certificate may come from; the system's CAs by default."""
    tls_client_cert_path: Path | None = None
    """PEM file with the gateway's certificate, if the collector asks for one."""
    tls_client_key_path: Path | None = None
    """PEM file with that certificate's key."""
    resource_attributes: dict[str, str] = {}
    """Further attributes of the gateway itself, for example `deployment.environment.name: production`."""
    otlp_timeout_secs: PositiveSeconds = 3
    """Longest time for one export with all its attempts, in seconds; its spans are dropped then."""
    max_events_per_span: int = Field(default=64, ge=0, le=1_024)
    """Events kept in one span."""
    max_attributes_per_span: int = Field(default=16, ge=1, le=1_024)
    """Attributes kept in one span."""
    max_queued_spans: int = Field(default=8_192, ge=1, le=1_000_000)
    """Ended spans that may wait for the collector, in each worker; further ones are dropped. About 0.5 kB each."""
    max_spans_per_export: int = Field(default=512, ge=1, le=8_192)
    """Spans in one export at most. 512 are about 200 kB; collectors refuse messages of more than 4 MB."""
    export_interval_ms: PositiveMs = 1_000
    """Longest time that an ended span waits for its export to fill, in milliseconds."""

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, value: dict[str, str]) -> dict[str, str]:
        return {check_export_header(name, text): text for name, text in value.items()}

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> ObservabilitySettings:
        if (self.tls_client_cert_path is None) != (self.tls_client_key_path is None):
            raise ValueError("tls_client_cert_path and tls_client_key_path belong together")
        return self
