"""Whatever bytes a client sends: nothing is raised, nothing hangs, each connection ends in answers and a close."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from api_gateway.edge.application import EdgeLimits
from tests.support.http_application import SmallApplication
from tests.support.http_rig import Rig
from tests.support.raw_http import get, parse_answer, post, post_chunked, request

LIMITS = EdgeLimits(max_uri_bytes=200, max_header_bytes=2_000, max_header_count=20, max_pipelined=10)
PIECES = [
    get(),
    get("/hold"),
    get("/ignore"),
    get("/close"),
    get("/sized?70000"),
    post(b"hello"),
    post(b"x" * 3_000),
    post(b"not read", "/ignore"),
    post_chunked(b"one", b"two"),
    request("HEAD", "/echo"),
    request("GET", "/echo", "Connection: close"),
    request("GET", "/echo", version="HTTP/1.0"),
    request("GET", "/echo", "Connection: keep-alive", version="HTTP/1.0"),
    request("POST", "/echo", "Content-Length: 10", "Expect: 100-continue"),
    request("POST", "/echo", "Transfer-Encoding: chunked") + b"fffff\r\n",
    request("GET", "/echo", "Connection: Upgrade", "Upgrade: h2c"),
    b"\r\n",
    b"\0",
    b"GET /",
    b"Content-Length: 5\r\n",
    b"0\r\n\r\n",
    b"X: " + b"a" * 1_500,
]
EVENTS = ["release", "stall", "unstall", "wait", "drain"]


def check_answers(written: bytes, *, may_be_cut: bool) -> None:
    """What was written is a row of whole answers, of which only the last says that it is the last."""
    is_last = False
    while written:
        assert not is_last, "an answer behind the last one"
        parsed = parse_answer(written)
        if parsed is None or written.startswith(b"HTTP/1.1 100"):
            if parsed is None:
                # An answer to HEAD has a length and no body: what follows it begins with the next status line.
                head, _, rest = written.partition(b"\r\n\r\n")
                assert may_be_cut or rest.startswith(b"HTTP/1.1 ") or not rest, head
                is_last = b"connection: close" in head
                written = rest
                continue
            written = parsed[1]
            continue
        answer, rest = parsed
        if not rest.startswith(b"HTTP/1.1 ") and rest:
            head, _, rest = written.partition(b"\r\n\r\n")
            assert rest.startswith(b"HTTP/1.1 "), "the answer to a HEAD request"
        assert answer.status in (200, 400, 404, 408, 413, 414, 417, 431, 501, 505)
        is_last = answer.is_last
        written = rest


def play(segments: list[bytes | str]) -> Rig:
    """Play segments and events, then let all time pass."""
    application = SmallApplication()
    rig = Rig(application, LIMITS)
    for segment in segments:
        transport = rig.transport
        if isinstance(segment, bytes):
            if transport.is_reading() and not transport.is_closing():
                rig.receive(segment)
        elif not transport.is_closing():
            happen(segment, rig, application)
    for _ in range(50):
        application.release()
    if not rig.transport.is_closing():
        rig.unstall()
    for _ in range(50):
        application.release()
    rig.advance(1_000)
    return rig


def happen(event: str, rig: Rig, application: SmallApplication) -> None:
    match event:
        case "release":
            application.release()
        case "stall":
            rig.stall()
        case "unstall":
            rig.unstall()
        case "wait":
            rig.advance(4.0)
        case _:
            rig.server.is_draining = True
            rig.connection.drain()


def check_ended(rig: Rig) -> None:
    """After an idle, a body and a write timeout nothing may be open or running, whoever came."""
    assert rig.transport.is_closing()
    assert rig.loop.mistakes == []
    rig.lose()
    assert rig.server.connection_count == 0
    assert len(rig.wheel) == 0


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_random_bytes(segments: list[bytes]) -> None:
    rig = play(list(segments))
    check_answers(bytes(rig.transport.written), may_be_cut=False)
    check_ended(rig)


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=8), st.data())
def test_pieces_of_requests_in_any_order_and_any_cut(pieces: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    segments: list[bytes | str] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        segments.append(stream[start:end] or b"\r\n")
        segments.extend(data.draw(st.lists(st.sampled_from(EVENTS), max_size=2)))
    rig = play(segments)
    check_answers(bytes(rig.transport.written), may_be_cut=rig.transport.is_aborted)
    check_ended(rig)


@settings(max_examples=500)
@given(st.randoms(use_true_random=False), st.integers(1, 5))
def test_mutated_requests(chance: random.Random, mutations: int) -> None:
    """H23, without the other servers."""
    stream = bytearray(b"".join(chance.choices(PIECES, k=4)))
    for _ in range(mutations):
        at = chance.randrange(len(stream) + 1)
        if chance.random() < 0.3:
            del stream[at : at + chance.randrange(1, 10)]
        else:
            stream[at:at] = chance.choice(
                [b"\r\n", b"\n", b"\0", b" ", b":", b"chunked", b",", b"\x80", b"9", b"HTTP/1.1"]
            )
    middle = chance.randrange(len(stream) + 1)
    rig = play([bytes(stream[:middle]), bytes(stream[middle:])])
    check_ended(rig)
