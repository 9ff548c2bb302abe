"""Deadlines: points on the monotonic clock, and their text on the wire.

grpc doc/PROTOCOL-HTTP2.md:
    Timeout      -> "grpc-timeout" TimeoutValue TimeoutUnit
    TimeoutValue -> {positive integer as ASCII string of at most 8 digits}
    TimeoutUnit  -> Hour "H" / Minute "M" / Second "S" / Millisecond "m" / Microsecond "u" / Nanosecond "n"
"""

from __future__ import annotations

import re
from typing import Final

_UNIT_S: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TIMEOUT: Final = re.compile(r"([0-9]{1,8})([HMSmun])")
_SECONDS: Final = re.compile(r"[0-9]{1,8}(?:\.[0-9]{1,9})?")
_MAX_VALUE: Final = 99_999_999


def parse_grpc_timeout(text: str) -> float:
    """Return the seconds that a `grpc-timeout` value names. `0S` is 0: already expired.

    Raises ValueError for anything outside the grammar.
    """
    match = _TIMEOUT.fullmatch(text)
    if match is None:
        raise ValueError("expected 1 to 8 digits and one of the units H M S m u n")
    return int(match[1]) * _UNIT_S[match[2]]


def parse_seconds(text: str) -> float:
    """Return the seconds of an `X-Request-Timeout` value: decimal digits, optionally with a fraction.

    Raises ValueError for anything else.
    """
    if _SECONDS.fullmatch(text) is None:
        raise ValueError("expected seconds as a decimal number, for example 2.5")
    return float(text)


def format_grpc_timeout(seconds: float) -> bytes:
    """Return the `grpc-timeout` value for the time left: never 0, never longer than `seconds` by more than one unit.

    Milliseconds while they fit into eight digits, then the next larger unit, rounded down so that a backend gives up no
    later than we do.
    """
    milliseconds = int(seconds * 1000)
    if 1 <= milliseconds <= _MAX_VALUE:
        return b"%dm" % milliseconds
    if milliseconds < 1:
        return b"%du" % max(1, int(seconds * 1e6))
    if seconds <= _MAX_VALUE:
        return b"%dS" % int(seconds)
    return b"%dH" % min(_MAX_VALUE, int(seconds // 3600))
