"""Descriptors as Node.js backends send them: one file a package, no imports, type names without their package.

@grpc/reflection 1.0 with protobufjs 7 does this; tests/e2e/test_backends.py asks the real one.
"""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, empty_pb2, field_mask_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from api_gateway.schema import Schema, SchemaError, build_schema

MESSAGE = FieldDescriptorProto.TYPE_MESSAGE


def field(name: str, number: int, type_name: str = "") -> FieldDescriptorProto:
    kind = MESSAGE if type_name else FieldDescriptorProto.TYPE_STRING
    return FieldDescriptorProto(
        name=name, number=number, type=kind, label=FieldDescriptorProto.LABEL_OPTIONAL, type_name=type_name
    )


def shop_file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="acme_shop.proto", package="acme.shop", syntax="proto3")
    order = file.message_type.add(name="Order")
    order.nested_type.add(name="Line").field.append(field("sku", 1))
    order.field.extend(
        [
            field("line", 1, "Line"),
            field("address", 2, "common.Address"),
            field("mask", 3, "google.protobuf.FieldMask"),
        ]
    )
    # Outside of Order the same word means another type.
    file.message_type.add(name="Line").field.append(field("outer", 1))
    file.message_type.add(name="Basket").field.append(field("line", 1, "Line"))
    service = file.service.add(name="Orders")
    service.method.add(name="Place", input_type="Order", output_type=".acme.shop.Basket")
    service.method.add(name="Clear", input_type=".acme.shop.Order", output_type=".google.protobuf.Empty")
    return file


def common_file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="acme_common.proto", package="acme.common", syntax="proto3")
    file.message_type.add(name="Address").field.append(field("city", 1))
    return file


def mangled_google_file() -> FileDescriptorProto:
    """`google.protobuf` in one file: names in camelCase, and an option that leads to google.api and back."""
    file = FileDescriptorProto(name="google_protobuf.proto", package="google.protobuf", syntax="proto3")
    for module in (descriptor_pb2, empty_pb2, field_mask_pb2):
        original = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(original)
        file.message_type.extend(original.message_type)
    options = next(message for message in file.message_type if message.name == "MethodOptions")
    options.field.append(field("http", 72295728, ".google.api.HttpRule"))
    return file


def api_file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="google_api.proto", package="google.api", syntax="proto3")
    file.message_type.append(DescriptorProto(name="HttpRule", field=[field("get", 2)]))
    extension = field("http", 72295728, "HttpRule")
    extension.extendee = ".google.protobuf.MethodOptions"
    file.extension.append(extension)
    return file


def build(*files: FileDescriptorProto) -> Schema:
    return build_schema((file.SerializeToString() for file in files), ["acme.shop.Orders"])


def test_relative_names_and_missing_imports_are_resolved_in_any_order() -> None:
    files = (shop_file(), common_file(), mangled_google_file(), api_file())
    for ordered in (files, files[::-1]):
        place, clear = build(*ordered).services["acme.shop.Orders"].methods
        assert (place.input.type_name, place.output.type_name) == ("acme.shop.Order", "acme.shop.Basket")
        assert clear.output.type_name == "google.protobuf.Empty"
        order = {each.name: each.value for each in place.input.fields}
        assert order["line"].message.type_name == "acme.shop.Order.Line"  # type: ignore[union-attr]  # all are messages
        assert order["address"].message.type_name == "acme.common.Address"  # type: ignore[union-attr]  # all are messages


def test_the_innermost_scope_wins_and_the_outer_one_is_found_outside() -> None:
    schema = build(shop_file(), common_file(), mangled_google_file(), api_file())
    basket = schema.registry.message("acme.shop.Basket")
    assert basket is not None
    assert basket.fields[0].value.message.type_name == "acme.shop.Line"  # type: ignore[union-attr]  # it is a message


def test_well_known_types_keep_their_json() -> None:
    place, _ = build(shop_file(), common_file(), mangled_google_file(), api_file()).methods()
    order = place.input.type.from_json('{"mask": "line.sku"}')
    assert order.to_json() == '{"mask":"line.sku"}'


def test_a_name_that_is_nowhere_is_refused() -> None:
    with pytest.raises(SchemaError):
        build(shop_file(), mangled_google_file(), api_file())
