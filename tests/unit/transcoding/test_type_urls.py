"""Type URLs of `Any`, kept as they were sent."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format

from api_gateway.transcoding.json_decoder import JsonDecoder
from api_gateway.transcoding.type_urls import may_hold_foreign
from tests.support.descriptors import schema_from_text
from tests.unit.transcoding.scenes import DEFAULTS, decoder
from tests.unit.transcoding.strategies import POOL, message_class, same_message

_TREE = {"@type": "example.com/a/everything.Tree", "name": "x"}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"any": _TREE}, id="field"),
        pytest.param({"any": {"@type": "everything.Tree"}}, id="no_prefix"),
        pytest.param({"any": {"@type": "/everything.Tree"}}, id="empty_prefix"),
        pytest.param({"anys": [{"@type": "type.googleapis.com/everything.Tree"}, _TREE, {}]}, id="list"),
        pytest.param({"any": {"@type": "x/google.protobuf.Duration", "value": "1s"}}, id="well_known_type"),
        pytest.param({"any": {"@type": "x/google.protobuf.Struct", "value": {"@type": "y/z"}}}, id="struct"),
        pytest.param({"any": {"@type": "x/google.protobuf.Any", "value": _TREE}}, id="any_in_any"),
        pytest.param(
            {"any": {"@type": "type.googleapis.com/everything.WellKnown", "any": _TREE}}, id="message_in_any_holds_one"
        ),
        pytest.param({"any": _TREE, "struct": {"@type": "y/z"}}, id="beside_one_that_only_looks_so"),
        pytest.param({"any": None, "anys": []}, id="none"),
    ],
)
def test_the_backend_gets_the_url_that_was_sent(value: object) -> None:
    """semantics 17: as Google's library reads it."""
    text = json.dumps(value)
    theirs = json_format.Parse(text, message_class("everything.WellKnown")(), descriptor_pool=POOL)
    ours = type(theirs).FromString(decoder("WellKnown").decode(text.encode()).to_binary())
    assert same_message(ours, theirs)


@pytest.mark.parametrize("key", ["7", "7.0", "70e-1", "\\u0037"])
def test_in_maps_too(key: str) -> None:
    """By their keys, which JSON may spell otherwise."""
    registry = schema_from_text(
        """
        syntax = "proto3";
        package p;
        import "google/protobuf/any.proto";
        message M { map<int32, google.protobuf.Any> anys = 1; string id = 2; }
        """
    ).registry
    kind = registry.message("p.M")
    assert kind is not None
    text = f'{{"anys": {{"6": {{"@type": "a/p.M"}}, "{key}": {{"@type": "b/p.M", "id": "x"}}}}}}'
    message = JsonDecoder(kind, DEFAULTS, registry).decode(text.encode()).to_binary()
    assert b"\x08\x06\x12\x07\x0a\x05a/p.M" in message
    assert b"\x08\x07\x12\x0c\x0a\x05b/p.M\x12\x03\x12\x01x" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"any":{"@type":"type.googleapis.com/a"}}', False),
        (b'{"any":{"@type" :\n "type.googleapis.com/a"}}', False),
        (b'{"any":{"@type" :\n "a"}}', True),
        (b'{"any":{"\\u0040type":"a"}}', True),
        (b'{"s":"type.googleapis.com/a","any":{"@type":"a"}}', True),
        (b'{"any":{}}', False),
    ],
)
def test_the_quick_look(text: bytes, expected: bool) -> None:
    assert may_hold_foreign(text) is expected
