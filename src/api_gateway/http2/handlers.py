"""What the users of a connection implement to hear of its streams and of itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import ngh2

C = TypeVar("C", contravariant=True)
"""The kind of connection, which stands above this module."""

Headers = Sequence[tuple[bytes, bytes]]
"""Field names in lower case and values, in order."""


class StreamHandler(Protocol):
    """What one stream tells its user, in the order of the wire; `stream_closed` is last and comes exactly once."""

    def informational_received(self, headers: Headers) -> None:
        """A 1xx response came before the final one."""

    def headers_received(self, headers: Headers, end_stream: bool) -> None:
        """The final response head came (in the client role)."""

    def data_received(self, data: bytes, end_stream: bool) -> None:
        """One DATA payload came. Give its size back with `Connection.consume` when it is no longer held."""

    def trailers_received(self, headers: Headers) -> None:
        """Trailers came; the peer sends nothing more."""

    def reset_received(self, error_code: int) -> None:
        """The peer reset the stream."""

    def sendable(self) -> None:
        """More of the body may be given to `Connection.send_data`."""

    def not_sent(self, error: ngh2.NGH2Error) -> None:
        """The stream never came to be: the engine could not send its head. Comes instead of `stream_closed`."""

    def stream_closed(self, error_code: int, reason: str) -> None:
        """The stream is over.

        `error_code` is an HTTP/2 code, 0 after an orderly end; `reason` tells of a connection that failed.
        """


class ConnectionOwner(Protocol[C]):
    """Who is told of what concerns the whole connection."""

    def connection_ready(self, connection: C) -> None:
        """The peer's first SETTINGS came: streams may be opened."""

    def settings_changed(self, connection: C) -> None:
        """The peer sent SETTINGS again."""

    def goaway_received(self, connection: C, last_stream_id: int, error_code: int, debug_data: bytes) -> None:
        """The peer takes no new streams; those above `last_stream_id` were not processed and are closed next."""

    def worn_out(self, connection: C, reason: str) -> None:
        """New streams had better go to another connection."""

    def stream_freed(self, connection: C) -> None:
        """A stream ended, so that another one may start."""

    def connection_lost(self, connection: C, reason: str) -> None:
        """The connection is gone and all its streams were closed. Called exactly once."""

    def request_received(
        self, connection: C, stream_id: int, headers: Headers, end_stream: bool
    ) -> StreamHandler | None:
        """In the server role, a request head came. None refuses the stream (REFUSED_STREAM)."""
