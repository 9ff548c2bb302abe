"""Nothing fails open: every way in which a published key set can fail, against running gateways (J45 to J51).

What takes the shortest refresh interval or longer (rotation, the last good set through an outage: J48, J50, J52) is in
`make guard`; each rule by itself is in tests/unit/policy/test_jwks.py and test_jwks_fetch.py.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends import Backend
from tests.support.certificates import write_certificates
from tests.support.gateway import Answer, RunningGateway, eventually, serving, start_gateway
from tests.support.key_issuer import KeyIssuer
from tests.support.token_factory import claims, ec_key, key_set, public, signed

PATH = "/api/items/7"
KEYS = "/keys"
FETCHES = "api_gateway_key_set_fetches_total"
FAILURES = "gateway_auth_failures_total"
ASKED = 5
GOOD = key_set(ec_key("ec"))


@pytest.fixture
def issuer() -> Iterator[KeyIssuer]:
    with KeyIssuer() as issuer:
        yield issuer


def checking(backend: Backend, url: str, **jwt: object) -> AbstractContextManager[RunningGateway]:
    """Run a gateway that checks tokens with the keys found there."""
    auth = {"jwt": {"jwks_url": url, "algorithms": ["ES256"], **jwt}}
    return start_gateway(serving(backend.endpoint, auth=auth))


@cache
def token(name: str = "ec", **header: str) -> str:
    """Return a token of a key's owner, good for an hour."""
    return signed(ec_key(name), "ES256", claims(exp=int(time.time()) + 3_600), **header).decode()


def ask(gateway: RunningGateway, text: str) -> Answer:
    return gateway.get(PATH, headers={"authorization": f"Bearer {text}"})


def judge_outage(gateway: RunningGateway) -> None:
    """J49: not ready, 503 for every token, good or forged, never 200 and never 401; each is counted."""
    eventually(lambda: gateway.metric(FETCHES, {"result": "failed"}) >= 1, "a fetch has failed")
    assert gateway.metric(FETCHES, {"result": "ok"}) == 0
    before = gateway.metric(FAILURES, {"reason": "keys_unavailable"})
    for text in [token()] * (ASKED - 1) + [token("forger", kid="ec")]:
        answer = ask(gateway, text)
        assert (answer.status, answer.reason) == (503, "AUTH_UNAVAILABLE")
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.error["message"] == "authorization cannot be decided right now"
    assert gateway.metric(FAILURES, {"reason": "keys_unavailable"}) == before + ASKED
    ready = gateway.get("/health/ready")
    assert (ready.status, "key set" in ready.body.decode()) == (503, True)
    assert gateway.wait_for_event("key set not fetched")["reason"]
    assert not gateway.log("unexpected error")


@pytest.mark.parametrize(
    "published",
    [
        pytest.param({"body": b"down", "status": 500}, id="J48 status 500"),
        pytest.param({"body": b"\x00junk"}, id="J48 junk"),
        pytest.param({"body": key_set()}, id="J48 empty set"),
        pytest.param(
            {"body": key_set({"kty": "EC", "crv": "P-256", "kid": "ec", "x": "!", "y": "!"})}, id="J51 bad key"
        ),
        pytest.param({"body": GOOD + b" " * 1_100_000}, id="J46 more than a mebibyte"),
        pytest.param({"body": key_set(*[public(ec_key("ec"), kid=str(n)) for n in range(101)])}, id="J46 101 keys"),
        pytest.param({"body": GOOD, "trickles": True}, id="J46 trickling"),
        pytest.param(None, id="J46 silent"),
    ],
)
def test_a_set_that_cannot_be_had(grpcio_backend: Backend, issuer: KeyIssuer, published: dict[str, Any] | None) -> None:
    """J46, J48, J49, J51: until there is a good set, nobody passes."""
    if published is not None:
        issuer.publish(KEYS, **published)
    with checking(grpcio_backend, f"http://127.0.0.1:{issuer.port}{KEYS}") as gateway:
        judge_outage(gateway)


def test_redirects_are_not_followed(grpcio_backend: Backend, issuer: KeyIssuer) -> None:
    """J45: not even to a good set of the same publisher."""
    issuer.publish("/elsewhere", GOOD)
    issuer.publish(KEYS, b"", status=302, header=f"location: http://127.0.0.1:{issuer.port}/elsewhere")
    with checking(grpcio_backend, f"http://127.0.0.1:{issuer.port}{KEYS}") as gateway:
        judge_outage(gateway)
    assert issuer.fetches["/elsewhere"] == 0


def test_nobody_publishes(grpcio_backend: Backend) -> None:
    """J49: nobody listens there at all."""
    with checking(grpcio_backend, f"http://127.0.0.1:9{KEYS}") as gateway:
        judge_outage(gateway)


def test_tls_of_nobody_we_trust(grpcio_backend: Backend, tmp_path: Path) -> None:
    """J45: a publisher that is not verified is told nothing, and believed nothing."""
    files = write_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with KeyIssuer(context) as issuer:
        issuer.publish(KEYS, GOOD)
        with checking(grpcio_backend, f"https://localhost:{issuer.port}{KEYS}") as gateway:
            judge_outage(gateway)
        assert issuer.fetches.total() == 0


def test_it_comes_back(grpcio_backend: Backend, issuer: KeyIssuer) -> None:
    """J46, J47, J49: requests without keys cause no fetch of their own; nor do unknown key ids, just after one."""
    issuer.publish(KEYS, b"", status=503)
    with checking(grpcio_backend, f"http://127.0.0.1:{issuer.port}{KEYS}") as gateway:
        judge_outage(gateway)
        issuer.publish(KEYS, GOOD)
        eventually(lambda: ask(gateway, token()).status == 200, "the set is fetched")
        assert gateway.metric(FETCHES, {"result": "ok"}) == 1
        eventually(lambda: gateway.get("/health/ready").status == 200, "the gateway is ready")
        fetches = issuer.fetches[KEYS]
        assert fetches == 1 + gateway.metric(FETCHES, {"result": "failed"}), "the gateway's own tries and no more"
        unknown = [token(kid=f"random-{number}") for number in range(20)]
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda text: ask(gateway, text), [*unknown, token("forger", kid="ec")]))
        assert {answer.status for answer in answers} == {401}
        assert {answer.headers["www-authenticate"].partition(" ")[0] for answer in answers} == {"Bearer"}
        assert gateway.metric(FAILURES, {"reason": "unknown_key"}) == len(unknown)
        assert issuer.fetches[KEYS] == fetches
        # J48: and a publisher that is down by now refuses nobody who is good.
        issuer.publish(KEYS, b"", status=500)
        assert ask(gateway, token(kid="ec")).status == 200
