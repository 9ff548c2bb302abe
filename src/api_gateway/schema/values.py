"""What a schema is made of: frozen values, without the way to read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from protobuf import DescMessage, Registry

HIDDEN_SERVICES: Final = frozenset(
    {
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "grpc.health.v1.Health",
        "gateway.ServiceAuthPolicy",
    }
)
"""Services that are never offered to HTTP clients (semantics 7)."""


class SchemaError(Exception):
    """A set of descriptors that cannot be used; the text says which file and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRule:
    """One HTTP binding of a method, as its author wrote it."""

    verb: str
    template: str
    body: str = ""
    """`*`, a field name, or empty: no body."""
    response_body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One RPC."""

    service: str
    """Full name of its service, `package.Service`."""
    name: str
    input: DescMessage
    output: DescMessage
    is_client_streaming: bool
    is_server_streaming: bool
    is_idempotent: bool
    """Whether the author declared it to be: `NO_SIDE_EFFECTS` or `IDEMPOTENT`."""
    rules: tuple[HttpRule, ...]
    """HTTP bindings from `google.api.http`, the main one first; empty when there is no annotation."""

    @property
    def full_name(self) -> str:
        """`package.Service/Method`."""
        return f"{self.service}/{self.name}"

    @property
    def is_unary(self) -> bool:
        """Whether one message goes each way."""
        return not (self.is_client_streaming or self.is_server_streaming)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One gRPC service with its methods in the order of the file."""

    name: str
    """Full name, `package.Service`."""
    methods: tuple[Method, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Everything a backend told about itself. Two schemas with one fingerprint mean the same."""

    services: Mapping[str, Service]
    registry: Registry
    """Types for `Any` and extensions."""
    fingerprint: str
    undescribed: tuple[str, ...] = ()
    """Services that the backend lists and has no descriptor for: they have no routes."""
    source: str = ""
    """Digest of what the backend sent: the same again means the same schema, without building it."""

    def methods(self) -> Iterable[Method]:
        """Iterate over all methods, service by service."""
        for service in self.services.values():
            yield from service.methods
