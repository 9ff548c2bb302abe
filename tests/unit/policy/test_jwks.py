"""The published key set through its life: first fetch, rotation, outages, random key ids."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from api_gateway.config.settings import JwtSettings
from api_gateway.policy.jwks import COOL_DOWN_S, JwksSource, KeyFetch, https_fetch
from api_gateway.policy.jwks_fetch import FetchError
from api_gateway.policy.questions import Asker
from api_gateway.policy.refusal import Reason, Refused
from api_gateway.policy.token_keys import TokenKeys
from api_gateway.policy.tokens.key_set import KeySet
from api_gateway.policy.tokens.verifier import JwtVerifier, Verified
from tests.support.auth_upstream import turns
from tests.support.token_factory import NOW_S, b64, ec_key, key_set, public, rsa_key, signed

URL = "https://issuer.example/keys"


class Issuer:
    """A source of keys whose clock and publisher are the test's."""

    def __init__(self, **settings: Any) -> None:
        self.settings = JwtSettings(jwks_url=URL, **settings)
        self.published: bytes | Exception = key_set(rsa_key())
        self.gate: asyncio.Event | None = None
        self.fetched = 0
        self.clock_s = 1_000.0
        self.outcomes: list[KeyFetch] = []
        self.changes: list[KeySet] = []
        self.sleeps: list[float] = []
        self._wake = asyncio.Event()
        self.source = JwksSource(
            self.settings,
            self._fetch,
            clock=lambda: self.clock_s,
            on_change=self.changes.append,
            on_fetch=self.outcomes.append,
            sleep=self._sleep,
        )
        verifier = JwtVerifier(self.settings, max_token_bytes=8_192)
        self.tokens = TokenKeys(verifier, self.source, wall_clock=lambda: NOW_S, clock=lambda: self.clock_s)

    async def _fetch(self) -> bytes:
        self.fetched += 1
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.published, Exception):
            raise self.published
        return self.published

    async def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        await self._wake.wait()
        self._wake.clear()

    async def start(self) -> None:
        self.source.start()
        await turns(lambda: len(self.sleeps) == 1)

    async def next_round(self) -> None:
        """Let the pause before the next fetch pass."""
        self.clock_s += self.sleeps[-1]
        rounds = len(self.sleeps)
        self._wake.set()
        await turns(lambda: len(self.sleeps) == rounds + 1)

    async def validate(self, token: bytes) -> Verified:
        deadline_s = asyncio.get_running_loop().time() + 30
        found = self.tokens.validate(token, b"", Asker(deadline_s, self.clock_s))
        return found if isinstance(found, Verified) else await found

    async def refused(self, token: bytes) -> Reason:
        with pytest.raises(Refused) as caught:
            await self.validate(token)
        return caught.value.reason


async def test_first_fetch_makes_ready() -> None:
    """J49: not ready before, ready after."""
    issuer = Issuer()
    assert not issuer.tokens.is_ready(issuer.clock_s)
    assert await issuer.refused(signed(rsa_key(), "RS256")) is Reason.KEYS_UNAVAILABLE
    await issuer.start()
    assert issuer.tokens.is_ready(issuer.clock_s)
    assert (await issuer.validate(signed(rsa_key(), "RS256"))).identity.user_id == "alice"
    assert issuer.outcomes == [KeyFetch(True, "")]
    await issuer.source.aclose()


async def test_first_fetch_is_tried_again_soon() -> None:
    """J49: 1, 2, 4 ... 30 seconds apart while there are no keys, then on the interval."""
    issuer = Issuer()
    issuer.published = FetchError("connection refused")
    await issuer.start()
    for _ in range(6):
        await issuer.next_round()
    assert issuer.sleeps == [1, 2, 4, 8, 16, 30, 30]
    issuer.published = key_set(rsa_key())
    await issuer.next_round()
    assert 270 <= issuer.sleeps[-1] <= 300
    await issuer.source.aclose()


BAD_SETS = [
    pytest.param(FetchError("status 500"), id="status_500"),
    pytest.param(FetchError("no complete answer within 2 s"), id="timeout"),
    pytest.param(RuntimeError("anything"), id="unforeseen"),
    pytest.param(b"<html>", id="junk"),
    pytest.param(b'{"keys": []}', id="empty"),
    pytest.param(b"{}", id="no_keys_member"),
    pytest.param(b'{"keys": {}}', id="keys_is_an_object"),
    pytest.param(b"[]", id="array"),
    pytest.param(b'{"keys": [{"kty": "unknown"}]}', id="nothing_usable"),
    pytest.param(b'{"keys": [' + b",".join([b"{}"] * 101) + b"]}", id="101_keys"),
    pytest.param(b'{"keys": [' + b",".join([b"1"] * 100_000) + b"]}", id="100000_keys"),
    pytest.param(b'{"keys": ' + b"[" * 100_000, id="deep"),
]


