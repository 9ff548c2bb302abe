"""The scripted peer against a client that is not ours: the h2 project's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events
import pytest

from tests.support.h2_frames import DEFAULT_WINDOW_BYTES, Error, Setting, data, rst_stream
from tests.support.scripted_peer import Manners, PeerConnection, ScriptedPeer, prefixed, values

HEAD = [(":method", "POST"), (":scheme", "http"), (":path", "/a"), (":authority", "b"), ("x-a", "1"), ("x-a", "2")]


class Client:
    """A client that does what it is told, blocking on nothing but its socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self._reader, self.writer = reader, writer
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        """Write what is due."""
        self.writer.write(self.h2.data_to_send())

    async def until(self, kind: type[h2.events.Event]) -> list[h2.events.Event]:
        """Read until an event of this kind came; return all events on the way."""
        events: list[h2.events.Event] = []
        while not any(isinstance(event, kind) for event in events):
            received = await self._reader.read(65_536)
            assert received
            events += self.h2.receive_data(received)
            self.flush()
        return events


@asynccontextmanager
async def talking(manners: Manners | None = None) -> AsyncIterator[tuple[Client, PeerConnection]]:
    async with ScriptedPeer(manners) as peer:
        client = Client(*await asyncio.open_connection("127.0.0.1", peer.port))
        try:
            yield client, await peer.accept()
        finally:
            client.writer.close()


async def test_a_polite_exchange() -> None:
    async with talking(Manners(settings={Setting.MAX_CONCURRENT_STREAMS: 3})) as (client, peer):
        client.h2.send_headers(1, HEAD)
        client.h2.send_data(1, prefixed(b"question"), end_stream=True)
        client.flush()
        request = await peer.request()
        assert (request.field(b":path"), values(request.fields, b"x-a")) == (b"/a", [b"1", b"2"])
        assert request.body == prefixed(b"question")
        peer.reply(1, b"answer")
        events = await client.until(h2.events.StreamEnded)
        assert [event.data for event in events if isinstance(event, h2.events.DataReceived)] == [prefixed(b"answer")]
        assert client.h2.remote_settings.max_concurrent_streams == 3
        # Window was given back for the stream and the connection alike.
        assert client.h2.outbound_flow_control_window == DEFAULT_WINDOW_BYTES


async def test_windows_are_kept() -> None:
    async with talking() as (client, peer):
        client.h2.send_headers(1, HEAD, end_stream=True)
        client.flush()
        await peer.request()
        peer.send(peer.head(1))
        sending = asyncio.get_running_loop().create_task(peer.send_body(1, bytes(100_000)))
        received = 0
        while received < 100_000:
            for event in await client.until(h2.events.DataReceived):
                if isinstance(event, h2.events.DataReceived):
                    received += len(event.data)
                    client.h2.acknowledge_received_data(event.flow_controlled_length, 1)
            client.flush()
        await sending
        assert received == 100_000


async def test_misbehaving() -> None:
    """It sends what it is told, and keeps what the client says to it."""
    async with talking(Manners(answers_pings=False)) as (client, peer):
        client.h2.send_headers(1, HEAD)
        client.h2.ping(b"01234567")
        client.flush()
        await peer.request_head()
        peer.send(data(1, b"a body before the head"))
        with pytest.raises(h2.exceptions.ProtocolError):
            await client.until(h2.events.DataReceived)
        client.flush()
        await peer.frame(7)
        assert peer.outstanding_pings == 0


async def test_resets_and_ends() -> None:
    async with talking() as (client, peer):
        client.h2.send_headers(1, HEAD)
        client.h2.reset_stream(1, Error.CANCEL)
        client.flush()
        await peer.request_head()
        assert await peer.reset_of(1) == Error.CANCEL
        client.h2.send_headers(3, HEAD)
        client.flush()
        await peer.request_head()
        peer.send(rst_stream(3, Error.REFUSED_STREAM))
        await client.until(h2.events.StreamReset)
        client.writer.close()
        await peer.closed()
        with pytest.raises(ConnectionResetError):
            await peer.request()


async def test_a_port_that_is_given_up_and_taken_again() -> None:
    async with ScriptedPeer() as peer:
        port = peer.port
        peer.stop_listening()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await peer.listen()
        assert peer.port == port
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await peer.accept()
