"""JSON of any shape: Struct, Value and ListValue."""

from __future__ import annotations

import pytest

from api_gateway.transcoding.free_values import count_free_values
from tests.unit.transcoding.scenes import descriptor


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [
        pytest.param("Scalars", {"aString": "x"}, 0, id="none"),
        pytest.param("Repeated", {"int64Values": [1, "2"], "masks": ["a"], "durations": ["1s"] * 3}, 6, id="compact"),
        pytest.param("Maps", {"stringTimestamp": {"a": "x", "b": "y"}}, 2, id="map_of_compact"),
        pytest.param("WellKnown", {"int64Value": 1}, 1, id="single_compact"),
        pytest.param("Repeated", {"int32s": [1] * 50, "values": [1, [2, 3]]}, 5, id="only_the_free_ones"),
        pytest.param(
            "WellKnown", {"struct": {"a": 1, "b": {"c": None}}, "any": {"@type": "x"}}, 6, id="struct_and_any"
        ),
        pytest.param("Everything", {"wellKnown": {"value": 1}, "maps": {"stringValue": {"a": 1}}}, 3, id="nested"),
        pytest.param("Tree", {"children": [{"named": {"a": {}}}]}, 0, id="lists_and_maps_of_messages"),
        pytest.param("google.protobuf.Struct", {"a": [1, 2]}, 4, id="root"),
        pytest.param("Scalars", [1, 2], 0, id="wrong_shape"),
        pytest.param("Repeated", {"messages": 5, "nope": [1], "structs": "x"}, 1, id="wrong_shapes_inside"),
    ],
)
def test_values_in_free_places_are_counted(name: str, value: object, count: int) -> None:
    """P8: each of them becomes a message."""
    assert count_free_values(descriptor(name), value) == count
