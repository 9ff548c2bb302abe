"""Which messages went compressed over a connection: libraries do not tell, bytes do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from api_gateway.grpc.connectivity import ChannelOptions
from tests.support.backends import Backend
from tests.support.channels import TestedChannel, channel_to
from tests.support.fault_proxy import Direction, FaultProxy
from tests.support.h2_frames import PADDED, PREFACE, FrameReader, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedChannel:
    """A channel of one connection that is listened to."""

    channel: TestedChannel
    proxy: FaultProxy

    def sent(self) -> list[bool]:
        """Return for each message that went to the server whether it was compressed, stream by stream."""
        return flags_of(bytes(self.proxy.kept[Direction.TO_SERVER][len(PREFACE) :]))

    def received(self) -> list[bool]:
        """Return the same of the messages that came back."""
        return flags_of(bytes(self.proxy.kept[Direction.TO_CLIENT]))


@asynccontextmanager
async def watched_channel(
    backend: Backend, *, compressed_from_bytes: int | None = None
) -> AsyncIterator[WatchedChannel]:
    """Open a channel; messages of `compressed_from_bytes` and more are sent compressed, None for none."""
    options = ChannelOptions(pool_size=1, compressed_from_bytes=compressed_from_bytes)
    async with FaultProxy(backend.port, keeps_bytes=True) as proxy, channel_to(proxy.endpoint, options) as channel:
        yield WatchedChannel(channel=channel, proxy=proxy)


def flags_of(wire: bytes) -> list[bool]:
    """Return the compressed-flag of every whole message in frames without padding."""
    streams: dict[int, bytearray] = defaultdict(bytearray)
    for frame in FrameReader().feed(wire):
        if frame.kind == Kind.DATA:
            assert not frame.flags & PADDED
            streams[frame.stream_id] += frame.payload
    flags = []
    for data in streams.values():
        at = 0
        while len(data) >= at + 5:
            flags.append(data[at] == 1)
            at += 5 + int.from_bytes(data[at + 1 : at + 5], "big")
    return flags