@pytest.mark.parametrize("published", BAD_SETS)
async def test_bad_answers_keep_the_old_keys(published: bytes | Exception) -> None:
    """J46, J48: the last good set serves, the failure is told, and the next try comes."""
    issuer = Issuer()
    await issuer.start()
    issuer.published = published
    await issuer.next_round()
    await issuer.next_round()
    assert (await issuer.validate(signed(rsa_key(), "RS256"))).identity.user_id == "alice"
    assert [outcome.is_ok for outcome in issuer.outcomes] == [True, False, False]
    assert issuer.outcomes[1].detail
    assert issuer.changes == []
    await issuer.source.aclose()


async def test_old_keys_serve_for_a_day() -> None:
    """J48: then requests get 503, and a fetch that succeeds brings them back."""
    issuer = Issuer(jwks_stale_seconds=86_400, jwks_refresh_seconds=300)
    await issuer.start()
    issuer.published = FetchError("down")
    token = signed(rsa_key(), "RS256")
    issuer.clock_s += 86_400
    assert (await issuer.validate(token)).identity.user_id == "alice"
    issuer.clock_s += 301
    assert await issuer.refused(token) is Reason.KEYS_UNAVAILABLE
    assert not issuer.tokens.is_ready(issuer.clock_s)
    issuer.published = key_set(rsa_key())
    await issuer.next_round()
    assert (await issuer.validate(token)).identity.user_id == "alice"
    await issuer.source.aclose()


async def test_random_key_ids_cause_few_fetches() -> None:
    """J47: 10,000 random ids in 60 seconds, at most three fetches."""
    issuer = Issuer()
    await issuer.start()
    head = signed(rsa_key(), "RS256").split(b".")[1:]
    for index in range(10_000):
        issuer.clock_s += 60 / 10_000
        token = b".".join((signed_header(f"random-{index}"), *head))
        assert await issuer.refused(token) is Reason.UNKNOWN_KEY
    assert issuer.fetched <= 3
    await issuer.source.aclose()


async def test_random_key_ids_wait_for_the_whole_pause() -> None:
    """J47: at least 30 seconds lie between two fetches that unknown ids cause."""
    issuer = Issuer()
    await issuer.start()
    issuer.clock_s += 29.5
    assert await issuer.refused(signed_header("a") + b".e30.AAAA") is Reason.UNKNOWN_KEY
    assert issuer.fetched == 1
    issuer.clock_s += 0.5
    assert await issuer.refused(signed_header("b") + b".e30.AAAA") is Reason.UNKNOWN_KEY
    assert issuer.fetched == 2
    await issuer.source.aclose()


async def test_the_interval_and_an_unknown_key_id_share_one_fetch() -> None:
    """J46: never two fetches at a time, whatever each is for."""
    issuer = Issuer()
    issuer.gate = asyncio.Event()
    issuer.source.start()
    await turns(lambda: issuer.fetched == 1)
    waiting = asyncio.ensure_future(issuer.source.refresh(None))  # noqa: TID251  # awaited below
    await asyncio.sleep(0)
    issuer.gate.set()
    await waiting
    assert issuer.fetched == 1
    await issuer.source.aclose()


def signed_header(key_id: str) -> bytes:
    return b64(json.dumps({"alg": "RS256", "kid": key_id}))


async def test_unknown_key_ids_share_one_fetch() -> None:
    """J46: 1,000 requests at once, one fetch; each is answered after it."""
    issuer = Issuer()
    await issuer.start()
    issuer.clock_s += COOL_DOWN_S
    issuer.published = key_set(rsa_key(), rsa_key("new"))
    issuer.gate = asyncio.Event()
    token = signed(rsa_key("new"), "RS256")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(issuer.validate(token)) for _ in range(1_000)]
        await turns(lambda: issuer.fetched == 2)
        issuer.gate.set()
    assert {task.result().identity.user_id for task in tasks} == {"alice"}
    assert issuer.fetched == 2
    await issuer.source.aclose()


async def test_who_comes_during_a_fetch_waits_for_it() -> None:
    """J46, J50: within the pause, too: what is being fetched may have the key."""
    issuer = Issuer()
    await issuer.start()
    issuer.clock_s += COOL_DOWN_S
    issuer.published = key_set(rsa_key(), rsa_key("new"))
    issuer.gate = asyncio.Event()
    token = signed(rsa_key("new"), "RS256")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(issuer.validate(token))
        await turns(lambda: issuer.fetched == 2)
        issuer.clock_s += 1.0
        second = group.create_task(issuer.validate(token))
        await asyncio.sleep(0)
        issuer.gate.set()
    assert (first.result().identity.user_id, second.result().identity.user_id) == ("alice", "alice")
    assert issuer.fetched == 2
    await issuer.source.aclose()


