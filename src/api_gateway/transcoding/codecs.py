"""The JSON codecs of one backend's messages, each made once: thousands of routes lead to few message types."""

from __future__ import annotations

from protobuf import DescMessage, Registry

from ..config.settings import TranscodingSettings
from ..schema import Method
from .fields import HTTP_BODY, message_of
from .json_codec import Encoder, HttpBodyEncoder, JsonEncoder
from .json_decoder import JsonDecoder
from .json_writer import field_writer


class Codecs:
    """Decoders and encoders for the message types of one schema under one set of options.

    All routes of a service share one of these, and so the plans of the native codec, which take some 50 kB for a type
    that leads to a dozen others. It must not outlive its schema: what it keeps is bounded by the schema's types.
    """

    __slots__ = ("_decoders", "_encoders", "registry", "settings")

    def __init__(self, settings: TranscodingSettings, registry: Registry) -> None:
        self.settings = settings
        self.registry = registry
        self._decoders: dict[str, JsonDecoder] = {}
        self._encoders: dict[str, JsonEncoder] = {}

    def decoder(self, message: DescMessage) -> JsonDecoder:
        """Return what reads JSON as a message type."""
        found = self._decoders.get(message.type_name)
        if found is None:
            found = self._decoders[message.type_name] = JsonDecoder(message, self.settings, self.registry)
        return found

    def encoder(self, message: DescMessage) -> JsonEncoder:
        """Return what writes messages of a type as JSON."""
        found = self._encoders.get(message.type_name)
        if found is None:
            found = self._encoders[message.type_name] = JsonEncoder(message, self.settings, self.registry)
        return found


def compile_encoder(method: Method, *, response_body: str, codecs: Codecs) -> Encoder:
    """Build the encoder for a method's answers. `response_body` names the field that is the whole body, or is empty.

    Raises ValueError when there is no such field.
    """
    output = method.output
    if not response_body:
        return HttpBodyEncoder(output, None) if output.type_name == HTTP_BODY else codecs.encoder(output)
    field = next((field for field in output.fields if response_body in (field.name, field.json_name)), None)
    if field is None:
        raise ValueError(f"response_body: {output.type_name} has no field {response_body}")
    inner = message_of(field)
    if inner is not None and inner.type_name == HTTP_BODY:
        return HttpBodyEncoder(output, field)
    return JsonEncoder(output, codecs.settings, codecs.registry, field_writer(field))
