"""The cache of verified tokens: bounded, and never longer than the token."""

from __future__ import annotations

import math

from api_gateway.policy.identity import make_identity
from api_gateway.policy.tokens.cache import VerifiedTokens
from api_gateway.policy.tokens.verifier import Verified

ALICE = make_identity("alice", (), b"e30")


def token(expires_s: float = 100.0, key: bytes = b"k") -> Verified:
    return Verified(ALICE, expires_s, key)


def test_entry_ends_at_its_expiry() -> None:
    """J44: by the wall clock, which may be set back and forth."""
    wall = [0.0]
    cache = VerifiedTokens(max_entries=10, wall_clock=lambda: wall[0])
    cache.put(b"a", token(100.0), math.inf)
    for wall[0], found in ((99.9, ALICE), (100.0, None), (50.0, None)):
        assert cache.get(b"a", 0.0) is found
    assert len(cache) == 0


def test_entry_ends_at_its_time() -> None:
    """semantics 34: the TTL of service answers, by the monotonic clock."""
    cache = VerifiedTokens(max_entries=10, wall_clock=lambda: 0.0)
    cache.put(b"a", token(), 30.0)
    assert cache.get(b"a", 29.9) is ALICE
    assert cache.get(b"a", 30.0) is None


def test_least_recently_used_goes_first() -> None:
    """J44: bounded."""
    cache = VerifiedTokens(max_entries=3, wall_clock=lambda: 0.0)
    for name in (b"a", b"b", b"c"):
        cache.put(name, token(), math.inf)
    cache.get(b"a", 0.0)
    cache.put(b"d", token(), math.inf)
    assert [name for name in (b"a", b"b", b"c", b"d") if cache.get(name, 0.0)] == [b"a", b"c", b"d"]
    for index in range(10_000):
        cache.put(b"%d" % index, token(), math.inf)
    assert len(cache) == 3


def test_no_entries_at_all() -> None:
    """A size of 0 switches it off."""
    cache = VerifiedTokens(max_entries=0, wall_clock=lambda: 0.0)
    cache.put(b"a", token(), math.inf)
    assert cache.get(b"a", 0.0) is None


def test_tokens_of_keys_that_are_gone() -> None:
    """J44: revoking a key ends its tokens, and only those."""
    cache = VerifiedTokens(max_entries=10, wall_clock=lambda: 0.0)
    cache.put(b"a", token(key=b"old"), math.inf)
    cache.put(b"b", token(key=b"new"), math.inf)
    cache.keep_keys(frozenset({b"new"}))
    assert cache.get(b"a", 0.0) is None and cache.get(b"b", 0.0) is ALICE


def test_look_ups_are_counted() -> None:
    """For the metric: found, unknown, run out."""
    cache = VerifiedTokens(max_entries=10, wall_clock=lambda: 0.0)
    cache.get(b"a", 0.0)
    cache.put(b"a", token(), 30.0)
    cache.get(b"a", 0.0)
    cache.get(b"a", 0.0)
    cache.get(b"a", 30.0)
    assert (cache.hits, cache.misses) == (2, 2)
