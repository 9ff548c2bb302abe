"""A unary call without sockets: its one message, plain or compressed. How calls end is asked in `test_call.py`."""

from __future__ import annotations

import gzip

import pytest

from api_gateway.model.status import Code
from tests.support.h2_frames import data
from tests.support.memory_link import MemoryLink
from tests.support.scripted_peer import prefixed
from tests.unit.grpc.test_call import error_of, nothing_left


@pytest.fixture
def link() -> MemoryLink:
    made = MemoryLink()
    made.greet()
    return made


@pytest.mark.parametrize("slices", [1, 9, 16_384])
@pytest.mark.parametrize("is_compressed", [True, False])
def test_the_message_in_any_slices(link: MemoryLink, slices: int, is_compressed: bool) -> None:
    """G4, G64: with grpc-encoding each message still says for itself whether it is compressed."""
    call = link.unary()
    link.feed(link.head(1, (b"grpc-encoding", b"gzip")))
    content = b"hello" * 100
    body = prefixed(gzip.compress(content), flag=1) if is_compressed else prefixed(content)
    for at in range(0, len(body), slices):
        link.feed(data(1, body[at : at + slices]))
    link.feed(link.trailers(1))
    assert call.result().message == content
    nothing_left(link)


@pytest.mark.parametrize(
    "messages",
    [(), (b"",), (b"one", b"two")],
    ids=["none", "empty", "two"],
)
def test_exactly_one_message(link: MemoryLink, messages: tuple[bytes, ...]) -> None:
    """G6, G26."""
    call = link.unary()
    link.feed(link.head(1), data(1, b"".join(prefixed(each) for each in messages)), link.trailers(1))
    if len(messages) == 1:
        assert call.result().message == b""
    else:
        assert (error_of(call).code, error_of(call).http) == (Code.UNIMPLEMENTED, 502)
    nothing_left(link)


async def test_the_deadline_holds_while_a_long_answer_is_read(link: MemoryLink) -> None:
    """G64: the status has come; the message has not been read to its end."""
    link.owner.max_message_bytes = 4_000_000
    call = link.unary(timeout_s=5.0)
    message = prefixed(gzip.compress(bytes(4_000_000)), flag=1)
    link.feed(link.head(1, (b"grpc-encoding", b"gzip")), data(1, message), link.trailers(1))
    assert not call.done()
    link.loop.advance(6.0)
    assert error_of(call).code == Code.DEADLINE_EXCEEDED
    nothing_left(link)


async def test_a_long_answer_that_was_read_has_no_deadline_any_more(link: MemoryLink) -> None:
    link.owner.max_message_bytes = 4_000_000
    call = link.unary(timeout_s=5.0)
    message = prefixed(gzip.compress(bytes(4_000_000)), flag=1)
    link.feed(link.head(1, (b"grpc-encoding", b"gzip")), data(1, message), link.trailers(1))
    assert (await call).message == bytes(4_000_000)
    nothing_left(link)
