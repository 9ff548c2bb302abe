"""The messages of `gateway.ServiceAuthPolicy` and `auth.AuthService`.

The message types are built here, so that no generated code and no backend's copy of the contract is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from protobuf import DescMessage
from protobuf.wkt.google.protobuf.descriptor_pb import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    OneofDescriptorProto,
)

GET_AUTH_POLICY: Final = b"/gateway.ServiceAuthPolicy/GetAuthPolicy"
VALIDATE_TOKEN: Final = b"/auth.AuthService/ValidateToken"

_VARINT: Final = 0
_LENGTH: Final = 2
_FIXED_BYTES: Final = {1: 8, 5: 4}
"""Wire types of protobuf's encoding; for those of fixed length, how long they are."""


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """What a backend demands of the callers of one method."""

    require_auth: bool
    required_roles: tuple[str, ...]
    cache_ttl_seconds: int | None
    """None when the backend did not say."""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What the auth service found out about a token."""

    valid: bool
    user_id: str
    roles: tuple[str, ...]
    error: str
    """Why it is not valid, in the service's words: for the log only."""


def encode_policy_request(grpc_method: str) -> bytes:
    """Return a serialized `AuthPolicyRequest` for `package.Service/Method`."""
    return _new("AuthPolicyRequest", grpc_method=grpc_method)


def decode_policy_answer(data: bytes) -> PolicyAnswer:
    """Read an `AuthPolicyResponse`. Raises ValueError when it is none."""
    _check_wire_types(data, {1: _VARINT, 2: _LENGTH, 3: _VARINT})
    kind = _message("AuthPolicyResponse")
    answer: Any = kind.type.from_binary(data)
    has_ttl = kind.fields[2] in answer
    return PolicyAnswer(
        answer.require_auth, tuple(answer.required_roles), answer.cache_ttl_seconds if has_ttl else None
    )


def encode_token_request(token: str) -> bytes:
    """Return a serialized `ValidateTokenRequest`."""
    return _new("ValidateTokenRequest", token=token)


def decode_token_answer(data: bytes) -> TokenAnswer:
    """Read a `ValidateTokenResponse`. Raises ValueError when it is none."""
    _check_wire_types(data, {1: _VARINT, 2: _LENGTH, 3: _LENGTH, 4: _LENGTH})
    answer: Any = _message("ValidateTokenResponse").type.from_binary(data)
    return TokenAnswer(answer.valid, answer.user_id, tuple(answer.roles), answer.error)


def _check_wire_types(data: bytes, expected: dict[int, int]) -> None:
    """Raise ValueError when a field that we know comes as another type than ours.

    Protobuf takes such a field for an unknown one, and it keeps its default: a `require_auth` that is a text would open
    the method to everybody. Fields with other numbers may come, from newer contracts.
    """
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if expected.get(number, wire_type) != wire_type:
            raise ValueError(f"field {number} has wire type {wire_type}, not {expected[number]}")
        if wire_type == _VARINT:
            _, at = _read_varint(data, at)
        elif wire_type == _LENGTH:
            length, at = _read_varint(data, at)
            at += length
        elif wire_type in _FIXED_BYTES:
            at += _FIXED_BYTES[wire_type]
        else:
            raise ValueError(f"field {number} has wire type {wire_type}, which proto3 does not use")
    if at != len(data):
        raise ValueError("the answer ends inside a field")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number and where the next thing begins."""
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("the answer ends inside a number")


def _new(name: str, **fields: Any) -> bytes:
    return _message(name).type(**fields).to_binary()


@cache
def _message(name: str) -> DescMessage:
    return _messages()[name]


@cache
def _messages() -> dict[str, DescMessage]:
    kind, label = FieldDescriptorProto.Type, FieldDescriptorProto.Label

    def field(name: str, number: int, of: Any, **more: Any) -> FieldDescriptorProto:
        more.setdefault("label", label.OPTIONAL)
        return FieldDescriptorProto(name=name, number=number, type=of, **more)

    texts = {"label": label.REPEATED}
    messages = [
        DescriptorProto(name="AuthPolicyRequest", field=[field("grpc_method", 1, kind.STRING)]),
        DescriptorProto(
            name="AuthPolicyResponse",
            # With presence, unlike the published contract: an explicit 0 ("do not cache") is not the same as nothing.
            oneof_decl=[OneofDescriptorProto(name="_cache_ttl_seconds")],
            field=[
                field("require_auth", 1, kind.BOOL),
                field("required_roles", 2, kind.STRING, **texts),
                field("cache_ttl_seconds", 3, kind.INT32, proto3_optional=True, oneof_index=0),
            ],
        ),
        DescriptorProto(name="ValidateTokenRequest", field=[field("token", 1, kind.STRING)]),
        DescriptorProto(
            name="ValidateTokenResponse",
            field=[
                field("valid", 1, kind.BOOL),
                field("user_id", 2, kind.STRING),
                field("roles", 3, kind.STRING, **texts),
                field("error", 4, kind.STRING),
            ],
        ),
    ]
    file = FileDescriptorProto(name="contracts.proto", package="contracts", syntax="proto3", message_type=messages)
    # The registry wants descriptors as they come from the wire.
    registry = FileDescriptorSet(file=[FileDescriptorProto.from_binary(file.to_binary())]).to_registry()
    found = {message.name: registry.message(f"contracts.{message.name}") for message in messages}
    return {name: message for name, message in found.items() if message is not None}
