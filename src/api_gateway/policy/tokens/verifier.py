"""From the bytes of a token to a verified caller: parse, choose the key, check the signature, then the claims."""

from __future__ import annotations

from dataclasses import dataclass

from ...config.settings import JwtSettings
from ..identity import Identity
from ..refusal import Reason, Refused
from .claims import MAX_DEPTH, ClaimRules
from .compact import CompactToken, normalise_type, parse_compact
from .key_set import KeySet, SingleKey
from .keys import VerificationKey, pem_key, secret_key
from .strict_json import parse_object


@dataclass(frozen=True, slots=True)
class Verified:
    """A token that was found good."""

    identity: Identity
    expires_wall_s: float
    """Wall-clock time from which it is no longer accepted."""
    key: bytes = b""
    """Fingerprint of the key that signed it; empty when somebody else checked it."""


class JwtVerifier:
    """Checks tokens of one issuer."""

    def __init__(self, settings: JwtSettings, *, max_token_bytes: int) -> None:
        self._algorithms = frozenset(settings.algorithms)
        self._max_bytes = max_token_bytes
        self._rules = ClaimRules.of(settings)
        self._type = None if settings.typ is None else normalise_type(settings.typ)

    def verify(self, token: bytes, keys: KeySet, now_s: float) -> Verified:
        """Return the verified caller. `now_s` is wall-clock time.

        Raises Refused for everything else, UnknownKeyId when another key set might help.
        """
        parsed = parse_compact(token, max_bytes=self._max_bytes)
        if parsed.algorithm not in self._algorithms:
            raise Refused(Reason.ALGORITHM, "not an accepted algorithm")
        if self._type is not None and parsed.type != self._type:
            raise Refused(Reason.HEADER, "typ")
        key = check_signature(parsed, keys)
        try:
            claims = parse_object(parsed.payload, max_depth=MAX_DEPTH)
        except ValueError as error:
            raise Refused(Reason.MALFORMED, "the claims are not a strict JSON object") from error
        expires_s = self._rules.check(claims, now_s)
        return Verified(self._rules.identify(claims, parsed.payload_text), expires_s, key.fingerprint)


def check_signature(token: CompactToken, keys: KeySet) -> VerificationKey:
    """Return the key that signed the token. Raises Refused when none did."""
    for key in keys.candidates(token):
        if key.verify(token.algorithm, token.signing_input, token.signature):
            return key
    raise Refused(Reason.SIGNATURE)


def configured_keys(settings: JwtSettings) -> KeySet | None:
    """Return the key that stands in the configuration, None when it names a JWKS instead.

    Raises ValueError when the key is broken, weak or does not fit the algorithms.
    """
    algorithms = frozenset(settings.algorithms)
    if settings.secret is not None:
        return SingleKey((secret_key(settings.secret, algorithms),))
    if settings.public_key is not None:
        return SingleKey((pem_key(settings.public_key, algorithms),))
    return None
