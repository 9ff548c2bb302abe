"""`google.api.http` annotations, read from the options of a method (google/api/http.proto)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from protobuf import Message
from protobuf.wkt.google.protobuf.descriptor_pb import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodOptions,
    OneofDescriptorProto,
)

from .values import HttpRule

MAX_ADDITIONAL_BINDINGS: Final = 64
"""Most `additional_bindings` honoured in one annotation."""
_HTTP_EXTENSION: Final = 72295728
"""Field number of `google.api.http` in `MethodOptions` (google/api/annotations.proto)."""
_VERB_FIELDS: Final = {2: "GET", 3: "PUT", 4: "POST", 5: "DELETE", 6: "PATCH"}


def read_http_rules(options: MethodOptions | None) -> tuple[HttpRule, ...]:
    """Return the HTTP bindings of a method, the main one first.

    They are read with our own copy of the definition of `google.api.http`: a backend may have another, or none.
    """
    if options is None:
        return ()
    view: Any = _options_view().from_binary(options.to_binary())
    if view.http is None:
        return ()
    rules = [view.http, *view.http.additional_bindings[:MAX_ADDITIONAL_BINDINGS]]
    return tuple(
        HttpRule(verb=verb, template=template, body=rule.body, response_body=rule.response_body)
        for rule in rules
        for verb, template in _patterns(rule)
    )


def _patterns(rule: Any) -> Iterable[tuple[str, str]]:
    pattern = rule.pattern
    if pattern is None:
        return
    if pattern.field == "custom":
        if pattern.value.kind and pattern.value.path:
            yield pattern.value.kind, pattern.value.path
    elif pattern.value:
        yield pattern.field.upper(), pattern.value


@cache
def _options_view() -> type[Message]:
    """Return the message type of `MethodOptions` with nothing but `http` in it (google/api/http.proto)."""
    kind, label = FieldDescriptorProto.Type, FieldDescriptorProto.Label

    def text(name: str, number: int, *, oneof: int | None = None) -> FieldDescriptorProto:
        return FieldDescriptorProto(name=name, number=number, type=kind.STRING, label=label.OPTIONAL, oneof_index=oneof)

    def message(name: str, number: int, type_name: str, **more: Any) -> FieldDescriptorProto:
        more.setdefault("label", label.OPTIONAL)
        return FieldDescriptorProto(name=name, number=number, type=kind.MESSAGE, type_name=f".view.{type_name}", **more)

    pattern = [text(verb.lower(), number, oneof=0) for number, verb in _VERB_FIELDS.items()]
    file = FileDescriptorProto(
        name="view.proto",
        package="view",
        syntax="proto3",
        message_type=[
            DescriptorProto(name="Custom", field=[text("kind", 1), text("path", 2)]),
            DescriptorProto(
                name="Rule",
                oneof_decl=[OneofDescriptorProto(name="pattern")],
                field=[
                    *pattern,
                    message("custom", 8, "Custom", oneof_index=0),
                    text("body", 7),
                    text("response_body", 12),
                    message("additional_bindings", 11, "Rule", label=label.REPEATED),
                ],
            ),
            DescriptorProto(name="Options", field=[message("http", _HTTP_EXTENSION, "Rule")]),
        ],
    )
    registry = FileDescriptorSet(file=[FileDescriptorProto.from_binary(file.to_binary())]).to_registry()
    options = registry.message("view.Options")
    if options is None:
        raise AssertionError("the registry lost a message that was just put into it")
    return options.type
