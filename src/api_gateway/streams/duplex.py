"""One call whose requests go out while its answers come in: both directions, each held by its own slower end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from ..grpc import failures
from ..model.errors import GatewayError, Source
from ..model.message import HeaderList
from ..model.status import Code
from ..model.upstream import Answers, MessageStream
from ..telemetry.log import get_logger
from ..waiting import Runner

_log = get_logger("api_gateway.streams")

Requests = AsyncGenerator[bytes, None]
"""Serialized request messages, as they come from the client. Its end is the half-close; GatewayError ends the call."""


class Duplex:
    """Sends `requests` beside the answers. Implements `model.upstream.Answers`.

    What is wrong with the requests cancels the call, and whoever receives gets that error. When the call ends, whatever
    the client still wants to send is not read any more. A call in which nothing moves for `idle_s`, in neither
    direction, ends with DEADLINE_EXCEEDED. `clock` is monotonic. Call `start` once; whoever does not receive up to the
    end must `cancel`.
    """

    def __init__(self, stream: MessageStream, requests: Requests, *, idle_s: float, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._requests = requests
        self._idle_s = idle_s
        self._clock = clock
        self._moved_s = clock()
        self._runner: Runner | None = None

    @property
    def attempts(self) -> int:
        """Times the call was tried."""
        return self._stream.attempts

    @property
    def headers(self) -> HeaderList:
        """Response metadata."""
        return self._stream.headers

    @property
    def trailers(self) -> HeaderList:
        """Trailing metadata."""
        return self._stream.trailers

    def start(self) -> None:
        """Begin to send."""
        self._runner = Runner(self._send_all(), self._sent)
        self._runner.start()

    async def receive(self, timeout_s: float | None = None) -> bytes | None:
        """See `Answers.receive`."""
        due_s = None if timeout_s is None else self._clock() + timeout_s
        try:
            while True:
                idle_at_s = self._moved_s + self._idle_s
                wait_s = (idle_at_s if due_s is None else min(idle_at_s, due_s)) - self._clock()
                try:
                    message = await self._stream.receive(max(0.0, wait_s))
                except TimeoutError:
                    if self._clock() >= self._moved_s + self._idle_s:
                        raise self._too_idle() from None
                    if due_s is not None and self._clock() >= due_s:
                        raise
                    continue
                self._moved_s = self._clock()
                break
        except GatewayError:
            self._stop_sending()
            raise
        if message is None:
            self._stop_sending()
        return message

    def cancel(self) -> bool:
        """Give the call up, and what the client sends. Nothing happens when it has ended."""
        self._stop_sending()
        return self._stream.cancel()

    async def _send_all(self) -> None:
        try:
            async for message in self._requests:
                self._moved_s = self._clock()
                await self._stream.send(message)
            self._stream.close_send()
        finally:
            await self._requests.aclose()

    def _sent(self, _: object, error: BaseException | None) -> None:
        self._runner = None
        if isinstance(error, GatewayError):
            # Of a call that has ended this is its own end, which who receives has heard already.
            self._stream.abort(error)
        elif isinstance(error, Exception):
            _log.error("unexpected error", exc_info=error)
            self._stream.abort(
                GatewayError(Code.INTERNAL, "the gateway failed to handle this request", reason="INTERNAL")
            )

    def _stop_sending(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.cancel()

    def _too_idle(self) -> GatewayError:
        error = GatewayError(
            Code.DEADLINE_EXCEEDED,
            f"nothing moved for {self._idle_s:g} s, in neither direction",
            reason="STREAM_IDLE",
            source=Source.CLIENT,
        )
        self._stream.abort(error)
        return error


async def only_message(stream: Answers, service: str) -> bytes:
    """Return the one message of an answer that is no stream. Raises GatewayError, 502 for none or two of them."""
    message = await stream.receive()
    if message is None:
        raise failures.cardinality(service, "no message")
    if await stream.receive() is not None:
        raise failures.cardinality(service, "two messages")
    return message
