"""Who counts as whom: a million addresses, made-up ones, and every way to spell a request (R2 to R8)."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Final

from scenarios.guard.flood import Answers, flood, request
from scenarios.guard.stage import MIB, Stage, limit, pss_bytes
from tests.support.gateway import RunningGateway

ADDRESSES: Final = 1_000_000
ABUSERS: Final = tuple(f"192.0.2.{number}" for number in range(10))
LIMIT: Final = 60
NOWHERE: Final = "/nowhere"
"""No route matches it, so it costs no backend; it counts against the limit like any other path."""
REFUSAL_CPU_S: Final = 200e-6
REFUSAL_ATTEMPTS: Final = 10
"""Other processes can make a refusal dearer, through the caches and cores they share, but none cheaper."""
_PROXY: Final = ["127.0.0.1/32"]


def a_million(stage: Stage) -> None:
    """R2: a million addresses within one window, with the memory of the default."""
    _flood_with_addresses(stage, max_memory=64 * MIB)


def more_than_fit(stage: Stage) -> None:
    """R2: a million addresses where a sixteenth of them fits: the rest makes room for each other, not for abusers."""
    _flood_with_addresses(stage, max_memory=4 * MIB)


def _flood_with_addresses(stage: Stage, *, max_memory: int) -> None:
    count = stage.number(ADDRESSES, at_least=10_000)
    section = limit(LIMIT, 3600, max_memory=max_memory)
    with stage.gateway(workers=2, rate_limit=section, trusted_proxies=_PROXY) as gateway:
        few = flood(gateway.port, _from(random.Random(1), stage.number(50_000, at_least=2_000), bits=10))
        for abuser in ABUSERS:
            flood(gateway.port, repeat(_by(abuser), 2 * LIMIT))
        before = pss_bytes(gateway.worker_pids())
        over = threading.Event()
        seen: Counter[int] = Counter()
        watcher = threading.Thread(target=_abuse_until, args=(gateway.port, over, seen))
        watcher.start()
        many = flood(gateway.port, _from(random.Random(2), count, bits=30))
        over.set()
        watcher.join()
        grown = pss_bytes(gateway.worker_pids()) - before
    marks = stage.marks
    marks.at_least("addresses", count, count)
    marks.equals("lost requests", many.lost, 0)
    marks.at_most("memory of all workers grew by", grown / MIB, max_memory / MIB + 8, " MiB")
    marks.at_least("requests of ten active abusers during the flood", seen.total(), 10)
    marks.equals("of which were let through", seen.total() - seen[429], 0)
    marks.at_most("p99 with a million addresses / with a thousand", many.p99_s() / few.p99_s(), 2)
    marks.note("requests a second", sum(many.statuses.values()) / _span_s(many))


def _by(address: str) -> bytes:
    return request(NOWHERE, f"x-forwarded-for: {address}")


def _from(chance: random.Random, count: int, *, bits: int) -> Iterator[bytes]:
    """Make requests of so many different addresses, or fewer when the bits do not suffice."""
    step = 0x9E3779B1  # odd: its multiples visit every number once
    first = chance.getrandbits(bits)
    for number in range(count):
        value = (first + number * step) % (1 << bits)
        yield _by(f"{16 + (value >> 24)}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}")


def _abuse_until(port: int, over: threading.Event, seen: Counter[int]) -> None:
    while not over.wait(0.05):
        for abuser in ABUSERS:
            seen.update(flood(port, [_by(abuser)], connections=1).statuses)


def _span_s(answers: Answers) -> float:
    moments = [moment_s for moment_s, _, _ in answers.times]
    return max(moments) - min(moments) or 1.0


def spoofed(stage: Stage) -> None:
    """R3: an untrusted peer makes up an address for each request."""
    count = stage.number(5_000, at_least=500)
    with stage.gateway(rate_limit=limit(LIMIT, 3600)) as gateway:
        answers = flood(gateway.port, _from(random.Random(3), count, bits=24))
        named = flood(
            gateway.port,
            (
                request(NOWHERE, f"{name}: 198.51.100.{number}")
                for name in ("forwarded", "x-real-ip")
                for number in range(50)
            ),
        )
        logged = {line["fields"].get("client_ip") for line in gateway.log("request completed")} or {"127.0.0.1"}
    stage.marks.equals("allowed", answers.statuses[404] + named.statuses[404], LIMIT - 1)
    stage.marks.equals("addresses believed besides the peer's", len(logged - {"127.0.0.1"}), 0)


FORWARDED: Final = {
    "one address": ("203.0.113.7", "203.0.113.7"),
    "spoof, real": ("1.1.1.1, 203.0.113.7", "203.0.113.7"),
    "spaces and a tab": (" 1.1.1.1 ,\t203.0.113.7 ", "203.0.113.7"),
    "through another trusted proxy": ("203.0.113.7, 10.9.8.7", "203.0.113.7"),
    "all trusted": ("10.1.1.1, 10.9.8.7", "10.1.1.1"),
    "port": ("203.0.113.7:4711", "203.0.113.7"),
    "IPv6": ("2001:db8::7", "2001:db8::7"),
    "IPv6 in brackets with a port": ("[2001:db8::7]:80", "2001:db8::7"),
    "IPv6 with a zone": ("fe80::7%eth0", "fe80::7"),
    "IPv4-mapped": ("::ffff:203.0.113.7", "203.0.113.7"),
    "empty elements": ("203.0.113.7, , ", "203.0.113.7"),
    "unknown": ("1.1.1.1, unknown", "127.0.0.1"),
    "host name": ("example.com", "127.0.0.1"),
    "number out of range": ("1.1.1.256", "127.0.0.1"),
    "octal": ("010.0.0.1", "127.0.0.1"),
    "bad port": ("203.0.113.7:99999", "127.0.0.1"),
    "bracket without end": ("[2001:db8::7", "127.0.0.1"),
    "long junk": ("x" * 4_000, "127.0.0.1"),
    "a thousand trusted ones": (", ".join(["10.0.0.1"] * 1_000), "127.0.0.1"),
    "a thousand, the last one real": (", ".join(["1.1.1.1"] * 999 + ["203.0.113.7"]), "203.0.113.7"),
    "quotes": ('"203.0.113.7"', "127.0.0.1"),
    "obfuscated": ("_hidden", "127.0.0.1"),
}
"""What a trusted proxy sends in X-Forwarded-For, and whom the gateway must take for the client."""


def forwarded(stage: Stage) -> None:
    """R4: the rightmost untrusted address counts; junk means the proxy itself."""
    section = {"trusted_proxies": ["127.0.0.1/32", "10.0.0.0/8"], "log": {"requests": True}}
    with stage.gateway(workers=1, **section) as gateway:
        wrong = [name for name, (value, client) in FORWARDED.items() if _client_of(gateway, [value], name) != client]
        two_headers = _client_of(gateway, ["1.1.1.1", "203.0.113.7"], "two headers")
        others = request(NOWHERE, "forwarded: for=1.1.1.1", "x-real-ip: 1.1.1.1", "x-request-id: others")
        flood(gateway.port, [others])
        ignored = gateway.wait_for_event("request completed", request_id="others")["client_ip"]
    stage.marks.equals(f"cases of {len(FORWARDED)} taken for another client {wrong or ''}".strip(), len(wrong), 0)
    stage.marks.holds("two X-Forwarded-For headers", two_headers, "203.0.113.7", is_met=two_headers == "203.0.113.7")
    stage.marks.holds("Forwarded and X-Real-IP", ignored, "127.0.0.1", is_met=ignored == "127.0.0.1")


def _client_of(gateway: RunningGateway, values: list[str], name: str) -> str:
    name = name.replace(" ", "-").replace(",", "")
    flood(gateway.port, [request(NOWHERE, *(f"x-forwarded-for: {value}" for value in values), f"x-request-id: {name}")])
    client: str = gateway.wait_for_event("request completed", request_id=name)["client_ip"]
    return client


def ipv6(stage: Stage) -> None:
    """R5: a client walks through its /64; IPv4-mapped addresses are IPv4; zones are no addresses."""
    chance = random.Random(5)
    with stage.gateway(rate_limit=limit(LIMIT, 3600), trusted_proxies=_PROXY) as gateway:

        def allowed(addresses: Iterator[str]) -> int:
            return flood(gateway.port, map(_by, addresses)).statuses[404]

        walked = (f"2001:db8:1:2{_tail(chance)}" for _ in range(500))
        stage.marks.equals("allowed to 500 addresses of one /64", allowed(walked), LIMIT)
        mapped = (("::ffff:198.51.100.9", "198.51.100.9", "::ffff:c633:6409")[number % 3] for number in range(300))
        stage.marks.equals("allowed to one address, IPv4-mapped or not", allowed(mapped), LIMIT)
        zones = (f"fe80::1%eth{number}" for number in range(300))
        stage.marks.equals("allowed to one address with 300 zones", allowed(zones), LIMIT)
        networks = (f"2001:db8:0:{number:x}::1" for number in range(100))
        stage.marks.equals("allowed to 100 networks, once each", allowed(networks), 100)


def _tail(chance: random.Random) -> str:
    return "".join(f":{chance.getrandbits(16):x}" for _ in range(4))


def evasion(stage: Stage) -> None:
    """R6: spellings, parameters, connections and sources of loopback that share one address are one bucket."""
    spellings = [
        "/api/items/7",
        "/api/items/%37",
        "/api/items/8",
        "/api/items/7?x=1",
        "/api/%69tems/7",
        "/api/items/7/",
        "/API/ITEMS/7",
        "/nowhere",
    ]
    with stage.gateway(rate_limit=limit(LIMIT, 3600)) as gateway:
        requests = (
            request(spellings[number % len(spellings)], f"user-agent: {number}", f"x-request-id: {number}")
            for number in range(800)
        )
        answers = flood(gateway.port, requests, connections=32)
        other = flood(gateway.port, repeat(request(NOWHERE), 2 * LIMIT), source="127.0.0.2")
    # The stage itself asked for one item when the gateway started.
    stage.marks.equals("allowed under eight spellings over 32 connections", 800 - answers.statuses[429], LIMIT - 1)
    stage.marks.equals("allowed to another address", other.statuses[404], LIMIT)


def before_auth(stage: Stage) -> None:
    """R7, semantics 32: bad tokens are limited too; what is refused is cheap and never reaches a backend."""
    auth = {"jwt": {"secret": "a secret of more than thirty-two bytes"}, "public_routes": [{"path": "/api/items/:id"}]}
    count = stage.number(20_000, at_least=1_000)
    with stage.gateway(workers=1, rate_limit=limit(LIMIT, 3600), auth=auth) as gateway:
        guesses = (request("/api/items", f"authorization: Bearer guess-{number}") for number in range(count))
        answers = flood(gateway.port, guesses)
        spent_s, refused = float("inf"), Answers()
        for _ in range(REFUSAL_ATTEMPTS):
            before_s = _cpu_s(gateway.process.pid)
            refused = flood(gateway.port, repeat(request("/api/items/7", "authorization: Bearer x"), count))
            spent_s = min(spent_s, _cpu_s(gateway.process.pid) - before_s)
            if spent_s <= count * REFUSAL_CPU_S:
                break
        calls = gateway.metric("api_gateway_grpc_calls_total", {"method": "tests.echo.EchoService/GetItem"})
    stage.marks.equals("bad tokens looked at", answers.statuses[401], LIMIT - 1)
    stage.marks.equals("refused", refused.statuses[429], count)
    stage.marks.at_most("CPU time of a refusal", spent_s / count * 1e6, REFUSAL_CPU_S * 1e6, " us")
    stage.marks.at_most("calls of the backend beyond the stage's own", calls - 1, 0)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def refusal_form(stage: Stage) -> None:
    """R8, semantics 38: what a refused client is told, and that waiting as long as told is enough."""
    with stage.gateway(rate_limit=limit(3, 3)) as gateway:
        # More than enough: on a busy machine a window may pass among the first few.
        answers = (gateway.get("/api/items/7") for _ in range(1_000))
        refused = next(answer for answer in answers if answer.status == 429)
        wait_s = int(refused.headers["retry-after"])
        time.sleep(wait_s)
        later = gateway.get("/api/items/7")
    marks = stage.marks
    marks.holds(
        "status in the body", refused.error["status"], "RESOURCE_EXHAUSTED", is_met=refused.error["code"] == 429
    )
    marks.holds("reason", refused.reason, "RATE_LIMITED", is_met=refused.reason == "RATE_LIMITED")
    headers = {name: refused.headers[f"ratelimit-{name}"] for name in ("limit", "remaining", "reset")}
    expected = {"limit": "3", "remaining": "0", "reset": str(wait_s)}
    marks.holds("RateLimit headers", json.dumps(headers), json.dumps(expected), is_met=headers == expected)
    marks.equals("status after waiting as long as told", later.status, 200)
