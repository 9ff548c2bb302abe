"""Messages of a request body, taken part by part."""

from __future__ import annotations

import pytest

from api_gateway.edge.body import IncomingBody
from api_gateway.model.errors import GatewayError, bad_request
from api_gateway.streams.requests import messages_of_body


class Words:
    """Implements `transcoding.request_stream.RequestMessages`: words are messages, `!` is wrong."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        if b"!" in data:
            raise bad_request("wrong")
        *words, self._rest = (self._rest + data).split(b" ")
        return words

    def finish(self) -> list[bytes]:
        return [self._rest]


def arriving() -> IncomingBody:
    return IncomingBody(declared_bytes=None, on_demand=lambda: None, on_pressure=lambda: None)


async def test_each_part_yields_what_it_completes() -> None:
    body = arriving()
    messages = messages_of_body(body, Words())
    body.feed(b"one two thr")
    assert [await anext(messages), await anext(messages)] == [b"one", b"two"]
    body.feed(b"ee")
    body.finish()
    assert [message async for message in messages] == [b"three"]
    assert body.is_endless, "neither its length nor its time is bounded"


async def test_no_body_is_an_empty_one() -> None:
    assert [message async for message in messages_of_body(None, Words())] == [b""]


async def test_mistakes_are_raised() -> None:
    body = arriving()
    body.feed(b"one !")
    with pytest.raises(GatewayError, match="wrong"):
        await anext(messages_of_body(body, Words()))
