from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JournalEvent(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOURNAL_EVENT_UNSPECIFIED: _ClassVar[JournalEvent]
    STARTED: _ClassVar[JournalEvent]
    COMPLETED: _ClassVar[JournalEvent]
    CANCELLED: _ClassVar[JournalEvent]
JOURNAL_EVENT_UNSPECIFIED: JournalEvent
STARTED: JournalEvent
COMPLETED: JournalEvent
CANCELLED: JournalEvent

class GetJournalRequest(_message.Message):
    __slots__ = ("id", "wait_for", "at_least")
    ID_FIELD_NUMBER: _ClassVar[int]
    WAIT_FOR_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    id: str
    wait_for: JournalEvent
    at_least: int
    def __init__(self, id: _Optional[str] = ..., wait_for: _Optional[_Union[JournalEvent, str]] = ..., at_least: _Optional[int] = ...) -> None: ...

class Journal(_message.Message):
    __slots__ = ("id", "started", "completed", "cancelled", "methods")
    ID_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    METHODS_FIELD_NUMBER: _ClassVar[int]
    id: str
    started: int
    completed: int
    cancelled: int
    methods: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., started: _Optional[int] = ..., completed: _Optional[int] = ..., cancelled: _Optional[int] = ..., methods: _Optional[_Iterable[str]] = ...) -> None: ...

class SetAuthPolicyRequest(_message.Message):
    __slots__ = ("grpc_method", "require_auth", "required_roles", "cache_ttl_seconds", "failure_code", "sleep_ms")
    GRPC_METHOD_FIELD_NUMBER: _ClassVar[int]
    REQUIRE_AUTH_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_ROLES_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_CODE_FIELD_NUMBER: _ClassVar[int]
    SLEEP_MS_FIELD_NUMBER: _ClassVar[int]
    grpc_method: str
    require_auth: bool
    required_roles: _containers.RepeatedScalarFieldContainer[str]
    cache_ttl_seconds: int
    failure_code: int
    sleep_ms: int
    def __init__(self, grpc_method: _Optional[str] = ..., require_auth: _Optional[bool] = ..., required_roles: _Optional[_Iterable[str]] = ..., cache_ttl_seconds: _Optional[int] = ..., failure_code: _Optional[int] = ..., sleep_ms: _Optional[int] = ...) -> None: ...

class SetHealthRequest(_message.Message):
    __slots__ = ("service", "is_serving")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    IS_SERVING_FIELD_NUMBER: _ClassVar[int]
    service: str
    is_serving: bool
    def __init__(self, service: _Optional[str] = ..., is_serving: _Optional[bool] = ...) -> None: ...

class DieRequest(_message.Message):
    __slots__ = ("exit_code",)
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    exit_code: int
    def __init__(self, exit_code: _Optional[int] = ...) -> None: ...
