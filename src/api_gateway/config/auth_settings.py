"""The settings of authentication: who may pass, and how tokens are validated."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from api_gateway.config.section import Section
from api_gateway.config.values import Endpoint, HttpMethod, JwksUrl, JwtAlgorithm, PositiveMs, PositiveSeconds


class PublicRoute(Section):
    """A route that needs no token."""

    path: str = Field(pattern=r"^/")
    """Path or path template, as the route table prints it."""
    method: HttpMethod = "*"
    """HTTP method, or `*` for all."""


class JwtSettings(Section):
    """Validation of tokens in the gateway itself, without the auth service."""

    algorithms: list[JwtAlgorithm] = Field(default=["RS256", "ES256"], min_length=1)
    """Algorithms accepted; the token never chooses. With `secret` the default is `HS256`."""
    secret: str | None = Field(default=None, repr=False)
    """Shared secret for HS256, HS384 or HS512."""
    public_key: str | None = None
    """PEM text of the public key."""
    jwks_url: JwksUrl | None = None
    """Where the key set is published; `https` with a host name, or anything on a loopback address."""
    jwks_ca_cert_path: Path | None = None
    """PEM file with the CAs to trust for `jwks_url`; the system's when absent."""
    jwks_refresh_seconds: float = Field(default=300, ge=30, le=86_400)
    """Time between two fetches of the key set, in seconds; a key that was taken out is refused after at most this."""
    jwks_stale_seconds: float = Field(default=86_400, ge=0, le=604_800)
    """How long the last good key set serves while it cannot be fetched, in seconds; then requests get 503."""
    issuer: str | None = None
    """Required `iss`, compared exactly."""
    audience: str | list[str] | None = None
    """Required `aud`; any one of these."""
    leeway_seconds: float = Field(default=30, ge=0, le=60)
    """Clock skew allowed for `exp`, `nbf` and `iat`, in seconds."""
    max_lifetime_seconds: PositiveSeconds | None = None
    """Longest time between `iat` and `exp`, in seconds; `iat` is then required."""
    typ: str | None = None
    """Required `typ` of the header, for example `at+jwt` (RFC 9068), which keeps ID tokens out."""
    user_claim: str = "sub"
    """Claim that becomes `x-user-id`."""
    roles_claim: str = "roles"
    """Claim with the roles; a dotted path reaches into nested claims (`realm_access.roles`)."""

    @model_validator(mode="before")
    @classmethod
    def _secret_means_hs256(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("secret") is not None and "algorithms" not in data:
            return {**data, "algorithms": ["HS256"]}
        return data

    @model_validator(mode="after")
    def _has_one_key_source(self) -> JwtSettings:
        if sum(source is not None for source in (self.secret, self.public_key, self.jwks_url)) != 1:
            raise ValueError("give exactly one of secret, public_key, jwks_url")
        return self

    @model_validator(mode="after")
    def _algorithms_fit_the_key(self) -> JwtSettings:
        # RFC 8725 section 3.1: never both kinds, or a public key could be taken for a shared secret.
        for name in self.algorithms:
            if name.startswith("HS") != (self.secret is not None):
                source = "secret" if self.secret is not None else "public_key or jwks_url"
                raise ValueError(f"algorithm {name} cannot be used with {source}")
        if self.secret is not None:
            need = max(int(name[2:]) for name in self.algorithms) // 8
            if len(self.secret.encode()) < need:
                raise ValueError(f"the secret must have at least {need} bytes (RFC 7518 section 3.2)")
        return self


class AuthSettings(Section):
    """Who may pass. Without this section nobody is asked for a token, and the start screen says so."""

    service_endpoint: Endpoint | None = None
    """The auth service that validates tokens (`auth.AuthService/ValidateToken`)."""
    timeout_ms: PositiveMs = 3_000
    """Longest time for one question to it, in milliseconds."""
    cache_ttl_seconds: float = Field(default=30, ge=0, le=3_600)
    """How long a positive answer of the auth service is kept, in seconds; never beyond the token's own `exp`."""
    max_cached_tokens: int = Field(default=10_000, ge=0, le=1_000_000)
    """Good tokens remembered per worker; about 1 KiB each. 0: every request is checked anew."""
    max_token_bytes: int = Field(default=8_192, ge=256, le=65_536)
    """Longest token, in bytes; refused by its length before anything else."""
    default_policy: Literal["require_auth", "public"] = "require_auth"
    """What holds for the methods of a backend that does not implement `gateway.ServiceAuthPolicy`."""
    public_routes: list[PublicRoute] = []
    """Routes open to everybody, whatever the backend's policy says."""
    jwt: JwtSettings | None = None

    @model_validator(mode="after")
    def _has_a_validator(self) -> AuthSettings:
        if self.service_endpoint is None and self.jwt is None:
            raise ValueError("give service_endpoint or jwt, so that tokens can be validated")
        return self
