"""The unary cases of grpc doc/interop-test-descriptions.md, against grpcio, grpclib and grpc-js."""

from __future__ import annotations

import pytest

from api_gateway.grpc.metadata import decode_binary_value
from api_gateway.model.status import Code
from tests.interop.conversation import LARGE_REQUEST, REPLY_BYTES, answered, path_of, unary
from tests.support.channels import TestedChannel, code_of, error_of
from tests.support.gen.interop_pb2 import EchoStatus, Empty, SimpleRequest, SimpleResponse


async def test_empty_unary(channel: TestedChannel) -> None:
    """`empty_unary`, G6: a message of no bytes is a message."""
    call = unary(channel, "EmptyCall", Empty())
    answer = await answered(call)
    assert answer.message == b""


async def test_large_unary(channel: TestedChannel) -> None:
    """`large_unary`: both ways more than windows hold."""
    answer = await answered(unary(channel, "UnaryCall", LARGE_REQUEST))
    assert SimpleResponse.FromString(answer.message).payload.body == bytes(REPLY_BYTES)


async def test_cacheable_unary(channel: TestedChannel) -> None:
    """`cacheable_unary`, without its cache: gRPC over HTTP/2 has only POST, so there is nothing a proxy could keep.

    Both calls succeed, the answers differ, and what the server says about caching comes through as metadata.
    """
    answers = [
        await answered(unary(channel, "CacheableUnaryCall", SimpleRequest(), [(b"x-user-ip", b"1.2.3.4")]))
        for _ in range(2)
    ]
    assert answers[0].message != answers[1].message
    assert [(b"cache-control", b"max-age=60, public") in answer.headers for answer in answers] == [True, True]


async def test_custom_metadata(channel: TestedChannel) -> None:
    """`custom_metadata`, its unary step: ASCII comes back in the head, binary in the trailers."""
    metadata = [
        (b"x-grpc-test-echo-initial", b"test_initial_metadata_value"),
        (b"x-grpc-test-echo-trailing-bin", b"q6ur"),
    ]
    answer = await answered(unary(channel, "UnaryCall", LARGE_REQUEST, metadata))
    assert dict(answer.headers)[b"x-grpc-test-echo-initial"] == b"test_initial_metadata_value"
    assert decode_binary_value(dict(answer.trailers)[b"x-grpc-test-echo-trailing-bin"]) == b"\xab\xab\xab"
    assert len(SimpleResponse.FromString(answer.message).payload.body) == REPLY_BYTES


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("test status message", id="status_code_and_message"),
        pytest.param(
            "\t\ntest with whitespace\r\nand Unicode BMP \N{WHITE SMILING FACE} and non-BMP "
            "\N{SMILING FACE WITH HORNS}\t\n",
            id="special_status_message",
        ),
    ],
)
async def test_status(channel: TestedChannel, message: str) -> None:
    """`status_code_and_message` (its unary step) and `special_status_message`."""
    request = SimpleRequest(response_status=EchoStatus(code=Code.UNKNOWN, message=message))
    error = await error_of(unary(channel, "UnaryCall", request))
    assert (error.code, error.message) == (Code.UNKNOWN, message)


async def test_unimplemented_method(channel: TestedChannel) -> None:
    """`unimplemented_method`."""
    assert await code_of(unary(channel, "UnimplementedCall", Empty())) == Code.UNIMPLEMENTED


async def test_unimplemented_service(channel: TestedChannel) -> None:
    """`unimplemented_service`."""
    path = path_of("UnimplementedCall", "grpc.testing.UnimplementedService")
    assert await code_of(channel.unary(path=path)) == Code.UNIMPLEMENTED
