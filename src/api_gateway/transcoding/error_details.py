"""The messages of google/rpc/status.proto and google/rpc/error_details.proto, to read every backend's errors.

A backend rarely offers them by reflection: they travel inside `grpc-status-details-bin`, which no method mentions.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from protobuf import Registry
from protobuf.wkt import Any, Duration
from protobuf.wkt.google.protobuf.descriptor_pb import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MessageOptions,
)

from ..schema import json_name

_INT32: Final = FieldDescriptorProto.Type.INT32
_INT64: Final = FieldDescriptorProto.Type.INT64
_STRING: Final = FieldDescriptorProto.Type.STRING
_MESSAGE: Final = FieldDescriptorProto.Type.MESSAGE
_OPTIONAL: Final = FieldDescriptorProto.Label.OPTIONAL
_REPEATED: Final = FieldDescriptorProto.Label.REPEATED


@cache
def error_detail_types() -> Registry:
    """Return the registry with `google.rpc.Status` and the standard error details, and what they are made of."""
    any_file, duration_file = Any.desc().file.proto, Duration.desc().file.proto
    own = FileDescriptorProto(
        name="google/rpc/error_details.proto",
        package="google.rpc",
        syntax="proto3",
        dependency=[any_file.name, duration_file.name],
        message_type=_messages(),
    )
    for message in own.message_type:
        _name_for_json(message)
    # Through bytes: descriptors built by hand lack what parsing fills in.
    files = [FileDescriptorProto.from_binary(file.to_binary()) for file in (any_file, duration_file, own)]
    return FileDescriptorSet(file=files).to_registry()


def _name_for_json(message: DescriptorProto) -> None:
    for field in message.field:
        field.json_name = json_name(field.name)
    for inner in message.nested_type:
        _name_for_json(inner)


def _messages() -> list[DescriptorProto]:
    return [
        _message("Status", _integer("code", 1), _text("message", 2), _list("details", 3, "google.protobuf.Any")),
        _message("ErrorInfo", _text("reason", 1), _text("domain", 2), _map("metadata", 3, "ErrorInfo")),
        _message("RetryInfo", _part("retry_delay", 1, "google.protobuf.Duration")),
        _message("DebugInfo", _texts("stack_entries", 1), _text("detail", 2)),
        _with_list("QuotaFailure", "violations", "Violation", *_quota_violation()),
        _with_list(
            "PreconditionFailure",
            "violations",
            "Violation",
            _text("type", 1),
            _text("subject", 2),
            _text("description", 3),
        ),
        _with_list(
            "BadRequest",
            "field_violations",
            "FieldViolation",
            _text("field", 1),
            _text("description", 2),
            _text("reason", 3),
            _part("localized_message", 4, "google.rpc.LocalizedMessage"),
        ),
        _message("RequestInfo", _text("request_id", 1), _text("serving_data", 2)),
        _message(
            "ResourceInfo",
            _text("resource_type", 1),
            _text("resource_name", 2),
            _text("owner", 3),
            _text("description", 4),
        ),
        _with_list("Help", "links", "Link", _text("description", 1), _text("url", 2)),
        _message("LocalizedMessage", _text("locale", 1), _text("message", 2)),
    ]


def _quota_violation() -> tuple[FieldDescriptorProto, ...]:
    return (
        _text("subject", 1),
        _text("description", 2),
        _text("api_service", 3),
        _text("quota_metric", 4),
        _text("quota_id", 5),
        _map("quota_dimensions", 6, "QuotaFailure.Violation"),
        _integer("quota_value", 7, _INT64),
        FieldDescriptorProto(name="future_quota_value", number=8, type=_INT64, label=_OPTIONAL),
    )


def _message(name: str, *fields: FieldDescriptorProto) -> DescriptorProto:
    entries = [_entry(field) for field in fields if field.type_name.endswith("Entry")]
    return DescriptorProto(name=name, field=list(fields), nested_type=entries)


def _with_list(name: str, list_name: str, item_name: str, *item: FieldDescriptorProto) -> DescriptorProto:
    message = _message(name, _list(list_name, 1, f"google.rpc.{name}.{item_name}"))
    message.nested_type.append(_message(item_name, *item))
    return message


def _text(name: str, number: int) -> FieldDescriptorProto:
    return FieldDescriptorProto(name=name, number=number, type=_STRING, label=_OPTIONAL)


def _texts(name: str, number: int) -> FieldDescriptorProto:
    return FieldDescriptorProto(name=name, number=number, type=_STRING, label=_REPEATED)


def _integer(name: str, number: int, kind: FieldDescriptorProto.Type = _INT32) -> FieldDescriptorProto:
    return FieldDescriptorProto(name=name, number=number, type=kind, label=_OPTIONAL)


def _part(name: str, number: int, type_name: str) -> FieldDescriptorProto:
    return FieldDescriptorProto(name=name, number=number, type=_MESSAGE, type_name=f".{type_name}", label=_OPTIONAL)


def _list(name: str, number: int, type_name: str) -> FieldDescriptorProto:
    return FieldDescriptorProto(name=name, number=number, type=_MESSAGE, type_name=f".{type_name}", label=_REPEATED)


def _map(name: str, number: int, parent: str) -> FieldDescriptorProto:
    entry = "".join(word.capitalize() for word in name.split("_")) + "Entry"
    return _list(name, number, f"google.rpc.{parent}.{entry}")


def _entry(field: FieldDescriptorProto) -> DescriptorProto:
    return DescriptorProto(
        name=field.type_name.rpartition(".")[2],
        field=[_text("key", 1), _text("value", 2)],
        options=MessageOptions(map_entry=True),
    )
