"""How an answer ends: trailers, Trailers-Only, and what is not gRPC (G15 to G18, G20, G21, G23 to G25)."""

from __future__ import annotations

import pytest

from api_gateway.grpc.call import MAX_SHOWN_BODY_BYTES
from api_gateway.model.errors import Source
from api_gateway.model.status import Code
from tests.support.channels import code_of, error_of
from tests.support.h2_frames import data
from tests.support.scripted_peer import prefixed
from tests.wire.conftest import Link


async def test_status_and_metadata_of_success(link: Link) -> None:
    """G15: OK comes in trailers; metadata without what belongs to HTTP and gRPC."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    peer.send(
        peer.head(stream_id, (b"x-a", b"1"), (b"x-a", b"2")),
        data(stream_id, prefixed(b"abc")),
        peer.trailers(stream_id, (b"x-b-bin", b"AAE"), (b"grpc-status-details-bin", b"AAE")),
    )
    reply = await call
    assert reply.headers == [(b"x-a", b"1"), (b"x-a", b"2")]
    assert reply.trailers == [(b"x-b-bin", b"AAE")]


@pytest.mark.parametrize("code", [code for code in Code if code])
@pytest.mark.parametrize("where", ["trailers", "trailers only"])
async def test_every_status(link: Link, code: Code, where: str) -> None:
    """G15, G16: code, message and details, in both forms."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    details = (b"grpc-status-details-bin", b"CAUSAm5v")
    text = b"caf%C3%A9"
    if where == "trailers":
        peer.send(peer.head(stream_id), peer.trailers(stream_id, details, status=b"%d" % code, message=text))
    else:
        peer.send(peer.trailers_only(stream_id, details, status=b"%d" % code, message=text))
    error = await error_of(call)
    assert (error.code, error.message, error.details) == (
        code,
        "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
        b"\x08\x05\x12\x02no",
    )
    assert (error.source, error.reason) == (Source.UPSTREAM, "")


async def test_no_trailers(link: Link) -> None:
    """G15: a message and END_STREAM without a status is no success."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(link.peer.head(stream_id), data(stream_id, prefixed(b"abc"), end_stream=True))
    assert (await error_of(call)).code == Code.UNKNOWN


async def test_trailers_without_a_status(link: Link) -> None:
    """G15, G18: HTTP 200 without grpc-status is UNKNOWN."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    peer.send(
        peer.head(stream_id), data(stream_id, prefixed(b"abc")), peer.fields(stream_id, [(b"x", b"y")], end_stream=True)
    )
    assert (await error_of(call)).code == Code.UNKNOWN


@pytest.mark.parametrize("body", [b"", prefixed(b"abc")], ids=["then trailers", "then a body"])
async def test_status_in_a_head_that_is_not_the_last_word_is_ignored(link: Link, body: bytes) -> None:
    """G16: only trailers, or a head with END_STREAM, tell the status."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    frames = [data(stream_id, body)] if body else []
    peer.send(
        peer.head(stream_id, (b"grpc-status", b"9"), (b"grpc-message", b"ignore me")),
        *frames,
        peer.trailers(stream_id, status=b"0" if body else b"5", message=b"taken"),
    )
    if body:
        assert (await call).message == b"abc"
    else:
        error = await error_of(call)
        assert (error.code, error.message) == (Code.NOT_FOUND, "taken")


@pytest.mark.parametrize("end", ["trailers without one", "end of the body"])
async def test_status_in_a_head_never_stands_in_for_the_trailers(link: Link, end: str) -> None:
    """G16: a head that says OK and nothing after it that does: no success."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    peer.send(peer.head(stream_id, (b"grpc-status", b"0")), data(stream_id, prefixed(b"abc")))
    if end == "end of the body":
        peer.send(data(stream_id, b"", end_stream=True))
    else:
        peer.send(peer.fields(stream_id, [(b"x-a", b"1")], end_stream=True))
    assert await code_of(call) == Code.UNKNOWN


async def test_metadata_of_trailers_only(link: Link) -> None:
    """G16: it is told, and once: it counts as headers."""
    call = link.channel.stream()
    call.close_send()
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(link.peer.trailers_only(stream_id, (b"x-a", b"1"), (b"x-b-bin", b"AAE"), status=b"0"))
    assert await call.receive() is None
    assert (call.headers, call.trailers) == ([(b"x-a", b"1"), (b"x-b-bin", b"AAE")], [])


HTTP_CODES = [
    (400, Code.INTERNAL),
    (401, Code.UNAUTHENTICATED),
    (403, Code.PERMISSION_DENIED),
    (404, Code.UNIMPLEMENTED),
    (429, Code.UNAVAILABLE),
    (431, Code.INTERNAL),
    (502, Code.UNAVAILABLE),
    (503, Code.UNAVAILABLE),
    (504, Code.UNAVAILABLE),
    (200, Code.UNKNOWN),
    (204, Code.UNKNOWN),
    (302, Code.UNKNOWN),
    (418, Code.UNKNOWN),
    (500, Code.UNKNOWN),
]


