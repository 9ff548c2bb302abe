"""Tokens checked in the gateway with published keys."""

from __future__ import annotations

from tests.support.auth_bench import Bench
from tests.support.auth_upstream import exchange, turns
from tests.support.token_factory import key_set, rsa_key, signed


async def test_keys_that_were_never_loaded() -> None:
    """J49: readiness false, 503, never 401, never through."""

    async def fails() -> bytes:
        raise OSError("no route")

    bench = Bench(fetch=fails, jwt={"jwks_url": "https://issuer.example/keys"})
    token = b"Bearer " + signed(rsa_key(), "RS256")
    assert not bench.auth.is_ready(bench.now_s())
    assert (await bench.refused(exchange(token))).http == 503
    bench.auth.start()
    await turns(lambda: bool(bench.fetches))
    assert not bench.auth.is_ready(bench.now_s())
    assert (await bench.refused(exchange(token))).http == 503
    assert bench.failures == ["keys_unavailable"] * 2 and not bench.fetches[0].is_ok
    await bench.auth.aclose()


async def test_rotation_and_revocation() -> None:
    """J15, J44, J50: a new key is found by one refresh; a key that is gone takes its cached tokens with it."""
    published = [key_set(rsa_key("old"))]

    async def fetch() -> bytes:
        return published[0]

    bench = Bench(fetch=fetch, jwt={"jwks_url": "https://issuer.example/keys"})
    bench.auth.start()
    await turns(lambda: bool(bench.fetches))
    old, new = (b"Bearer " + signed(rsa_key(name), "RS256") for name in ("old", "new"))
    await bench.pass_in(exchange(old))
    assert bench.auth.is_ready(bench.now_s())
    published[0] = key_set(rsa_key("old"), rsa_key("new"))
    assert (await bench.refused(exchange(new))).http == 401, "the last fetch was just now"
    bench.ahead_s = 31.0
    assert not await bench.pass_in(exchange(new))
    assert await bench.pass_in(exchange(old)), "a key that stays keeps its tokens"
    published[0] = key_set(rsa_key("new"))
    bench.ahead_s = 62.0
    assert (await bench.refused(exchange(b"Bearer " + signed(rsa_key("third"), "RS256")))).http == 401
    assert (await bench.refused(exchange(old))).http == 401
    assert await bench.pass_in(exchange(new))
    assert bench.failures == ["unknown_key"] * 3
    await bench.auth.aclose()
