"""The well-known details of errors."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import Descriptor
from google.rpc import error_details_pb2, status_pb2

from api_gateway.transcoding.error_details import error_detail_types

_GOOGLE = [status_pb2.Status.DESCRIPTOR, *error_details_pb2.DESCRIPTOR.message_types_by_name.values()]


def _signature(message: Descriptor) -> dict[str, tuple[int, str, int, bool]]:
    return {field.name: (field.number, field.json_name, field.type, field.is_repeated) for field in message.fields}


@pytest.mark.parametrize("google", _GOOGLE, ids=lambda message: message.name)
def test_definitions_match_googles(google: Descriptor) -> None:
    """semantics 20: names, numbers, JSON names and types of every field, nested messages included."""
    waiting = [google]
    while waiting:
        theirs = waiting.pop()
        ours = error_detail_types().message(theirs.full_name)
        if theirs.GetOptions().map_entry:
            continue
        assert ours is not None, theirs.full_name
        found = {
            field.name: (field.proto.number, field.json_name, int(field.proto.type), int(field.proto.label) == 3)
            for field in ours.fields
        }
        assert found == _signature(theirs)
        waiting += theirs.nested_types


def test_types_are_built_once() -> None:
    assert error_detail_types() is error_detail_types()
