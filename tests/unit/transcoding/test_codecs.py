"""Codecs that the routes of a service share."""

from __future__ import annotations

import pytest
from protobuf import DescMessage, Registry

from api_gateway.config.settings import TranscodingSettings
from api_gateway.transcoding import codecs as module
from api_gateway.transcoding.binding import compile_binding
from api_gateway.transcoding.codecs import Codecs
from api_gateway.transcoding.json_decoder import JsonDecoder
from tests.unit.transcoding.scenes import CODECS, DEFAULTS, REGISTRY, descriptor, method


def test_a_message_type_has_one_codec() -> None:
    assert CODECS.decoder(descriptor("Scalars")) is CODECS.decoder(descriptor("Scalars"))
    assert CODECS.decoder(descriptor("Scalars")) is not CODECS.decoder(descriptor("Maps"))
    assert CODECS.encoder(descriptor("Scalars")) is CODECS.encoder(descriptor("Scalars"))
    assert CODECS.encoder(descriptor("Scalars")) is not Codecs(DEFAULTS, REGISTRY).encoder(descriptor("Scalars"))


def test_routes_of_one_type_share_its_codecs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory and build time of a large table follow its types, not its routes."""
    made = []

    def make(message: DescMessage, settings: TranscodingSettings, registry: Registry) -> JsonDecoder:
        made.append(message.type_name)
        return JsonDecoder(message, settings, registry)

    monkeypatch.setattr(module, "JsonDecoder", make)
    codecs = Codecs(DEFAULTS, REGISTRY)
    for body in ("*", "scalars", "") * 3:
        binding = compile_binding(method("Echo"), (), body=body, codecs=codecs)
        binding.bind((), "wellKnown.value=1" if body != "*" else "", b"{}" if body else b"", b"")
    assert sorted(made) == ["everything.Everything", "everything.Scalars", "google.protobuf.Value"]
