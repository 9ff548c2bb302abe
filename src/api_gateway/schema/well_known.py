"""The files of `google.protobuf`, which some backends send mangled."""

from __future__ import annotations

from typing import Final

from protobuf import Message
from protobuf.wkt.google.protobuf.any_pb import Any as AnyMessage
from protobuf.wkt.google.protobuf.api_pb import Api
from protobuf.wkt.google.protobuf.descriptor_pb import FileDescriptorProto
from protobuf.wkt.google.protobuf.duration_pb import Duration
from protobuf.wkt.google.protobuf.empty_pb import Empty
from protobuf.wkt.google.protobuf.field_mask_pb import FieldMask
from protobuf.wkt.google.protobuf.source_context_pb import SourceContext
from protobuf.wkt.google.protobuf.struct_pb import Struct
from protobuf.wkt.google.protobuf.timestamp_pb import Timestamp
from protobuf.wkt.google.protobuf.type_pb import Type
from protobuf.wkt.google.protobuf.wrappers_pb import BoolValue

from .files import SourceFile

_WELL_KNOWN: Final[tuple[type[Message], ...]] = (
    AnyMessage, Api, BoolValue, Duration, Empty, FieldMask, FileDescriptorProto, SourceContext, Struct, Timestamp, Type,
)  # fmt: skip
"""One message of each file of `google.protobuf`."""


def restore_well_known(unique: dict[str, SourceFile]) -> None:
    """Replace what protobufjs made of `google.protobuf` by the files everybody knows.

    Reflection of Node.js backends (@grpc/reflection) merges all files of a package into one. Merged, descriptor.proto
    has camelCase field names, and its `MethodOptions` refers to google.api, which refers back.
    """
    merged = [name for name, file in unique.items() if file.descriptor.package == "google.protobuf" and "/" not in name]
    for name in merged:
        del unique[name]
    if merged:
        for message in _WELL_KNOWN:
            data = message.desc().file.proto.to_binary()
            file = FileDescriptorProto.from_binary(data)
            unique.setdefault(file.name, SourceFile(data, file))
