"""Field masks filled with what a PATCH body names."""

from __future__ import annotations

import pytest
from protobuf import DescField

from api_gateway.transcoding.field_mask import MaskReader, is_field_mask, mask_field
from tests.unit.transcoding.scenes import descriptor


def _field(name: str, field: str) -> DescField:
    return next(found for found in descriptor(name).fields if found.name == field)


@pytest.mark.parametrize(
    ("name", "body", "mask"),
    [
        pytest.param("UpdateShelfRequest", "shelf", "update_mask", id="one_mask"),
        pytest.param("UpdateShelfRequest", "id", None, id="body_is_a_scalar"),
        pytest.param("UpdateShelfRequest", "update_mask", None, id="body_is_the_mask"),
        pytest.param("TwoMasksRequest", "shelf", None, id="two_masks"),
        pytest.param("FieldBodyRequest", "one", None, id="no_mask"),
        pytest.param("WellKnown", "struct", None, id="body_is_free_json"),
        pytest.param("WellKnown", "empty", "mask", id="body_is_empty"),
    ],
)
def test_mask_field(name: str, body: str, mask: str | None) -> None:
    """semantics 15: exactly one FieldMask, and a body that has fields."""
    found = mask_field(descriptor(name), _field(name, body))
    assert (found.name if found is not None else None) == mask


def test_repeated_masks_are_no_mask() -> None:
    assert not is_field_mask(_field("Repeated", "masks"))
    assert is_field_mask(_field("WellKnown", "mask"))


def test_paths_are_sorted_proto_names_without_doubles() -> None:
    """semantics 15."""
    reader = MaskReader(descriptor("Everything"))
    value = {"wellKnown": {"int64Value": "5", "struct": {"a": 1}}, "inner": {"level": 1}, "id": "", "nope": {"a": 1}}
    assert reader.paths(value) == ["id", "inner.level", "well_known.int64_value", "well_known.struct"]
    assert reader.paths({"well_known": {}, "wellKnown": {}}) == ["well_known"]


@pytest.mark.parametrize("value", [None, [], "x", 5, {}])
def test_what_is_no_object_has_no_paths(value: object) -> None:
    assert MaskReader(descriptor("Everything")).paths(value) == []
