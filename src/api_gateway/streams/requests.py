"""Where the messages of a stream of requests come from."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from ..model.message import Body
from ..transcoding.request_stream import RequestMessages


async def messages_of_body(body: Body | None, messages: RequestMessages) -> AsyncGenerator[bytes, None]:
    """Iterate over the messages of a request body while it arrives; a slow taker holds the client back.

    Raises GatewayError as `messages` does, and what the connection says about a body that breaks off.
    """
    if body is not None:
        chunks = body.chunks(None)
        try:
            async for chunk in chunks:
                for message in messages.feed(chunk):
                    yield message
        finally:
            await chunks.aclose()
    for message in messages.finish():
        yield message
