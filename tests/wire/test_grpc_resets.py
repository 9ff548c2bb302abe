"""RST_STREAM, GOAWAY and lost connections, frame by frame (G31 to G39)."""

from __future__ import annotations

from tests.support.h2_frames import goaway
from tests.wire.conftest import Link


async def test_smoke(link: Link) -> None:
    call = link.channel.unary(b"hello")
    request = await link.peer.request()
    link.peer.reply(request.stream_id, b"world")
    assert (await call).message == b"world"


async def test_goaway_in_the_middle_of_a_call(link: Link) -> None:
    """G35, G37: a call at or below the last stream id finishes; then the connection closes."""
    call = link.channel.unary(b"hello")
    request = await link.peer.request()
    link.peer.send(goaway(request.stream_id))
    await link.peer.in_step()
    link.peer.reply(request.stream_id, b"world")
    assert (await call).message == b"world"
    await link.peer.closed()