@pytest.mark.parametrize(("http", "code"), HTTP_CODES)
@pytest.mark.parametrize("form", ["head only", "page", "grpc"])
async def test_http_status_without_grpc_status(link: Link, http: int, code: Code, form: str) -> None:
    """G18, G20: the table of http-grpc-status-mapping, with and without a body."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    status = b"%d" % http
    if form == "head only":
        peer.send(peer.head(stream_id, status=status, content_type=b"text/html", end_stream=True))
    elif form == "page":
        peer.send(peer.head(stream_id, status=status, content_type=b"text/html"))
        if http != 204:
            peer.send(data(stream_id, b"<html>no"))
        peer.send(data(stream_id, b"", end_stream=True))
    else:
        peer.send(peer.head(stream_id, status=status), data(stream_id, b"", end_stream=True))
    error = await error_of(call)
    assert error.code == code
    if form == "page" and http != 204:
        assert "<html>no" in error.message


@pytest.mark.parametrize("http", [200, 403, 503])
@pytest.mark.parametrize("content_type", [b"application/grpc", b"text/html"])
async def test_grpc_status_wins_over_http(link: Link, http: int, content_type: bytes) -> None:
    """G17: whatever :status says, in trailers and in Trailers-Only."""
    peer = link.peer
    for trailers_only in (True, False):
        call = link.channel.unary()
        stream_id = (await peer.request()).stream_id
        status = b"%d" % http
        if trailers_only:
            fields = [(b"grpc-status", b"5"), (b"grpc-message", b"gone")]
            peer.send(peer.head(stream_id, *fields, status=status, content_type=content_type, end_stream=True))
        else:
            peer.send(
                peer.head(stream_id, status=status, content_type=content_type),
                peer.trailers(stream_id, status=b"5", message=b"gone"),
            )
        error = await error_of(call)
        assert (error.code, error.message) == (Code.NOT_FOUND, "gone")


async def test_grpc_status_ok_wins_over_http(link: Link) -> None:
    """G17: a proxy's 503 with a gRPC answer in it is that answer."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    peer.send(peer.head(stream_id, status=b"503"), data(stream_id, prefixed(b"abc")), peer.trailers(stream_id))
    assert (await call).message == b"abc"


@pytest.mark.parametrize(
    "content_type", [b"text/html", b"application/grpc+thrift", b"application/grpc-web", b"application/json", b""]
)
@pytest.mark.parametrize("http", [b"200", b"503"])
async def test_another_content_type_is_never_success(link: Link, content_type: bytes, http: bytes) -> None:
    """G20, G21: not even with grpc-status 0."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    peer.send(
        peer.head(stream_id, status=http, content_type=content_type),
        data(stream_id, prefixed(b"abc")),
        peer.trailers(stream_id),
    )
    error = await error_of(call)
    assert error.code == (Code.UNKNOWN if http == b"200" else Code.UNAVAILABLE)
    assert error.http >= 400


@pytest.mark.parametrize(
    "content_type", [b"application/grpc+proto", b"application/grpc;charset=utf-8", b"Application/GRPC"]
)
async def test_content_types_of_grpc(link: Link, content_type: bytes) -> None:
    """G21: the suffix of protobuf, parameters, any case."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    peer.send(
        peer.head(stream_id, content_type=content_type), data(stream_id, prefixed(b"abc")), peer.trailers(stream_id)
    )
    assert (await call).message == b"abc"


async def test_a_long_page_is_shown_in_part(link: Link) -> None:
    """G20: bounded, over many frames."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    peer.send(peer.head(stream_id, status=b"502", content_type=b"text/html"))
    peer.send(data(stream_id, b"<ht"), data(stream_id, b"ml>"))
    await peer.send_body(stream_id, b"x" * 600_000, frame_bytes=1_000)
    await peer.in_step()
    assert len(call._shown_body) < 2 * MAX_SHOWN_BODY_BYTES
    peer.send(data(stream_id, b"", end_stream=True))
    error = await error_of(call)
    assert error.code == Code.UNAVAILABLE
    assert "<html>xxx" in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize("value", [b"abc", b"-1", b"", b"99999999999", b"+0", b"0 0"])
async def test_malformed_grpc_status(link: Link, value: bytes) -> None:
    """G24: UNKNOWN."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    peer.send(peer.head(stream_id), data(stream_id, prefixed(b"abc")), peer.trailers(stream_id, status=value))
    assert await code_of(call) == Code.UNKNOWN


async def test_a_status_gRPC_does_not_define(link: Link) -> None:  # noqa: N802 - gRPC is spelled so
    """G24: a number is kept for the log; clients see 500."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(link.peer.trailers_only(stream_id, status=b"42"))
    error = await error_of(call)
    assert (error.code, error.http) == (42, 500)


@pytest.mark.parametrize("text", [b"100%", b"%zz", b"%ff%fe", b"\xff\xfe", b"%"])
async def test_bad_messages_do_not_lose_the_status(link: Link, text: bytes) -> None:
    """G23: never raises."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(link.peer.trailers_only(stream_id, status=b"5", message=text))
    assert await code_of(call) == Code.NOT_FOUND


async def test_bad_details_do_not_lose_the_status(link: Link) -> None:
    """G25: the call ends with its code, without details."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    fields = ((b"grpc-status-details-bin", b"!!"),)
    link.peer.send(link.peer.trailers_only(stream_id, *fields, status=b"5", message=b"gone"))
    error = await error_of(call)
    assert (error.code, error.message, error.details) == (Code.NOT_FOUND, "gone", b"")
