"""The page of metrics: the scraper's wish goes to whoever renders, and the answer comes back whole."""

from __future__ import annotations

import pytest

from api_gateway.model.errors import GatewayError
from api_gateway.model.message import Request
from api_gateway.model.status import Code
from api_gateway.operator.metrics import MetricsPage


@pytest.mark.parametrize(
    ("headers", "accept"),
    [({}, b""), ({b"accept": b"application/openmetrics-text"}, b"application/openmetrics-text")],
    ids=["none", "openmetrics"],
)
async def test_page_is_rendered_as_the_scraper_asks(headers: dict[bytes, bytes], accept: bytes) -> None:
    asked: list[bytes] = []

    async def render(wish: bytes) -> tuple[bytes, bytes]:
        asked.append(wish)
        return b"text/plain", b"up 1\n"

    page = MetricsPage(render)
    response = await page.answer(scrape(headers))
    assert asked == [accept]
    assert (response.status, response.headers[0], response.body) == (200, (b"content-type", b"text/plain"), b"up 1\n")
    assert page.policies == ()


async def test_files_that_cannot_be_read_are_503() -> None:
    """The scraper's own alarm tells of it; the reason is for the log."""

    async def render(wish: bytes) -> tuple[bytes, bytes]:
        raise FileNotFoundError("/run/gateway/metrics")

    with pytest.raises(GatewayError) as caught:
        await MetricsPage(render).answer(scrape({}))
    assert (caught.value.code, caught.value.reason) == (Code.UNAVAILABLE, "METRICS_UNAVAILABLE")
    assert "/run" not in caught.value.message
    assert "/run" in caught.value.log_reason


def scrape(headers: dict[bytes, bytes]) -> Request:
    return Request(
        method="GET",
        path="/metrics",
        query="",
        headers=headers,
        repeated=frozenset(),
        body=None,
        peer="",
        started_s=0.0,
    )
