"""Bytes to requests, however they are cut, and whatever they are."""

from __future__ import annotations

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from api_gateway.edge.application import EdgeLimits
from tests.support.raw_http import get, post, post_chunked, request
from tests.support.request_wire import Wire, read

STREAM = b"".join(
    (
        get("/one?x=1", "X-A: 1", "X-A: 2"),
        post(b"hello world", "/two"),
        b"\r\n",
        post_chunked(b"first", b"second " * 30, target="/three"),
        request("POST", "/four", "Content-Length: 0"),
        request("POST", "/five", "Transfer-Encoding: chunked") + b'3;ext="a;b"\r\nabc\r\n0\r\nTrailer-Field: v\r\n\r\n',
        request("HEAD", "/six", "Connection: close"),
    )
)
ENOUGH = EdgeLimits(max_pipelined=10)


def details(wire: Wire) -> list[object]:
    headers = [
        (sorted(request.headers.items()), sorted(request.repeated), keep_alive)
        for request, _, keep_alive in wire.reader.requests
    ]
    return [wire.seen, headers, wire.refused, wire.reader.is_in_head, wire.reader.body]


WHOLE = details(read(STREAM, limits=ENOUGH))


def test_stream_is_valid() -> None:
    assert [seen[1] for seen in read(STREAM, limits=ENOUGH).seen] == [
        "/one",
        "/two",
        "/three",
        "/four",
        "/five",
        "/six",
    ]


def test_every_split_in_two_gives_the_same_requests() -> None:
    for at in range(len(STREAM) + 1):
        assert details(read(STREAM[:at], STREAM[at:], limits=ENOUGH)) == WHOLE, at


def test_byte_by_byte_gives_the_same_requests() -> None:
    assert details(read(*(STREAM[at : at + 1] for at in range(len(STREAM))), limits=ENOUGH)) == WHOLE


@given(st.sets(st.integers(0, len(STREAM)), max_size=30))
def test_any_split_gives_the_same_requests(cuts: set[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    segments = [STREAM[start:end] for start, end in itertools.pairwise(places)]
    assert details(read(*segments, limits=ENOUGH)) == WHOLE


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_end_in_requests_or_a_refusal(segments: list[bytes]) -> None:
    check_sound(read(*segments))


@settings(max_examples=300)
@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_mutated_requests_end_in_requests_or_a_refusal(chance: random.Random, mutations: int) -> None:
    data = bytearray(STREAM)
    for _ in range(mutations):
        at = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randrange(1, 20)]
            case 2:
                data[at:at] = chance.choice(
                    [b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"0", b"\r\n\r\n", b"\x0b", b"\xff"]
                )
            case _:
                start = chance.randrange(len(data))
                data[at:at] = data[start : start + 40]
    check_sound(read(bytes(data[:300]), bytes(data[300:]), limits=ENOUGH))


def check_sound(wire: Wire) -> None:
    """Whatever came, what was read obeys the rules that the rest of the gateway relies on."""
    for each, _, _ in wire.reader.requests:
        assert each.path.startswith("/")
        assert each.path.isascii()
        assert "#" not in each.path + each.query
        assert "?" not in each.path
        assert all(name == name.lower() and b" " not in name and b":" not in name for name in each.headers)
        assert all(not set(b"\r\n\0") & set(value) for value in each.headers.values())
        assert each.http_version == "1.0" or b"host" in each.headers
        assert not (b"content-length" in each.headers and b"transfer-encoding" in each.headers)
    assert wire.refused is None or wire.refused[0] in (400, 414, 417, 431, 501, 505)
    assert wire.refused is None or (not wire.reader.is_in_head and wire.reader.body is None)
