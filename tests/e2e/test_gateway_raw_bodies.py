"""Bodies that are raw bytes, streamed both ways, against three gRPC libraries (semantics 14, 18, 25)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.backends import LIBRARIES, Backend
from tests.support.echo_behaviour import payload_of
from tests.support.gateway import RunningGateway, serving, start_gateway
from tests.support.memory import resident_bytes
from tests.support.raw_http import RawClient, get, request

ECHO = "tests.echo.EchoService"
OVERRIDES = [
    {"grpc_method": f"{ECHO}/Upload", "http_method": "POST", "http_path": "/files/:id", "body": "content"},
    {"grpc_method": f"{ECHO}/Download", "http_method": "GET", "http_path": "/files/:id"},
]
PART = payload_of(7, 256 * 1024)
PARTS = 40
LIMIT_BYTES = 1_000_000
GROWTH_BYTES = 8_000_000


@pytest.fixture(scope="module")
def gateways(request: pytest.FixtureRequest) -> Iterator[dict[str, RunningGateway]]:
    """A gateway in front of each backend, by the backend's library."""
    with ExitStack() as stack:
        started = {}
        for library in LIBRARIES:
            backend: Backend = request.getfixturevalue(f"{library}_backend")
            limits = {"default_limit": LIMIT_BYTES}
            config = serving(backend.endpoint, route_overrides=OVERRIDES, body_limit=limits)
            started[library] = stack.enter_context(start_gateway(config))
        yield started


@pytest.fixture
def gateway(backend: Backend, gateways: dict[str, RunningGateway]) -> RunningGateway:
    """Each of the three in turn."""
    return gateways[backend.library]


@pytest.mark.parametrize("framing", [f"Content-Length: {PARTS * len(PART)}", "Transfer-Encoding: chunked"])
async def test_semantics_18_large_upload_travels_in_parts(gateway: RunningGateway, framing: str) -> None:
    """10 MB where a message may have 1 MB: the type and the path are in the first message, and in no other."""
    is_chunked = "chunked" in framing
    before_bytes = resident_bytes(gateway.process.pid)
    digest = hashlib.sha256()
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        await client.send(request("POST", "/files/f-1", framing, "Content-Type: image/png"))
        for _ in range(PARTS):
            digest.update(PART)
            await client.send(b"%x\r\n%b\r\n" % (len(PART), PART) if is_chunked else PART)
        await client.send(b"0\r\n\r\n" if is_chunked else b"")
        answer = await client.answer()
    assert answer.status == 200, answer
    summary = answer.json()
    assert int(summary.pop("messageCount")) > PARTS / 2
    assert summary == {
        "id": "f-1",
        "sizeBytes": str(PARTS * len(PART)),
        "sha256": digest.hexdigest(),
        "contentType": "image/png",
    }
    assert resident_bytes(gateway.process.pid) - before_bytes < GROWTH_BYTES


def test_semantics_14_forms_with_files_are_raw_too(gateway: RunningGateway) -> None:
    kind = "multipart/form-data; boundary=cut"
    body = b'--cut\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n\x00\xff\r\n--cut--\r\n'
    answer = gateway.ask("POST", "/files/f-2", body, headers={"content-type": kind})
    assert answer.json() == {
        "id": "f-2",
        "messageCount": 1,
        "sizeBytes": str(len(body)),
        "sha256": hashlib.sha256(body).hexdigest(),
        "contentType": kind,
    }


def test_upload_of_nothing_is_a_message_all_the_same(gateway: RunningGateway) -> None:
    """It has the path and the type."""
    answer = gateway.ask("POST", "/files/f-3", b"", headers={"content-type": "text/plain"})
    assert (answer.json()["id"], answer.json()["messageCount"], answer.json()["contentType"]) == (
        "f-3",
        1,
        "text/plain",
    )


async def test_bounded_memory_slow_backend_holds_a_raw_upload_back(gateway: RunningGateway) -> None:
    """The backend reads one message and no more: windows and socket buffers take the rest, not our memory."""
    before_bytes = resident_bytes(gateway.process.pid)
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        await client.send(request("POST", "/files/f-4?sleepMs=60000", "Transfer-Encoding: chunked"))
        part = b"%x\r\n%b\r\n" % (len(PART), PART)
        assert await client.send_until_blocked(part, limit_bytes=200_000_000) < 40_000_000
        client.reset()
    assert resident_bytes(gateway.process.pid) - before_bytes < 2 * GROWTH_BYTES


async def test_semantics_18_download_is_the_bytes_with_the_type_of_the_first_message(gateway: RunningGateway) -> None:
    target = "/files/f-5?text=image/png&seed=3&behaviour.messageCount=20&behaviour.responseSizeBytes=100000"
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        answer = await client.ask(get(target))
        assert (answer.status, answer.header(b"content-type")) == (200, b"image/png")
        assert answer.header(b"transfer-encoding") == b"chunked"
        assert answer.body == b"".join(payload_of(3 + index, 100_000) for index in range(20))


async def test_semantics_24_download_that_fails_is_cut(gateway: RunningGateway) -> None:
    failure = "behaviour.failure.code=14&behaviour.failure.message=gone"
    target = f"/files/f-6?behaviour.messageCount=3&behaviour.responseSizeBytes=1000&{failure}"
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        assert (await client.ask(get(target))).status == 503, "before the first message"
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        await client.send(get(f"{target}&behaviour.failure.afterMessages=2"))
        received = await client.rest()
    assert payload_of(1, 1_000) in received
    assert b"gone" not in received
    assert not received.endswith(b"0\r\n\r\n")
