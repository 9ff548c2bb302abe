"""Why a request is not let in, and what its sender is told: the class, never the reason in detail (semantics 35)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from ..model.errors import GatewayError, Source
from ..model.status import Code


class Reason(StrEnum):
    """Every reason there is: the values of the label `reason` of `gateway_auth_failures_total`."""

    # 400
    REPEATED_AUTHORIZATION = "repeated_authorization"
    # 401
    MISSING_TOKEN = "missing_token"  # noqa: S105  # a label, no secret
    BAD_SCHEME = "bad_scheme"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    HEADER = "header"
    ALGORITHM = "algorithm"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    CLAIMS = "claims"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    LIFETIME = "lifetime"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    IDENTITY = "identity"
    REJECTED = "rejected"
    # 403
    MISSING_ROLE = "missing_role"
    # 503 and 504
    POLICY_UNAVAILABLE = "policy_unavailable"
    VALIDATOR_UNAVAILABLE = "validator_unavailable"
    KEYS_UNAVAILABLE = "keys_unavailable"
    OVERLOADED = "overloaded"
    DEADLINE = "deadline"


class Refused(Exception):  # noqa: N818  # the gateway works: it is an answer, not an error
    """A token or a question that does not let its request in. `str()` is for the log; it holds no secret."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail or reason.value)
        self.reason = reason


_CHALLENGE_INVALID: Final = ((b"www-authenticate", b'Bearer error="invalid_token"'),)
"""RFC 6750 section 3.1. A missing token gets it too: semantics 22 wants `error` in every challenge."""
_CHALLENGE_SCOPE: Final = ((b"www-authenticate", b'Bearer error="insufficient_scope"'),)
_CHALLENGE_REQUEST: Final = ((b"www-authenticate", b'Bearer error="invalid_request"'),)
_RETRY: Final = ((b"retry-after", b"1"),)
_UNAVAILABLE: Final = frozenset(
    {Reason.POLICY_UNAVAILABLE, Reason.VALIDATOR_UNAVAILABLE, Reason.KEYS_UNAVAILABLE, Reason.OVERLOADED}
)


def refusal_error(refused: Refused) -> GatewayError:
    """Make the error for the client; `log_reason` carries the reason and its detail for the log."""
    reason = refused.reason
    log_reason = f"{reason.value}: {refused}" if str(refused) != reason.value else reason.value
    if reason in _UNAVAILABLE:
        return GatewayError(
            Code.UNAVAILABLE,
            "authorization cannot be decided right now",
            reason="AUTH_UNAVAILABLE",
            headers=_RETRY,
            retryable=True,
            log_reason=log_reason,
        )
    if reason is Reason.DEADLINE:
        return GatewayError(
            Code.DEADLINE_EXCEEDED,
            "the deadline passed before authorization was decided",
            reason="DEADLINE_EXCEEDED",
            log_reason=log_reason,
        )
    code, message, client_reason, headers = _CLIENT_ERRORS.get(reason, _INVALID)
    return GatewayError(
        code, message, reason=client_reason, source=Source.CLIENT, headers=headers, log_reason=log_reason
    )


_Told = tuple[Code, str, str, tuple[tuple[bytes, bytes], ...]]
_INVALID: Final[_Told] = (
    Code.UNAUTHENTICATED,
    "the access token is not valid",
    "TOKEN_INVALID",
    _CHALLENGE_INVALID,
)
_CLIENT_ERRORS: Final[dict[Reason, _Told]] = {
    Reason.MISSING_TOKEN: (
        Code.UNAUTHENTICATED,
        "an access token is required: send Authorization: Bearer <token>",
        "TOKEN_MISSING",
        _CHALLENGE_INVALID,
    ),
    Reason.MISSING_ROLE: (
        Code.PERMISSION_DENIED,
        "the caller may not use this method",
        "ROLE_MISSING",
        _CHALLENGE_SCOPE,
    ),
    Reason.REPEATED_AUTHORIZATION: (
        Code.INVALID_ARGUMENT,
        "expected one Authorization header, got several",
        "AUTHORIZATION_REPEATED",
        _CHALLENGE_REQUEST,
    ),
}
