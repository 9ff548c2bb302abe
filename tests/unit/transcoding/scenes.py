"""Short ways to the parts under test, over the schema of `tests/protos`."""

from __future__ import annotations

import json
from typing import Any

from protobuf import DescMessage

from api_gateway.config.settings import TranscodingSettings
from api_gateway.model.errors import GatewayError
from api_gateway.schema import Method
from api_gateway.transcoding.any_types import AnyTypes
from api_gateway.transcoding.binding import Binding, compile_binding, compile_frames
from api_gateway.transcoding.codecs import Codecs, compile_encoder
from api_gateway.transcoding.json_codec import Encoder
from api_gateway.transcoding.json_decoder import JsonDecoder
from tests.support.descriptors import method_of, schema_of

SCHEMA = schema_of("everything.proto", "legacy.proto", "modern.proto")
REGISTRY = SCHEMA.registry
DEFAULTS = TranscodingSettings()
CODECS = Codecs(DEFAULTS, REGISTRY)


def descriptor(name: str) -> DescMessage:
    """Return a message type of package `everything`, or of any package by its full name."""
    found = REGISTRY.message(name if "." in name else f"everything.{name}")
    assert found is not None, name
    return found


def method(name: str) -> Method:
    """Return a method of `everything.EverythingService`, or of any service by its full name."""
    return method_of(SCHEMA, name if "/" in name else f"everything.EverythingService/{name}")


def decoder(name: str, **settings: Any) -> JsonDecoder:
    return JsonDecoder(descriptor(name), TranscodingSettings(**settings), REGISTRY)


def binding(name: str, *variables: str, body: str = "", verb: str = "", **settings: Any) -> Binding:
    return compile_binding(
        method(name), variables, body=body, codecs=Codecs(TranscodingSettings(**settings), REGISTRY), verb=verb
    )


def frames(name: str, *variables: str) -> Binding:
    return compile_frames(method(name), variables, codecs=CODECS)


def encoder(name: str, response_body: str = "", **settings: Any) -> Encoder:
    return compile_encoder(
        method(name), response_body=response_body, codecs=Codecs(TranscodingSettings(**settings), REGISTRY)
    )


def message_bytes(name: str, **fields: Any) -> bytes:
    """Return a serialized message; fields by JSON name, with JSON values."""
    return descriptor(name).type.from_json(json.dumps(fields), registry=REGISTRY).to_binary()


def as_json(name: str, message: bytes) -> Any:
    """Return the JSON of a serialized message, parsed."""
    return json.loads(descriptor(name).type.from_binary(message).to_json(registry=AnyTypes(REGISTRY).as_registry()))


class Case:
    """One binding, asked again and again; answers with the parsed JSON of the message it made."""

    def __init__(self, name: str, *variables: str, body: str = "", verb: str = "", **settings: Any) -> None:
        self._input = method(name).input.type_name
        self._binding = binding(name, *variables, body=body, verb=verb, **settings)

    def __call__(self, *variables: str, query: str = "", body: bytes = b"", kind: bytes = b"") -> Any:
        return as_json(self._input, self._binding.bind(variables, query, body, kind))


def summary(error: GatewayError) -> tuple[int, str, str]:
    """Return status, reason and field of an error."""
    return error.http, error.reason, error.metadata.get("field", "")
