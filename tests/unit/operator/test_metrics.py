"""The page of metrics: the scraper's wish goes to whoever renders, and the answer comes back whole."""

from __future__ import annotations

import asyncio

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


async def test_a_flood_shares_pages_that_are_made_one_at_a_time() -> None:
    """P8: who asks gets a page that was begun after that, and of each format no more than one waits for its turn."""
    made: list[bytes] = []
    is_begun, may_end = asyncio.Event(), asyncio.Event()

    async def render(wish: bytes) -> tuple[bytes, bytes]:
        made.append(wish)
        is_begun.set()
        await may_end.wait()
        return b"text/plain", b"%d" % len(made)

    page = MetricsPage(render)

    async def body(accept: bytes) -> bytes:
        return (await page.answer(scrape({b"accept": accept}))).body

    async with asyncio.TaskGroup() as scrapers:
        first = scrapers.create_task(body(b"first"))
        await is_begun.wait()
        texts = [scrapers.create_task(body(b"text/%d" % number)) for number in range(50)]
        others = [scrapers.create_task(body(b"application/openmetrics-text")) for _ in range(50)]
        for _ in range(10):
            await asyncio.sleep(0)
        assert made == [b"first"]
        texts[0].cancel()
        may_end.set()
    assert first.result() == b"1"
    assert {text.result() for text in texts[1:]} == {b"2"}
    assert {other.result() for other in others} == {b"3"}
    assert made == [b"first", b"text/0", b"application/openmetrics-text"]


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
