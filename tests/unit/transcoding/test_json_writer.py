"""JSON written by the gateway itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_gateway.transcoding.json_writer import JsonOptions, field_writer
from tests.unit.transcoding.scenes import REGISTRY, descriptor
from tests.unit.transcoding.strategies import messages, same_json


def _options(*, emit_defaults: bool = False, ints: bool = False, names: bool = False) -> JsonOptions:
    return JsonOptions(
        registry=REGISTRY, always_emit_implicit=emit_defaults, print_enums_as_ints=ints, use_proto_field_name=names
    )


@pytest.mark.parametrize("name", ["Scalars", "Optionals", "Repeated", "Maps", "Oneofs", "WellKnown"])
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_field_alone_reads_like_in_its_message(name: str, data: st.DataObject) -> None:
    """semantics 13, 17: the value of a member, with each option."""
    generated = data.draw(messages(f"everything.{name}"))
    decoded = descriptor(name).type.from_binary(generated.SerializeToString())
    for options in (_options(), _options(emit_defaults=True), _options(ints=True), _options(names=True)):
        whole: dict[str, Any] = json.loads(decoded.to_json(**options))
        for field in descriptor(name).fields:
            member = field.name if options["use_proto_field_name"] else field.json_name
            if member in whole:
                assert same_json(json.loads(field_writer(field)(decoded, options)), whole[member]), field.name


def test_map_keys_are_strings() -> None:
    decoded = descriptor("Maps").type.from_json(
        '{"boolBool": {"true": false}, "int64Int64": {"-5": 6}, "stringString": {"\\"": "\\n"}}'
    )
    written = {
        field.json_name: field_writer(field)(decoded, _options())
        for field in descriptor("Maps").fields
        if field in decoded
    }
    assert written == {"boolBool": '{"true":false}', "int64Int64": '{"-5":"6"}', "stringString": '{"\\"":"\\n"}'}
