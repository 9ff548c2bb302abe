"""What never reaches a log: credentials, by the name they travel under and by the look they have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

REDACTED: Final = "[redacted]"

_SECRET_NAMES: Final = frozenset({"authorization", "proxyauthorization", "jwt", "credentials"})
_SECRET_PARTS: Final = ("token", "secret", "password", "passwd", "cookie", "privatekey", "apikey")
_CREDENTIAL: Final = re.compile(
    r"\b(?i:(bearer|basic))\s+(?=[\w.~+/-]*[0-9A-Z=])[\w.~+/=-]+" r"|\beyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)?"
)
"""`Bearer ...` and `Basic ...` anywhere in a text (not the plain words after them), and whatever looks like a JWT."""
_MAX_DEPTH: Final = 6


def redact_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """Return a copy in which values under a secret name, and credentials within texts, are replaced by `[redacted]`.

    Numbers stay: `tokens_cached=5` is no secret. A pair such as `("cookie", "...")` counts as a name with its value.
    """
    return {name: _redact_named(name, value, 0) for name, value in fields.items()}


def _redact(value: object, depth: int) -> object:
    if isinstance(value, str):
        return redact_text(value)
    if depth > _MAX_DEPTH:
        return value if value is None or isinstance(value, int | float) else REDACTED
    if isinstance(value, Mapping):
        return {key: _redact_named(key, item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        if len(value) == 2 and isinstance(value[0], str | bytes):
            return (value[0], _redact_named(value[0], value[1], depth + 1))
        return [_redact(item, depth + 1) for item in value]
    if isinstance(value, bytes):
        return redact_text(value.decode("utf-8", "replace"))
    return value


def redact_text(text: str) -> str:
    """Return the text without the credentials that stand in it."""
    return _CREDENTIAL.sub(_keep_scheme, text)


def is_secret_name(name: object) -> bool:
    """Tell whether values of that name are secret; case, `-` and `_` do not matter."""
    text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    plain = text.lower().replace("-", "").replace("_", "")
    return plain in _SECRET_NAMES or any(part in plain for part in _SECRET_PARTS)


def _redact_named(name: object, value: object, depth: int) -> object:
    if is_secret_name(name) and not (value is None or isinstance(value, int | float)):
        return REDACTED
    return _redact(value, depth)


def _keep_scheme(match: re.Match[str]) -> str:
    return f"{match[1]} {REDACTED}" if match[1] else REDACTED
