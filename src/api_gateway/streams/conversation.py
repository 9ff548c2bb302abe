"""A streaming call held over a WebSocket: each text frame is a message, either way (semantics 25)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Final

from ..model.errors import GatewayError, Source
from ..model.message import HeaderList, Request
from ..model.status import Code, code_name
from ..model.upstream import MessageStream
from ..model.websocket import Conversation, Farewell, Handshake, MessageSocket
from ..routing.route import Route
from ..routing.table import RouteTable
from ..transcoding.request_stream import TextMessages
from .duplex import Duplex

NORMAL: Final = 1000
"""Close code of status OK."""
FIRST_CODE: Final = 4000
"""Close codes of other statuses are this and the gRPC code; RFC 6455 leaves 4000 to 4999 to applications."""
_VERBS: Final = ("GET", "POST", "PUT", "PATCH")


def match_socket(routes: RouteTable[Route], request: Request, path: str) -> tuple[Route, tuple[str, ...]] | None:
    """Find a streaming method for a WebSocket, whatever HTTP method its route has: browsers can only open by GET.

    Where there is none, the upgrade is passed over (RFC 9110 section 7.8).
    """
    for verb in _VERBS:
        try:
            found = routes.match(verb, path)
        except GatewayError:
            continue
        if found[0].frames is not None:
            return found
    request.handshake = None
    return None


def refuse_socket(handshake: Handshake, *, is_admitted: bool) -> None:
    """Raise GatewayError for a handshake that is wrong (400, 426), or comes from a page that may not call (403)."""
    if handshake.error is not None:
        raise handshake.error
    if not is_admitted:
        text = "pages of this origin may not call"
        raise GatewayError(Code.PERMISSION_DENIED, text, reason="ORIGIN_NOT_ALLOWED", source=Source.CLIENT)


def upgrade_headers(handshake: Handshake) -> HeaderList:
    """Return what belongs to the answer of a handshake that is accepted."""
    headers = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade"), (b"sec-websocket-accept", handshake.accept)]
    return [*headers, (b"sec-websocket-protocol", handshake.protocol)] if handshake.protocol else headers


class SocketConversation:
    """One call. Implements `model.websocket.Conversation`.

    `open_call` starts it, `encode` returns an answer's JSON, `explain` an error's. `on_end` is called exactly once,
    with the error the call ended with, and whether the client heard the end.
    """

    def __init__(
        self,
        open_call: Callable[[], MessageStream],
        messages: TextMessages,
        *,
        max_message_bytes: int,
        idle_s: float,
        clock: Callable[[], float],
        encode: Callable[[bytes], bytes],
        explain: Callable[[GatewayError], bytes],
        on_end: Callable[[GatewayError | None, bool], None],
    ) -> None:
        self.max_message_bytes = max_message_bytes
        self._open_call = open_call
        self._messages = messages
        self._idle_s = idle_s
        self._clock = clock
        self._encode = encode
        self._explain = explain
        self._on_end = on_end

    async def hold(self, socket: MessageSocket) -> Farewell:
        """See `Conversation.hold`."""
        requests = messages_of_socket(socket, self._messages)
        duplex = Duplex(self._open_call(), requests, idle_s=self._idle_s, clock=self._clock)
        try:
            duplex.start()
            while (message := await duplex.receive()) is not None:
                await socket.send(self._encode(message))
        except GatewayError as error:
            duplex.cancel()
            self._on_end(error, True)
            await socket.send(self._explain(error))
            return Farewell(code=FIRST_CODE + error.code, reason=f"{code_name(error.code)}: {error.message}")
        except BaseException:
            duplex.cancel()
            self._on_end(None, False)
            raise
        self._on_end(None, True)
        return Farewell(code=NORMAL, reason="OK")

    def abandon(self) -> None:
        """See `Conversation.abandon`."""
        self._on_end(None, False)


async def messages_of_socket(socket: MessageSocket, messages: TextMessages) -> AsyncGenerator[bytes, None]:
    """Iterate over the messages of a socket up to the half-close; of a method that takes one request there is one."""
    if not messages.takes_texts:
        socket.end_receiving()
        yield messages.read(b"")
        return
    while (text := await socket.receive()) is not None:
        if messages.takes_one:
            socket.end_receiving()
            yield messages.read(text)
            return
        yield messages.read(text)


if TYPE_CHECKING:
    _conversation: type[Conversation] = SocketConversation
