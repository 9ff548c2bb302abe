"""The files of `google.protobuf`, as everybody knows them or mangled."""

from __future__ import annotations

from api_gateway.schema.files import read_files
from api_gateway.schema.well_known import restore_well_known
from tests.support.descriptors import descriptors_of

from .scenes import api_file, build_shop, common_file, mangled_google_file, shop_file


def test_well_known_types_keep_their_json() -> None:
    place, _ = build_shop(shop_file(), common_file(), mangled_google_file(), api_file()).methods()
    order = place.input.type.from_json('{"mask": "line.sku"}')
    assert order.to_json() == '{"mask":"line.sku"}'


def test_merged_file_is_replaced_by_the_real_ones() -> None:
    files = read_files([mangled_google_file().SerializeToString(), shop_file().SerializeToString()])
    restore_well_known(files)
    assert "google_protobuf.proto" not in files
    assert {"acme_shop.proto", "google/protobuf/descriptor.proto", "google/protobuf/any.proto"} <= files.keys()


def test_real_files_stay_as_they_came() -> None:
    files = read_files(descriptors_of("everything.proto"))
    before = dict(files)
    restore_well_known(files)
    assert files == before
    assert "google/protobuf/timestamp.proto" in files
