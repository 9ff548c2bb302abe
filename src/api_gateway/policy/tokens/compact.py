"""The compact serialization of a JWS, taken apart strictly (RFC 7515 sections 3.1, 4 and 7.1).

    token  = header "." payload "." signature
    header = base64url(UTF8(JSON object))

Everything is checked that can be checked before a key is chosen; cheap checks come first, so that junk costs next to
nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from ..refusal import Reason, Refused
from .base64url import ALPHABET, decode_checked
from .strict_json import parse_object

MAX_HEADER_BYTES: Final = 2_048
MAX_HEADER_DEPTH: Final = 8

_SEGMENT: Final = rb"(" + ALPHABET + rb"+)"
_COMPACT: Final = re.compile(_SEGMENT + rb"\." + _SEGMENT + rb"\." + _SEGMENT)
_MAX_HEADER_TEXT: Final = MAX_HEADER_BYTES * 4 // 3 + 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactToken:
    """A token in its parts. Nothing in it may be believed before its signature was checked."""

    algorithm: str
    key_id: str | None
    type: str | None
    """`typ` in lower case, without `application/`."""
    signing_input: bytes
    payload_text: bytes
    """The payload as it stood in the token, base64url."""
    payload: bytes
    signature: bytes


def parse_compact(token: bytes, *, max_bytes: int) -> CompactToken:
    """Take a token apart.

    Raises Refused: TOO_LARGE before anything else is looked at, MALFORMED, or HEADER for header members that mean
    something else than a plain signed token.
    """
    if len(token) > max_bytes:
        raise Refused(Reason.TOO_LARGE, f"{len(token)} bytes")
    match = _COMPACT.fullmatch(token)
    if match is None:
        raise Refused(Reason.MALFORMED, "not three base64url segments")
    header_text, payload_text, signature_text = match.groups()
    if len(header_text) > _MAX_HEADER_TEXT:
        raise Refused(Reason.MALFORMED, "the header is too large")
    try:
        header = parse_object(decode_checked(header_text), max_depth=MAX_HEADER_DEPTH)
        payload = decode_checked(payload_text)
        signature = decode_checked(signature_text)
    except ValueError as error:
        raise Refused(Reason.MALFORMED, "bad base64url or JSON") from error
    _check_header(header)
    return CompactToken(
        algorithm=header["alg"],
        key_id=header.get("kid"),
        type=_media_type(header.get("typ")),
        signing_input=token[: match.end(2)],
        payload_text=payload_text,
        payload=payload,
        signature=signature,
    )


def _check_header(header: dict[str, Any]) -> None:
    """Refuse what a verifier must not skip. `jwk`, `jku` and `x5*` are never looked at (RFC 8725 section 3.10)."""
    if type(header.get("alg")) is not str:
        raise Refused(Reason.HEADER, "alg is not a string")
    if "crit" in header:
        # RFC 7515 section 4.1.11: extensions listed there must be understood, and we understand none; an empty or
        # malformed list is invalid anyway.
        raise Refused(Reason.HEADER, "crit")
    if header.get("b64", True) is not True:
        raise Refused(Reason.HEADER, "b64")
    if "kid" in header and type(header["kid"]) is not str:
        raise Refused(Reason.HEADER, "kid is not a string")
    if "typ" in header and type(header["typ"]) is not str:
        raise Refused(Reason.HEADER, "typ is not a string")
    if "cty" in header and _media_type(header["cty"]) == "jwt":
        raise Refused(Reason.HEADER, "a token inside a token")


def _media_type(value: object) -> str | None:
    """Return a `typ` or `cty` for comparison: RFC 7515 section 4.1.9 lets senders leave out `application/`."""
    return normalise_type(value) if isinstance(value, str) else None


def normalise_type(text: str) -> str:
    """Return a media type in lower case, without `application/`."""
    return text.lower().removeprefix("application/")
