"""Who a caller is, and how a backend is told: `x-user-id`, `x-user-roles` and `x-auth-claims` (semantics 28)."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

USER_ID: Final = b"x-user-id"
USER_ROLES: Final = b"x-user-roles"
AUTH_CLAIMS: Final = b"x-auth-claims"


def _spellings(name: bytes) -> Iterable[bytes]:
    words = name.split(b"-")
    for separators in itertools.product((b"-", b"_"), repeat=len(words) - 1):
        yield words[0] + b"".join(separator + word for separator, word in zip(separators, words[1:], strict=True))


IDENTITY_HEADERS: Final = frozenset(itertools.chain.from_iterable(map(_spellings, (USER_ID, USER_ROLES, AUTH_CLAIMS))))
"""Lower-case names that a client can never set, in every spelling with `-` and `_`. Whoever forwards client headers
drops them, also when they come as `grpc-metadata-<name>`."""

MAX_USER_ID_BYTES: Final = 1_024
MAX_ROLES_BYTES: Final = 8_192
"""Longest `x-user-roles`: what most gRPC servers take as a whole header list by default."""

_USER_ID: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
"""Printable ASCII without spaces at the ends, which a header would lose."""
_ROLE: Final = re.compile(r"[\x21-\x2b\x2d-\x7e](?:[\x20-\x2b\x2d-\x7e]*[\x21-\x2b\x2d-\x7e])?")
"""The same without the comma, which separates roles."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An authenticated caller, with the metadata that tells a backend about it."""

    user_id: str
    """Empty when the token names no user."""
    roles: tuple[str, ...]
    role_set: frozenset[str]
    metadata: tuple[tuple[bytes, bytes], ...]


def make_identity(user_id: str, roles: tuple[str, ...], claims: bytes) -> Identity:
    """Check the values and put them into metadata. `claims` is base64url text of a JSON object.

    Raises ValueError when a value cannot travel in a header unchanged: control characters, non-ASCII, a comma in a
    role, too long.
    """
    metadata = []
    if user_id:
        if len(user_id) > MAX_USER_ID_BYTES or _USER_ID.fullmatch(user_id) is None:
            raise ValueError("the user id is too long or has characters that a header cannot carry")
        metadata.append((USER_ID, user_id.encode("ascii")))
    if roles:
        if not all(map(_ROLE.fullmatch, roles)):
            raise ValueError("a role has characters that a header cannot carry")
        joined = ",".join(roles).encode("ascii")
        if len(joined) > MAX_ROLES_BYTES:
            raise ValueError(f"the roles are longer than {MAX_ROLES_BYTES} bytes")
        metadata.append((USER_ROLES, joined))
    metadata.append((AUTH_CLAIMS, claims))
    return Identity(user_id, roles, frozenset(roles), tuple(metadata))


def encode_claims(user_id: str, roles: tuple[str, ...]) -> bytes:
    """Return `x-auth-claims` for a caller of whom no more is known than the auth service told."""
    text = json.dumps({"sub": user_id, "roles": roles}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode("ascii")).rstrip(b"=")
