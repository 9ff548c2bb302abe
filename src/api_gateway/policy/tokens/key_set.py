"""Sets of verification keys: which key may check which token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ..refusal import Reason, Refused
from .compact import CompactToken
from .keys import PrivateKeyPublishedError, UnusableKeyError, VerificationKey, jwk_key
from .strict_json import parse_object

MAX_KEYS: Final = 100
MAX_TRIES: Final = 8
"""Most keys tried for a token without `kid`; each try costs up to 0.1 ms."""
_MAX_DEPTH: Final = 16


class KeySetError(ValueError):
    """A key set that is refused as a whole; the text says why."""


class UnknownKeyId(Refused):
    """A token names a key that is not in the set: a newer set may have it."""

    def __init__(self) -> None:
        super().__init__(Reason.UNKNOWN_KEY)


@dataclass(frozen=True, slots=True)
class KeySet:
    """An immutable set of keys."""

    keys: tuple[VerificationKey, ...]
    problems: tuple[str, ...] = ()
    """Keys that were left out, and why: lines for the log."""

    def candidates(self, token: CompactToken) -> tuple[VerificationKey, ...]:
        """Return the keys that may check a token; at most `MAX_TRIES`, never none.

        Raises Refused, UnknownKeyId when the token names a key that is not here.
        """
        if token.key_id is not None:
            return (self._named(token.key_id, token.algorithm),)
        found = tuple(key for key in self.keys if token.algorithm in key.algorithms)
        if not found:
            raise Refused(Reason.ALGORITHM, "no key for the token's algorithm")
        if len(found) > MAX_TRIES:
            raise Refused(Reason.UNKNOWN_KEY, "no kid, and too many keys to try")
        return found

    def fingerprints(self) -> frozenset[bytes]:
        """Return what identifies each key, whatever set it is in."""
        return frozenset(key.fingerprint for key in self.keys)

    def _named(self, key_id: str, algorithm: str) -> VerificationKey:
        for key in self.keys:
            if key.key_id == key_id:
                if algorithm not in key.algorithms:
                    raise Refused(Reason.ALGORITHM, "the key is for another algorithm")
                return key
        raise UnknownKeyId


@dataclass(frozen=True, slots=True)
class SingleKey(KeySet):
    """The one key of a configuration without key names: `kid` means nothing to it."""

    def _named(self, key_id: str, algorithm: str) -> VerificationKey:
        (key,) = self.keys
        if algorithm not in key.algorithms:
            raise Refused(Reason.ALGORITHM, "the key is for another algorithm")
        return key


def parse_key_set(data: bytes, algorithms: frozenset[str]) -> KeySet:
    """Read a JWK Set (RFC 7517 section 5). Keys that cannot be used are left out and reported in `problems`.

    Raises KeySetError when nothing usable is left, or when the set is junk, too large, names two keys alike, or mixes
    public keys with shared secrets.
    """
    try:
        members = parse_object(data, max_depth=_MAX_DEPTH).get("keys")
    except ValueError as error:
        raise KeySetError(f"not a JWK Set: {error}") from error
    if type(members) is not list or not members:
        raise KeySetError("not a JWK Set, or an empty one")
    if len(members) > MAX_KEYS:
        raise KeySetError(f"more than {MAX_KEYS} keys")
    _check_families(members)
    _check_names(members)
    keys, problems = [], []
    for position, member in enumerate(members):
        try:
            keys.append(_key(member, algorithms))
        except PrivateKeyPublishedError as error:
            problems.append(f"key {position}: {error}; it is not used")
        except UnusableKeyError as error:
            problems.append(f"key {position} left out: {error}")
    if not keys:
        raise KeySetError(f"no usable key: {'; '.join(problems[:3])}")
    return KeySet(tuple(keys), tuple(problems))


def _key(member: Any, algorithms: frozenset[str]) -> VerificationKey:
    if type(member) is not dict:
        raise UnusableKeyError("not an object")
    return jwk_key(member, algorithms)


def _check_families(members: list[Any]) -> None:
    """Refuse shared secrets beside public keys: one of them is published, or a signature could be checked as a MAC."""
    kinds = {member.get("kty") == "oct" for member in members if type(member) is dict}
    if len(kinds) > 1:
        raise KeySetError("shared secrets and public keys are mixed")


def _check_names(members: list[Any]) -> None:
    """Refuse two signature keys of one name, even if one is broken: nobody can say which one was meant."""
    names = [
        member["kid"]
        for member in members
        if type(member) is dict and type(member.get("kid")) is str and member.get("use", "sig") == "sig"
    ]
    if len(set(names)) != len(names):
        raise KeySetError("two keys have the same kid")
