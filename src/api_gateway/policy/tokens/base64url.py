"""base64url as JOSE means it (RFC 7515 section 2): no padding, no other byte, unused bits zero.

Python's own decoder skips unknown bytes and ignores unused bits, so that many texts decode to the same bytes.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

ALPHABET: Final = rb"[A-Za-z0-9_-]"
_TEXT: Final = re.compile(ALPHABET + rb"+")
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_LAST_OF_TWO: Final = frozenset(b"AQgw")
"""Last characters of a final group of two whose lower four bits are zero."""
_LAST_OF_THREE: Final = frozenset(b"AEIMQUYcgkosw048")
"""Last characters of a final group of three whose lower two bits are zero."""


def decode_base64url(text: bytes) -> bytes:
    """Return the bytes. Raises ValueError for text that no encoder writes, the empty one included."""
    if _TEXT.fullmatch(text) is None:
        raise ValueError("expected base64url without padding")
    return decode_checked(text)


def decode_checked(text: bytes) -> bytes:
    """Return the bytes of text that is known to be of the alphabet. Raises ValueError as `decode_base64url`."""
    tail = len(text) % 4
    if tail == 0:
        padded = text
    elif tail == 2 and text[-1] in _LAST_OF_TWO:
        padded = text + b"=="
    elif tail == 3 and text[-1] in _LAST_OF_THREE:
        padded = text + b"="
    else:
        raise ValueError("base64url text is cut, or its unused bits are not zero")
    return binascii.a2b_base64(padded.translate(_TO_STANDARD))
