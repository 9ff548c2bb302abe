"""`/metrics`: the numbers of all workers, for Prometheus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ..model.message import Request, Response
from ..model.policy import Policy


class MetricsPage:
    """Answers with the text format that the scraper asks for."""

    template = "/metrics"
    policies: Sequence[Policy] = ()

    def __init__(self, render: Callable[[bytes], Awaitable[tuple[bytes, bytes]]]) -> None:
        """`render` takes the Accept header and returns content type and body."""
        self._render = render

    async def answer(self, request: Request) -> Response:
        """Answer."""
        content_type, body = await self._render(request.headers.get(b"accept", b""))
        return Response(200, [(b"content-type", content_type)], body)
