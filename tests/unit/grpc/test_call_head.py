"""What the calls of one method have in common."""

from __future__ import annotations

import gzip

import pytest

from api_gateway.grpc.call_head import CallHeads
from api_gateway.grpc.target import parse_target
from tests.support.scripted_peer import prefixed


def test_heads_are_made_once() -> None:
    heads = CallHeads(parse_target("https://users:443"), "test/1", compressed_from_bytes=None)
    head = heads.of(b"/a.B/C")
    assert heads.of(b"/a.B/C") is head
    assert heads.of(b"/a.B/D") is not head
    assert len(heads) == 2
    assert (b":scheme", b"https") in head.before_timeout
    assert (b"user-agent", b"test/1") in head.after_timeout


@pytest.mark.parametrize(
    ("from_bytes", "size_bytes", "is_compressed"),
    [(None, 10_000, False), (1_000, 999, False), (1_000, 1_000, True), (0, 100, True), (0, 1, False)],
)
def test_long_messages_are_compressed(from_bytes: int | None, size_bytes: int, is_compressed: bool) -> None:
    """G64: the encoding is named in every head, each message says for itself; what would get longer is not."""
    head = CallHeads(parse_target("http://a:1"), "test", compressed_from_bytes=from_bytes).of(b"/a.B/C")
    assert ((b"grpc-encoding", b"gzip") in head.after_timeout) is (from_bytes is not None)
    sent = head.encode(bytes(size_bytes))
    if is_compressed:
        assert gzip.decompress(sent[5:]) == bytes(size_bytes)
        assert sent[:5] == prefixed(sent[5:], flag=1)[:5]
    else:
        assert sent == prefixed(bytes(size_bytes))
