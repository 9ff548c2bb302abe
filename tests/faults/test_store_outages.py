"""Nothing fails open by accident: every way in which Redis can refuse to count, against running gateways (D10, P12).

What happens then is what `rate_limit.on_store_error` says, from the first request on; each is an alarm in the metrics;
the server is asked no more, and counts again once it can.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis

from tests.support.backends import Backend
from tests.support.gateway import RunningGateway, eventually, serving, start_gateway
from tests.support.redis_peer import COUNTED, RedisPeer
from tests.support.redis_server import RedisServer, is_installed

PATH = "/api/items/7"
ALARMS = "api_gateway_rate_limit_store_errors_total"
PASSWORD = "secret"
ASKED = 4
"""Requests during each outage."""
PATIENCE_MS = 10_000
"""For a server that answers, whatever it says."""
HASTE_MS = 300
"""For one that may not answer at all."""
MET = {"allow": 200, "refuse": 503}

Gateways = dict[str, RunningGateway]
"""By `rate_limit.on_store_error`."""


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    # Not under tmp_path: a socket's path may have 107 bytes at most.
    with TemporaryDirectory() as name:
        yield Path(name)


@contextmanager
def counting_in(url: str, timeout_ms: int, backend: Backend) -> Iterator[Gateways]:
    """Run a gateway for each policy. They get through each outage together: it halves the waiting for its end."""
    with ExitStack() as closing:
        gateways = {}
        for policy in MET:
            limit = {"enabled": True, "requests_per_minute": 1_000_000, "on_store_error": policy}
            config = serving(backend.endpoint, rate_limit=limit, state={"redis_url": url, "timeout_ms": timeout_ms})
            gateways[policy] = closing.enter_context(start_gateway(config))
        for gateway in gateways.values():
            gateway.wait_until_routed(PATH)
        yield gateways


def wait_until_counted(gateways: Gateways) -> None:
    for policy, gateway in gateways.items():
        eventually(partial(is_counted, gateway), f"requests are counted, policy {policy}")


def is_counted(gateway: RunningGateway) -> bool:
    return "ratelimit-limit" in gateway.get(PATH).headers


def judge_outage(gateways: Gateways, reason: str) -> None:
    """Ask while the store is out of order."""
    for policy, gateway in gateways.items():
        before = gateway.metric(ALARMS)
        for _ in range(ASKED):
            answer = gateway.get(PATH)
            assert answer.status == MET[policy], answer
            assert "ratelimit-limit" not in answer.headers
            if policy == "refuse":
                assert answer.reason == "RATE_LIMIT_UNAVAILABLE"
                assert int(answer.headers["retry-after"]) >= 1
                assert reason not in answer.body.decode(), "what the store says is for operators"
        assert gateway.metric(ALARMS) == before + ASKED
        assert gateway.process.exit_code is None
        assert not gateway.log("unexpected error")


# A real server

Act = Callable[["Ailing"], object]


@dataclass(slots=True)
class Ailing:
    """A real server, and a connection to it that its troubles do not touch."""

    server: RedisServer
    client: redis.Redis
    busy: list[threading.Thread] = field(default_factory=list)

    def set(self, **values: str | int) -> None:
        """Change settings."""
        for name, value in values.items():
            self.client.config_set(name.replace("_", "-"), value)

    def replicate(self) -> None:
        """Follow a master that is not there, as after a failover."""
        self.client.replicaof("127.0.0.1", "1")

    def lead(self) -> None:
        """Be a master again."""
        self.client.replicaof("NO", "ONE")
        self.set(replica_serve_stale_data="yes")

    def want(self, password: str) -> None:
        """Log everybody in again, with this password."""
        self.set(requirepass=password)
        self.client.client_kill_filter(_type="normal", skipme=True)

    def permit(self, rule: str) -> None:
        """Change what clients may do."""
        self.client.acl_setuser("default", enabled=True, nopass=False, commands=[rule], reset_keys=False)

    def be_busy(self) -> None:
        """Run a script for ever."""
        self.set(lua_time_limit=1)
        spinning = redis.Redis(unix_socket_path=str(self.server.path), password=PASSWORD)

        def spin() -> None:
            with spinning, suppress(redis.ResponseError):
                spinning.eval("while true do end", 0)

        self.busy.append(threading.Thread(target=spin))
        self.busy[0].start()
        eventually(self._is_busy, "the script runs")

    def _is_busy(self) -> bool:
        try:
            self.client.ping()
        except redis.ResponseError:
            return True
        return False

    def rest(self) -> None:
        """End that script."""
        self.client.script_kill()
        self.busy.pop().join()


@pytest.fixture(scope="module")
def ailing(directory: Path) -> Iterator[Ailing]:
    if not is_installed():
        pytest.skip("redis-server is not installed")
    with RedisServer(directory, "--requirepass", PASSWORD) as server:
        client = redis.Redis(unix_socket_path=str(server.path), password=PASSWORD, single_connection_client=True)
        with client:
            yield Ailing(server, client)


@pytest.fixture(scope="module")
def counted(ailing: Ailing, grpcio_backend: Backend) -> Iterator[Gateways]:
    with counting_in(f"unix://:{PASSWORD}@{ailing.server.path}", PATIENCE_MS, grpcio_backend) as gateways:
        yield gateways


@pytest.mark.parametrize(
    ("begin", "end", "reason"),
    [
        pytest.param(Ailing.replicate, Ailing.lead, "READONLY", id="READONLY"),
        pytest.param(
            lambda it: (it.set(replica_serve_stale_data="no"), it.replicate()),
            Ailing.lead,
            "MASTERDOWN",
            id="MASTERDOWN",
        ),
        pytest.param(lambda it: it.set(maxmemory=1), lambda it: it.set(maxmemory=0), "OOM", id="OOM"),
        pytest.param(
            lambda it: it.set(min_replicas_to_write=1),
            lambda it: it.set(min_replicas_to_write=0),
            "NOREPLICAS",
            id="NOREPLICAS",
        ),
        pytest.param(lambda it: it.permit("-@scripting"), lambda it: it.permit("+@all"), "NOPERM", id="NOPERM"),
        pytest.param(lambda it: it.want("another"), lambda it: it.want(PASSWORD), "", id="WRONGPASS"),
        pytest.param(Ailing.be_busy, Ailing.rest, "BUSY", id="BUSY"),
    ],
)
def test_a_server_that_refuses(counted: Gateways, ailing: Ailing, begin: Act, end: Act, reason: str) -> None:
    """D10: as configured, from the first request to the last; then it counts again, without a restart."""
    wait_until_counted(counted)
    begin(ailing)
    try:
        judge_outage(counted, reason or "WRONGPASS")
    finally:
        end(ailing)
    wait_until_counted(counted)


def test_a_server_that_forgot_the_script(counted: Gateways, ailing: Ailing) -> None:
    """D10: NOSCRIPT is no failure: the script is taught again, and nobody notices."""
    wait_until_counted(counted)
    for gateway in counted.values():
        before = gateway.metric(ALARMS)
        ailing.client.script_flush()
        ailing.client.flushall()
        assert is_counted(gateway)
        assert gateway.metric(ALARMS) == before


# A scripted one


@pytest.fixture(scope="module")
def peer(directory: Path) -> Iterator[RedisPeer]:
    with RedisPeer(directory) as peer:
        yield peer


@pytest.fixture(scope="module")
def scripted(peer: RedisPeer, grpcio_backend: Backend) -> Iterator[Gateways]:
    with counting_in(peer.url, HASTE_MS, grpcio_backend) as gateways:
        yield gateways


@pytest.mark.parametrize(
    ("reply", "behaviour"),
    [
        pytest.param(b"-LOADING Redis is loading the dataset in memory\r\n", {}, id="LOADING"),
        pytest.param(b"-READONLY You can't write against a read only replica.\r\n", {}, id="READONLY"),
        pytest.param(
            b"-ERR Error running script (call to f_1): @user_script:31: @user_script: 31: -READONLY You can't.\r\n",
            {},
            id="READONLY of Redis 6",
        ),
        pytest.param(b"-MISCONF Errors writing to the AOF file: No space left on device\r\n", {}, id="MISCONF"),
        pytest.param(b"-NOAUTH Authentication required.\r\n", {}, id="NOAUTH"),
        pytest.param(b"-MOVED 3999 127.0.0.1:6381\r\n", {}, id="MOVED"),
        pytest.param(b"-MOVED\r\n", {}, id="MOVED to nowhere"),
        pytest.param(b"-CROSSSLOT Keys in request don't hash to the same slot\r\n", {}, id="CROSSSLOT"),
        pytest.param(b"-CLUSTERDOWN Hash slot not served\r\n", {}, id="CLUSTERDOWN"),
        pytest.param(b"-ERR max number of clients reached\r\n", {}, id="too many clients"),
        pytest.param(b"-ERR unknown command 'EVALSHA'\r\n", {"ends": True}, id="unknown command"),
        pytest.param(b"", {"ends": True}, id="cut before the answer"),
        pytest.param(COUNTED[:7], {"ends": True}, id="cut in mid-answer"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", {}, id="another protocol"),
        pytest.param(b":many\r\n", {}, id="a number that is none"),
        pytest.param(b"$x\r\n\r\n", {}, id="a size that is none"),
        pytest.param(b"*1\r\n" * 3000 + b":1\r\n", {}, id="deep"),
        pytest.param(b"", {}, id="silent"),
        pytest.param(COUNTED, {"trickles": True}, id="slow"),
    ],
)
def test_a_server_that_is_none(scripted: Gateways, peer: RedisPeer, reply: bytes, behaviour: dict[str, Any]) -> None:
    """D10: as configured; one request finds out, and none is held up by it after that; then it counts again."""
    peer.behave(COUNTED)
    wait_until_counted(scripted)
    peer.behave(reply, **behaviour)
    asked = peer.calls
    judge_outage(scripted, reply[1:9].decode() or "redis")
    assert peer.calls <= asked + len(scripted)
    peer.behave(COUNTED)
    wait_until_counted(scripted)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"+OK\r\n", id="a word"),
        pytest.param(b":1\r\n", id="one number"),
        pytest.param(b"$2\r\nab\r\n", id="two bytes"),
        pytest.param(b"$-1\r\n", id="nothing"),
        pytest.param(b"*3\r\n:1\r\n:2\r\n:3\r\n", id="three numbers"),
        pytest.param(b"*2\r\n$1\r\n1\r\n:2\r\n", id="a text and a number"),
        pytest.param(b"*2\r\n:1\r\n-ERR no\r\n", id="an error inside"),
        pytest.param(b"*2\r\n:1\r\n:" + b"9" * 400 + b"\r\n", id="a number beyond all"),
        pytest.param(b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", id="WRONGTYPE"),
    ],
)
def test_an_answer_that_means_nothing(scripted: Gateways, peer: RedisPeer, reply: bytes) -> None:
    """D10: it concerns that one request, which goes as configured."""
    peer.behave(COUNTED)
    wait_until_counted(scripted)
    peer.behave(reply)
    judge_outage(scripted, "redis")
    peer.behave(COUNTED)
    wait_until_counted(scripted)
