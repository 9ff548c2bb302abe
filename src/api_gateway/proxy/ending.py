"""How an exchange ends: what its answer is made of, what is noted about an error, who hears that it is over."""

from __future__ import annotations

from collections.abc import Callable

from ..model.errors import GatewayError, Source
from ..model.exchange import Exchange
from ..model.message import HeaderList, Response
from ..policy.chain import Permit
from ..telemetry.tracing import note
from ..transcoding.headers import response_headers, success_status
from .parts import ExchangeListener


class Ending:
    """Ends exchanges: each once, with its status set."""

    def __init__(self, clock: Callable[[], float], listener: ExchangeListener) -> None:
        self._clock = clock
        self._listener = listener

    def end(self, exchange: Exchange, permit: Permit | None) -> None:
        """Let the policies that admitted the exchange hear how it ended, then everybody else."""
        now_s = self._clock()
        exchange.duration_s = now_s - exchange.request.started_s
        if permit is not None:
            permit.settle(exchange, now_s)
        self._listener.finished(exchange)

    def finished(self, exchange: Exchange, permit: Permit | None, response: Response) -> Response:
        """End an exchange by its answer, and return that."""
        exchange.status = response.status
        self.end(exchange, permit)
        return response

    def abandoned(self, exchange: Exchange, permit: Permit | None) -> None:
        """End an exchange whose client did not wait for the answer."""
        exchange.status, exchange.error_reason = 499, "CLIENT_GONE"
        note(exchange, "client gone")
        exchange.grpc_code = None
        self.end(exchange, permit)


def success(
    exchange: Exchange, content_type: bytes, content: bytes, headers: HeaderList, trailers: HeaderList
) -> Response:
    """Return the answer to a call that succeeded; the backend's metadata may choose its status (semantics 18, 29)."""
    answer = [(b"content-type", content_type), *exchange.response_headers]
    status = 200
    if headers or trailers:
        metadata = headers + trailers
        status = success_status(metadata)
        answer.extend(response_headers(metadata))
    return Response(status, answer, content)


def note_error(exchange: Exchange, error: GatewayError) -> None:
    """Keep what the log and the metrics tell of an error."""
    exchange.error_reason = error.reason or ("UPSTREAM_STATUS" if error.source is Source.UPSTREAM else "")
    exchange.error_detail = error.log_reason
    if error.source is Source.UPSTREAM:
        exchange.grpc_code = error.code
        exchange.attempts = error.attempts
