"""`/metrics`: the numbers of all workers, for Prometheus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ..model.errors import unavailable
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
        """Answer; 503 when the files of the workers cannot be read, which says so to whoever watches the scraper."""
        try:
            content_type, body = await self._render(request.headers.get(b"accept", b""))
        except OSError as error:
            text = "the metrics of the workers cannot be read"
            raise unavailable(text, "METRICS_UNAVAILABLE", log_reason=str(error)) from error
        return Response(200, [(b"content-type", content_type)], body)
