"""Where a service listens: its endpoints, and how connections to them are secured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsTarget:
    """What TLS to a service needs. Connections are shared only between identical values (reliability G60)."""

    domain: str
    """Name in the server's certificate, and SNI."""
    ca_path: Path | None = None
    """PEM file of trusted CAs; the system's when None."""
    client_cert_path: Path | None = None
    client_key_path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One endpoint, or several that are the same service."""

    host: str
    port: int
    tls: TlsTarget | None = None
    others: tuple[Target, ...] = ()
    """Further endpoints, which have no others themselves; with TLS if this one has it, by the same files."""

    @property
    def endpoints(self) -> tuple[Target, ...]:
        """All endpoints, each by itself."""
        return (replace(self, others=()), *self.others)

    @property
    def authority(self) -> str:
        """`host:port` for the `:authority` of all requests; the TLS domain when there is one."""
        return host_and_port(self.tls.domain if self.tls is not None else self.host, self.port)


def host_and_port(host: str, port: int) -> str:
    """Return `host:port` with the brackets that an IPv6 address needs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_targets(
    endpoints: Sequence[str],
    *,
    tls_enabled: bool = False,
    tls_domain: str = "",
    ca_path: Path | None = None,
    client_cert_path: Path | None = None,
    client_key_path: Path | None = None,
) -> Target:
    """Return the target of one or more endpoints as `parse_target` takes them. Raises ValueError."""
    first, *others = [
        parse_target(
            endpoint,
            tls_enabled=tls_enabled,
            tls_domain=tls_domain,
            ca_path=ca_path,
            client_cert_path=client_cert_path,
            client_key_path=client_key_path,
        )
        for endpoint in endpoints
    ]
    if any((other.tls is None) != (first.tls is None) for other in others):
        raise ValueError("either all endpoints of a service are encrypted, or none is")
    return replace(first, others=tuple(others))


def parse_target(
    endpoint: str,
    *,
    tls_enabled: bool = False,
    tls_domain: str = "",
    ca_path: Path | None = None,
    client_cert_path: Path | None = None,
    client_key_path: Path | None = None,
) -> Target:
    """Return the target of `http://host:port`, `https://host:port` or `dns:///host:port`. Raises ValueError."""
    parts = urlsplit(endpoint)
    if parts.scheme == "dns":
        parts = urlsplit(f"//{parts.path.lstrip('/')}")
    if not parts.hostname or parts.port is None:
        raise ValueError(f"endpoint {endpoint!r} has no host and port")
    tls = None
    if tls_enabled or parts.scheme == "https":
        tls = TlsTarget(
            domain=tls_domain or parts.hostname,
            ca_path=ca_path,
            client_cert_path=client_cert_path,
            client_key_path=client_key_path,
        )
    return Target(host=parts.hostname, port=parts.port, tls=tls)
