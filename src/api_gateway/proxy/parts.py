"""What the request needs of parts on its own floor and above, so that it knows none of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..model.errors import GatewayError
from ..model.exchange import Exchange
from ..model.message import Request, Response
from ..model.policy import Policy


class Endpoint(Protocol):
    """Something the gateway answers itself, such as `/health`."""

    template: str
    policies: Sequence[Policy]

    async def answer(self, request: Request) -> Response:
        """Answer one request that its policies admitted. May raise GatewayError."""


class ErrorResponder(Protocol):
    """Turns an error into an answer; `edge.respond.ErrorAnswers` is the one there is."""

    def __call__(self, error: GatewayError, *, registry: Any, headers: Sequence[tuple[bytes, bytes]]) -> Response:
        """Return the answer."""

    def in_stream(self, error: GatewayError, *, registry: Any) -> bytes:
        """Return the JSON that tells of an error inside an answer that has begun."""


class CrossOrigin(Protocol):
    """What pages of other origins may do; `edge.cors.Cors` is the one there is."""

    def preflight(self, request: Request) -> Response | None:
        """Return the answer to a preflight, None for any other request."""

    def admits(self, request: Request) -> bool:
        """Whether a page may open a WebSocket."""

    def headers(self, request: Request) -> Sequence[tuple[bytes, bytes]]:
        """Return the headers of any other answer."""


class ExchangeListener(Protocol):
    """Hears of every finished exchange, once."""

    def started(self) -> None:
        """A request has begun."""

    def finished(self, exchange: Exchange) -> None:
        """A request has ended."""
