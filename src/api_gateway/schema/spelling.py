"""The names that JSON gives to fields and enum values, where descriptors leave them open."""

from __future__ import annotations

from protobuf.wkt.google.protobuf.descriptor_pb import FileDescriptorProto


def json_name(name: str) -> str:
    """Return `fieldName` for `field_name` as protoc does: underscores go, the letter after one is upper case."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def fill_json_names(file: FileDescriptorProto) -> None:
    """Give every field its JSON name (ProtoJSON): reflection from C++ and Python servers leaves it out."""
    waiting = list(file.message_type)
    while waiting:
        message = waiting.pop()
        waiting += message.nested_type
        for field in message.field:
            if not field.json_name:
                field.json_name = json_name(field.name)


def prefer_first_names(file: FileDescriptorProto) -> None:
    """Let a number with several names print as the first one, as all implementations do: the codec takes the last."""
    enums = list(file.enum_type)
    waiting = list(file.message_type)
    while waiting:
        message = waiting.pop()
        waiting += message.nested_type
        enums += message.enum_type
    for enum in enums:
        if enum.options is not None and enum.options.allow_alias:
            numbers = list(dict.fromkeys(value.number for value in enum.value))
            enum.value = [value for number in numbers for value in reversed(enum.value) if value.number == number]
