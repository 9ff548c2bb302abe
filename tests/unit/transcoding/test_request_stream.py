"""Messages of a client stream: what each is made of, and how a broken one is told."""

from __future__ import annotations

from typing import Any

import pytest

from api_gateway.config.settings import TranscodingSettings
from api_gateway.model.errors import GatewayError
from api_gateway.transcoding.binding import Binding, compile_binding
from api_gateway.transcoding.codecs import Codecs
from api_gateway.transcoding.request_stream import read_messages
from tests.support.descriptors import schema_of
from tests.support.gen.echo_pb2 import EchoRequest

ECHO = schema_of("echo.proto")
METHOD = next(method for method in ECHO.methods() if method.name == "ClientStream")
JSON = b"application/json"
LINES = b"application/x-ndjson"


def binding(*variables: str, body: str = "*") -> Binding:
    return compile_binding(
        METHOD, variables, body=body, codecs=Codecs(TranscodingSettings(), ECHO.registry), verb="POST"
    )


def messages(*parts: bytes, kind: bytes = JSON, route: Binding | None = None, **options: Any) -> list[EchoRequest]:
    reader = read_messages(
        route or binding(), options.get("variables", ()), options.get("query", ""), kind, limit_bytes=100
    )
    made = [message for part in parts for message in reader.feed(part)] + reader.finish()
    return [EchoRequest.FromString(message) for message in made]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(LINES, b'{"text":"a"}\n{"text":"b"}\n', id="ndjson"),
        pytest.param(b"application/jsonl; charset=utf-8", b'{"text":"a"}\n{"text":"b"}', id="jsonl"),
        pytest.param(JSON, b'[{"text":"a"},{"text":"b"}]', id="array"),
        pytest.param(JSON, b'{"text":"a"} {"text":"b"}', id="objects in a row, as grpc-gateway has them"),
        pytest.param(b"", b'[{"text":"a"},{"text":"b"}]', id="no type"),
        pytest.param(b"application/x-www-form-urlencoded", b'[{"text":"a"},{"text":"b"}]', id="what curl says"),
    ],
)
def test_semantics_25_each_json_text_is_a_message(kind: bytes, body: bytes) -> None:
    assert [message.text for message in messages(body, kind=kind)] == ["a", "b"]


def test_other_formats_are_415() -> None:
    with pytest.raises(GatewayError) as caught:
        messages(b"x", kind=b"text/csv")
    assert caught.value.http == 415


def test_path_and_query_belong_to_the_first_message() -> None:
    """As in Envoy and Google's gateways."""
    sent = messages(b'{"text":"a"}\n{"text":"b"}', kind=LINES, route=binding("id"), variables=("7",))
    assert [(message.id, message.text) for message in sent] == [("7", "a"), ("", "b")]
    sent = messages(b'{"name":"n"}\n{"name":"m"}', kind=LINES, route=binding(body="item"), query="text=t")
    assert [(message.item.name, message.text) for message in sent] == [("n", "t"), ("m", "")]


def test_rule_without_a_body_makes_one_message_of_path_and_query() -> None:
    assert [message.text for message in messages(route=binding(body=""), query="text=t")] == ["t"]
    with pytest.raises(GatewayError, match="takes no request body"):
        messages(b"{}", route=binding(body=""))


@pytest.mark.parametrize("body", [b"", b"[]"])
def test_no_text_is_no_message(body: bytes) -> None:
    assert messages(body) == []


@pytest.mark.parametrize(
    ("body", "kind", "number", "offset", "text"),
    [
        pytest.param(b'{"text":"a"}\n{"text":}\n', LINES, "2", "13", "line 1 column 9", id="syntax in a line"),
        pytest.param(b'[{"text":"a"}, {"nope":1}]', JSON, "2", "15", "nope", id="unknown field"),
        pytest.param(b'[{"text":"a"},]', JSON, "2", "14", "expected a value", id="array's own syntax"),
        pytest.param(b'[{"text":"a"},{"text":', JSON, "2", "14", "not closed", id="cut off"),
        pytest.param(b'[{"text":1}]', JSON, "1", "1", "text", id="wrong type"),
    ],
)
def test_broken_message_is_named_by_number_and_position(
    body: bytes, kind: bytes, number: str, offset: str, text: str
) -> None:
    """Semantics 16, 25."""
    with pytest.raises(GatewayError, match=text) as caught:
        messages(body, kind=kind)
    assert caught.value.http == 400
    assert caught.value.message.startswith(f"message {number} (at byte {offset}): ")
    assert (caught.value.metadata["message_number"], caught.value.metadata["offset"]) == (number, offset)


def test_message_over_the_limit_is_413_with_its_number() -> None:
    with pytest.raises(GatewayError, match="message 2") as caught:
        messages(b'{"text":"a"}\n{"text":"' + b"x" * 100, kind=LINES)
    assert caught.value.http == 413
