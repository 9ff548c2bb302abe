"""Files for schemas: small ones made by hand, and those that Node.js backends send."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, empty_pb2, field_mask_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from api_gateway.schema import Schema, SchemaError, build_schema


def proto(
    name: str, *imports: str, messages: tuple[str, ...] = (), services: tuple[str, ...] = (), package: str = "p"
) -> FileDescriptorProto:
    """Make a file; every service has one method `Do` from and to the first message of file `m.proto`, `p.M`."""
    file = FileDescriptorProto(name=name, package=package, syntax="proto3", dependency=imports)
    for message in messages:
        file.message_type.add(name=message)
    for service in services:
        file.service.add(name=service).method.add(name="Do", input_type=".p.M", output_type=".p.M")
    return file


def build(*files: FileDescriptorProto, services: tuple[str, ...] = ("p.S",)) -> Schema:
    return build_schema([file.SerializeToString() for file in files], services)


def refusal(*files: FileDescriptorProto, services: tuple[str, ...] = ("p.S",)) -> str:
    with pytest.raises(SchemaError) as caught:
        build(*files, services=services)
    return str(caught.value)


MESSAGE = proto("m.proto", messages=("M",))
SERVICE = proto("s.proto", "m.proto", services=("S",))


def field(name: str, number: int, type_name: str = "") -> FieldDescriptorProto:
    kind = FieldDescriptorProto.TYPE_MESSAGE if type_name else FieldDescriptorProto.TYPE_STRING
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


def build_shop(*files: FileDescriptorProto) -> Schema:
    return build_schema((file.SerializeToString() for file in files), ["acme.shop.Orders"])
