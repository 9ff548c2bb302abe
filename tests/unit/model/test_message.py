"""Requests and responses: what the parts may rely on when nothing is said."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from api_gateway.model.message import Request, Response


def test_requests_are_plain_http_1_1_unless_told_otherwise() -> None:
    request = Request(
        method="GET", path="/", query="", headers={}, repeated=frozenset(), body=None, peer="::1", started_s=1.5
    )
    assert (request.http_version, request.is_tls, request.body, request.started_s) == ("1.1", False, None, 1.5)
    with pytest.raises(AttributeError):
        request.cookies = {}  # type: ignore[attr-defined]  # the test is about this mistake


async def test_responses_have_a_body_or_a_stream() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"part"

    whole, streamed = Response(200, [], b"body"), Response(200, [], stream=parts())
    assert (whole.body, whole.stream, whole.close) == (b"body", None, False)
    assert streamed.body == b""
    assert streamed.stream is not None
    assert [part async for part in streamed.stream] == [b"part"]