async def test_request_leaves_a_fetch_at_its_deadline() -> None:
    """J46: a publisher that hangs holds nobody beyond the deadline."""
    issuer = Issuer()
    await issuer.start()
    issuer.clock_s += COOL_DOWN_S
    issuer.gate = asyncio.Event()
    pending = issuer.tokens.validate(
        signed(rsa_key("new"), "RS256"), b"", Asker(asyncio.get_running_loop().time() + 0.01, issuer.clock_s)
    )
    assert not isinstance(pending, Verified)
    with pytest.raises(Refused) as caught:
        await pending
    assert caught.value.reason is Reason.DEADLINE
    issuer.gate.set()
    await issuer.source.aclose()


async def test_rotation_without_a_gap() -> None:
    """J50: the new key is published beside the old one, then the old one goes: no false refusal on the way."""
    issuer = Issuer()
    await issuer.start()
    old, new = signed(rsa_key(), "RS256"), signed(rsa_key("new"), "RS256")
    issuer.published = key_set(rsa_key(), rsa_key("new"))
    issuer.clock_s += COOL_DOWN_S
    for token in (new, old, new):
        await issuer.validate(token)
    issuer.published = key_set(rsa_key("new"))
    await issuer.next_round()
    await issuer.validate(new)
    assert await issuer.refused(old) is Reason.UNKNOWN_KEY
    assert len(issuer.changes) == 2
    await issuer.source.aclose()


async def test_key_replaced_under_its_name() -> None:
    """J44, J50: same `kid`, other key: that is a change, and the old key's tokens are refused."""
    issuer = Issuer()
    await issuer.start()
    issuer.published = key_set(public(rsa_key("new"), kid="rsa"))
    await issuer.next_round()
    assert await issuer.refused(signed(rsa_key(), "RS256")) is Reason.SIGNATURE
    assert len(issuer.changes) == 1
    await issuer.source.aclose()


async def test_unusable_keys_are_left_out_and_reported() -> None:
    """J51: one bad key does not spoil the set; a private one is named as such and not used."""
    issuer = Issuer(algorithms=["RS256", "ES256"])
    issuer.published = key_set(
        rsa_key(),
        {"kty": "quantum", "kid": "a"},
        {"kty": "RSA", "kid": "b", "n": "!!!", "e": "AQAB"},
        {"kty": "EC", "kid": "c", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        ec_key("leaked").as_dict(private=True),
    )
    await issuer.start()
    assert (await issuer.validate(signed(rsa_key(), "RS256"))).identity.user_id == "alice"
    assert await issuer.refused(signed(ec_key("leaked"), "ES256")) is Reason.UNKNOWN_KEY
    problems = issuer.outcomes[0].problems
    assert len(problems) == 4 and "private half" in problems[3]
    private = ec_key("leaked").as_dict(private=True)["d"]
    assert not any(str(private) in problem for problem in problems)
    await issuer.source.aclose()


@pytest.mark.parametrize("member", [1, None, "text", []])
async def test_members_that_are_no_keys(member: Any) -> None:
    """J51: whatever stands in the array."""
    issuer = Issuer()
    issuer.published = key_set(rsa_key()).replace(b"[", b"[" + json.dumps(member).encode() + b",", 1)
    await issuer.start()
    assert (await issuer.validate(signed(rsa_key(), "RS256"))).identity.user_id == "alice"
    await issuer.source.aclose()


async def test_two_workers_converge() -> None:
    """J52: sources share nothing, and each sees a rotation within its interval."""
    workers = [Issuer() for _ in range(4)]
    for worker in workers:
        await worker.start()
        worker.published = key_set(rsa_key("new"))
    for worker in workers:
        before_s = worker.clock_s
        await worker.next_round()
        assert worker.clock_s - before_s <= 300
        await worker.validate(signed(rsa_key("new"), "RS256"))
        await worker.source.aclose()


async def test_closing_leaves_nothing_behind() -> None:
    """A fetch under way is given up; its waiters are answered."""
    issuer = Issuer()
    issuer.gate = asyncio.Event()
    issuer.source.start()
    await turns(lambda: issuer.fetched == 1)
    await issuer.source.aclose()
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/keys",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/keys",
        "https://[fe80::1]/keys",
        "ftp://issuer.example/keys",
        "file:///etc/passwd",
        "https://user:password@issuer.example/keys",
        "/keys",
    ],
)
def test_addresses_that_cannot_be_configured(url: str) -> None:
    """J45: refused with the configuration."""
    with pytest.raises(ValueError, match="jwks_url"):
        JwtSettings(jwks_url=url)


def test_ca_file_must_exist(tmp_path: Path) -> None:
    """A missing CA file is found at start."""
    with pytest.raises(OSError, match="No such file"):
        https_fetch(JwtSettings(jwks_url=URL, jwks_ca_cert_path=tmp_path / "none.pem"))


def test_fetch_is_built_from_the_settings() -> None:
    """Loopback may do without TLS."""
    assert callable(https_fetch(JwtSettings(jwks_url="http://127.0.0.1:1/keys")))
