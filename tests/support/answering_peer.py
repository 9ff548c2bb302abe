"""A backend that answers every request with its own message, and keeps a journal of what it executed."""

from __future__ import annotations

from collections.abc import Callable

from tests.support import h2_frames
from tests.support.h2_frames import MAX_PAYLOAD_BYTES
from tests.support.scripted_peer import Manners, PeerConnection, PeerRequest, ScriptedPeer


class AnsweringConnection(PeerConnection):
    """Hands every whole request to its peer, until it said GOAWAY."""

    def __init__(
        self, manners: Manners, on_made: Callable[[PeerConnection], None], on_request: Callable[..., None]
    ) -> None:
        super().__init__(manners, on_made)
        self._on_request = on_request
        self._last_stream_id = h2_frames.MAX_STREAM_ID

    def drain(self) -> None:
        """Say GOAWAY: what came until now is answered, what comes later is not executed."""
        self._last_stream_id = max(self.requests, default=0)
        self.send(h2_frames.goaway(self._last_stream_id))

    def whole_request(self, request: PeerRequest) -> None:
        """Hand it on."""
        if request.stream_id <= self._last_stream_id:
            self._on_request(self, request)


class AnsweringPeer(ScriptedPeer):
    """Answers as soon as a request is whole, unless it holds its answers back."""

    def __init__(self, manners: Manners | None = None) -> None:
        super().__init__(manners)
        self.executed: list[bytes] = []
        """The bodies of all requests executed, in order."""
        self.is_holding = False
        """Whether requests are executed without being answered."""
        self._held: list[tuple[PeerConnection, PeerRequest]] = []

    def release(self) -> None:
        """Answer what was held back."""
        self.is_holding = False
        held, self._held = self._held, []
        for connection, request in held:
            self._answer(connection, request)

    def drain(self) -> None:
        """Say GOAWAY on every connection."""
        for connection in self.connections:
            if not connection.is_closed:
                assert isinstance(connection, AnsweringConnection)
                connection.drain()

    def kill(self) -> None:
        """End every connection without a word, and listen no more."""
        self.stop_listening()
        for connection in self.connections:
            if not connection.is_closed:
                connection.abort()

    def _new_connection(self) -> PeerConnection:
        return AnsweringConnection(self.manners, self._made, self._execute)

    def _execute(self, connection: PeerConnection, request: PeerRequest) -> None:
        self.executed.append(request.body)
        if self.is_holding:
            self._held.append((connection, request))
        else:
            self._answer(connection, request)

    @staticmethod
    def _answer(connection: PeerConnection, request: PeerRequest) -> None:
        if not connection.is_closed and request.reset_code is None:
            stream_id, body = request.stream_id, request.body
            # The body is a whole message with its prefix already. It must fit the client's window.
            parts = [body[at : at + MAX_PAYLOAD_BYTES] for at in range(0, len(body), MAX_PAYLOAD_BYTES)]
            frames = [h2_frames.data(stream_id, part) for part in parts]
            connection.send(connection.head(stream_id), *frames, connection.trailers(stream_id))
