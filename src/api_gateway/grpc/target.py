"""Where a service listens: the addresses of an endpoint, and how connections to it are secured."""

from __future__ import annotations

from dataclasses import dataclass
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
    """One endpoint."""

    host: str
    port: int
    tls: TlsTarget | None = None

    @property
    def authority(self) -> str:
        """`host:port` for the `:authority` of requests; the TLS domain when there is one."""
        host = self.tls.domain if self.tls is not None else self.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


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
