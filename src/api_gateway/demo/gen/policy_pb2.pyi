from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class AuthPolicyRequest(_message.Message):
    __slots__ = ("grpc_method",)
    GRPC_METHOD_FIELD_NUMBER: _ClassVar[int]
    grpc_method: str
    def __init__(self, grpc_method: _Optional[str] = ...) -> None: ...

class AuthPolicyResponse(_message.Message):
    __slots__ = ("require_auth", "required_roles", "cache_ttl_seconds")
    REQUIRE_AUTH_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_ROLES_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    require_auth: bool
    required_roles: _containers.RepeatedScalarFieldContainer[str]
    cache_ttl_seconds: int
    def __init__(self, require_auth: _Optional[bool] = ..., required_roles: _Optional[_Iterable[str]] = ..., cache_ttl_seconds: _Optional[int] = ...) -> None: ...
