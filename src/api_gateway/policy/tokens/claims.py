"""What the claims of a token must say (RFC 7519 section 4.1), and who they say the caller is.

PyJWT checks claims too, but takes `"123"` and `true` for times, and refuses every `aud` when none is configured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ...config.settings import JwtSettings
from ..identity import Identity, make_identity
from ..refusal import Reason, Refused

MAX_DEPTH: Final = 32
_MAX_TIME_S: Final = 253_402_300_799
"""The end of the year 9999: no later time is meant seriously."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """The rules of one issuer."""

    leeway_s: float
    max_lifetime_s: float | None
    issuer: str | None
    audiences: frozenset[str] | None
    user_claim: str
    roles_path: tuple[str, ...]

    @staticmethod
    def of(settings: JwtSettings) -> ClaimRules:
        """Make the rules that a configuration asks for."""
        audience = settings.audience
        return ClaimRules(
            leeway_s=settings.leeway_seconds,
            max_lifetime_s=settings.max_lifetime_seconds,
            issuer=settings.issuer,
            audiences=None if audience is None else frozenset([audience] if isinstance(audience, str) else audience),
            user_claim=settings.user_claim,
            roles_path=tuple(settings.roles_claim.split(".")),
        )

    def check(self, claims: dict[str, Any], now_s: float) -> float:
        """Return the wall-clock time from which the token is no longer accepted: `exp` plus the leeway.

        `now_s` is wall-clock time. Raises Refused.
        """
        expires_s = self._check_times(claims, now_s)
        self._check_issuer(claims)
        self._check_audience(claims)
        for name in ("sub", "jti"):
            if name in claims and type(claims[name]) is not str:
                raise Refused(Reason.CLAIMS, f"{name} is not a string")
        return expires_s

    def identify(self, claims: dict[str, Any], payload_text: bytes) -> Identity:
        """Return who the claims name. Raises Refused when the names cannot travel to a backend."""
        try:
            return make_identity(self._user_id(claims), self._roles(claims), payload_text)
        except ValueError as error:
            raise Refused(Reason.IDENTITY, str(error)) from error

    def _check_times(self, claims: dict[str, Any], now_s: float) -> float:
        if "exp" not in claims:
            raise Refused(Reason.CLAIMS, "exp is missing")
        expires_s = _time(claims, "exp")
        if expires_s <= now_s - self.leeway_s:
            raise Refused(Reason.EXPIRED)
        for name in ("nbf", "iat"):
            if name in claims and _time(claims, name) > now_s + self.leeway_s:
                raise Refused(Reason.NOT_YET_VALID, name)
        if self.max_lifetime_s is not None:
            if "iat" not in claims:
                raise Refused(Reason.LIFETIME, "iat is missing")
            if expires_s - claims["iat"] > self.max_lifetime_s:
                raise Refused(Reason.LIFETIME)
        return expires_s + self.leeway_s

    def _check_issuer(self, claims: dict[str, Any]) -> None:
        issuer = claims.get("iss")
        if "iss" in claims and type(issuer) is not str:
            raise Refused(Reason.ISSUER, "iss is not a string")
        if self.issuer is not None and issuer != self.issuer:
            raise Refused(Reason.ISSUER)

    def _check_audience(self, claims: dict[str, Any]) -> None:
        if "aud" not in claims:
            if self.audiences is not None:
                raise Refused(Reason.AUDIENCE, "aud is missing")
            return
        audience = claims["aud"]
        named = [audience] if type(audience) is str else audience
        if type(named) is not list or not all(type(item) is str for item in named):
            raise Refused(Reason.AUDIENCE, "aud is neither a string nor an array of strings")
        if self.audiences is not None and self.audiences.isdisjoint(named):
            raise Refused(Reason.AUDIENCE)

    def _user_id(self, claims: dict[str, Any]) -> str:
        value = claims.get(self.user_claim)
        if value is None:
            return ""
        if type(value) is int:
            return str(value)
        if type(value) is not str:
            raise ValueError(f"the claim {self.user_claim} is not a string")
        return value

    def _roles(self, claims: dict[str, Any]) -> tuple[str, ...]:
        value: Any = claims
        for name in self.roles_path:
            value = value.get(name) if type(value) is dict else None
        if value is None:
            return ()
        if type(value) is str:
            return tuple(value.split(" ")) if value else ()
        if type(value) is not list or not all(type(role) is str for role in value):
            raise ValueError("the roles are neither an array of strings nor a string")
        return tuple(value)


def _time(claims: dict[str, Any], name: str) -> float:
    """Return a NumericDate. `bool` is an `int` to Python, but no number to JSON."""
    value = claims[name]
    if type(value) not in (int, float) or not -_MAX_TIME_S <= value <= _MAX_TIME_S:
        raise Refused(Reason.CLAIMS, f"{name} is not a time")
    return float(value)
