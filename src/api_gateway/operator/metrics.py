"""`/metrics`: the numbers of all workers, for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ..model.errors import unavailable
from ..model.message import Request, Response
from ..model.policy import Policy
from ..telemetry.metric_page import accepts_openmetrics

_Page = tuple[bytes, bytes]
"""Content type and body."""


class MetricsPage:
    """Answers with the text format that the scraper asks for.

    Nobody is kept from it and it counts against no limit, so that a flood must be cheap: one page is made at a time,
    and all who ask before the next one is begun share that.
    """

    template = "/metrics"
    policies: Sequence[Policy] = ()

    def __init__(self, render: Callable[[bytes], Awaitable[_Page]]) -> None:
        """`render` takes the Accept header and returns content type and body."""
        self._render = render
        self._turn = asyncio.Lock()
        self._coming: dict[bool, asyncio.Task[_Page]] = {}
        """Pages that are not begun yet, by whether they are OpenMetrics."""

    async def answer(self, request: Request) -> Response:
        """Answer; 503 when the files of the workers cannot be read, which says so to whoever watches the scraper."""
        accept = request.headers.get(b"accept", b"")
        kind = accepts_openmetrics(accept)
        page = self._coming.get(kind)
        if page is None:
            page = self._coming[kind] = asyncio.get_running_loop().create_task(self._make(kind, accept))
            page.add_done_callback(_hear)
        try:
            # A scraper that goes away takes the page from nobody else.
            content_type, body = await asyncio.shield(page)
        except OSError as error:
            text = "the metrics of the workers cannot be read"
            raise unavailable(text, "METRICS_UNAVAILABLE", log_reason=str(error)) from error
        return Response(200, [(b"content-type", content_type)], body)

    async def _make(self, kind: bool, accept: bytes) -> _Page:
        async with self._turn:
            # Who asks from now on may ask for what happened after it was begun.
            del self._coming[kind]
            return await self._render(accept)


def _hear(page: asyncio.Task[_Page]) -> None:
    """Ask how a page ended, lest asyncio reports an error that nobody waited for."""
    if not page.cancelled():
        page.exception()
