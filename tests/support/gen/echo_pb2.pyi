from google.api import annotations_pb2 as _annotations_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EchoRequest(_message.Message):
    __slots__ = ("id", "seed", "text", "behaviour", "item")
    ID_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BEHAVIOUR_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    id: str
    seed: int
    text: str
    behaviour: Behaviour
    item: Item
    def __init__(self, id: _Optional[str] = ..., seed: _Optional[int] = ..., text: _Optional[str] = ..., behaviour: _Optional[_Union[Behaviour, _Mapping[str, object]]] = ..., item: _Optional[_Union[Item, _Mapping[str, object]]] = ...) -> None: ...

class Behaviour(_message.Message):
    __slots__ = ("sleep_ms", "response_size_bytes", "message_count", "failure", "initial_metadata", "trailing_metadata")
    SLEEP_MS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    INITIAL_METADATA_FIELD_NUMBER: _ClassVar[int]
    TRAILING_METADATA_FIELD_NUMBER: _ClassVar[int]
    sleep_ms: int
    response_size_bytes: int
    message_count: int
    failure: Failure
    initial_metadata: _containers.RepeatedCompositeFieldContainer[MetadataEntry]
    trailing_metadata: _containers.RepeatedCompositeFieldContainer[MetadataEntry]
    def __init__(self, sleep_ms: _Optional[int] = ..., response_size_bytes: _Optional[int] = ..., message_count: _Optional[int] = ..., failure: _Optional[_Union[Failure, _Mapping[str, object]]] = ..., initial_metadata: _Optional[_Iterable[_Union[MetadataEntry, _Mapping[str, object]]]] = ..., trailing_metadata: _Optional[_Iterable[_Union[MetadataEntry, _Mapping[str, object]]]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "message", "status_details", "after_messages")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STATUS_DETAILS_FIELD_NUMBER: _ClassVar[int]
    AFTER_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    status_details: bytes
    after_messages: int
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., status_details: _Optional[bytes] = ..., after_messages: _Optional[int] = ...) -> None: ...

class MetadataEntry(_message.Message):
    __slots__ = ("key", "text", "binary")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BINARY_FIELD_NUMBER: _ClassVar[int]
    key: str
    text: str
    binary: bytes
    def __init__(self, key: _Optional[str] = ..., text: _Optional[str] = ..., binary: _Optional[bytes] = ...) -> None: ...

class EchoReply(_message.Message):
    __slots__ = ("id", "seed", "text", "payload", "payload_sha256", "backend", "method", "index", "received_metadata", "timeout_ms", "item", "update_mask")
    ID_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_SHA256_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_METADATA_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    id: str
    seed: int
    text: str
    payload: bytes
    payload_sha256: str
    backend: str
    method: str
    index: int
    received_metadata: _containers.RepeatedCompositeFieldContainer[MetadataEntry]
    timeout_ms: int
    item: Item
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, id: _Optional[str] = ..., seed: _Optional[int] = ..., text: _Optional[str] = ..., payload: _Optional[bytes] = ..., payload_sha256: _Optional[str] = ..., backend: _Optional[str] = ..., method: _Optional[str] = ..., index: _Optional[int] = ..., received_metadata: _Optional[_Iterable[_Union[MetadataEntry, _Mapping[str, object]]]] = ..., timeout_ms: _Optional[int] = ..., item: _Optional[_Union[Item, _Mapping[str, object]]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping[str, object]]] = ...) -> None: ...

class Item(_message.Message):
    __slots__ = ("id", "name", "size", "tags", "labels", "parent")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    size: int
    tags: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    parent: Item
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., size: _Optional[int] = ..., tags: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., parent: _Optional[_Union[Item, _Mapping[str, object]]] = ...) -> None: ...

class ItemRequest(_message.Message):
    __slots__ = ("id", "name", "size", "tags", "behaviour")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    BEHAVIOUR_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    size: int
    tags: _containers.RepeatedScalarFieldContainer[str]
    behaviour: Behaviour
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., size: _Optional[int] = ..., tags: _Optional[_Iterable[str]] = ..., behaviour: _Optional[_Union[Behaviour, _Mapping[str, object]]] = ...) -> None: ...

class PutItemRequest(_message.Message):
    __slots__ = ("item", "validate_only")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    item: Item
    validate_only: bool
    def __init__(self, item: _Optional[_Union[Item, _Mapping[str, object]]] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class PatchItemRequest(_message.Message):
    __slots__ = ("item", "update_mask")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    item: Item
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, item: _Optional[_Union[Item, _Mapping[str, object]]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping[str, object]]] = ...) -> None: ...

class ItemList(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Item]
    def __init__(self, items: _Optional[_Iterable[_Union[Item, _Mapping[str, object]]]] = ...) -> None: ...

class UploadRequest(_message.Message):
    __slots__ = ("id", "content", "sleep_ms")
    ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    SLEEP_MS_FIELD_NUMBER: _ClassVar[int]
    id: str
    content: _httpbody_pb2.HttpBody
    sleep_ms: int
    def __init__(self, id: _Optional[str] = ..., content: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping[str, object]]] = ..., sleep_ms: _Optional[int] = ...) -> None: ...

class UploadSummary(_message.Message):
    __slots__ = ("id", "message_count", "size_bytes", "sha256", "later", "content_type")
    ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    LATER_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    id: str
    message_count: int
    size_bytes: int
    sha256: str
    later: _containers.RepeatedScalarFieldContainer[str]
    content_type: str
    def __init__(self, id: _Optional[str] = ..., message_count: _Optional[int] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., later: _Optional[_Iterable[str]] = ..., content_type: _Optional[str] = ...) -> None: ...

class StreamSummary(_message.Message):
    __slots__ = ("message_count", "texts", "backend")
    MESSAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    message_count: int
    texts: _containers.RepeatedScalarFieldContainer[str]
    backend: str
    def __init__(self, message_count: _Optional[int] = ..., texts: _Optional[_Iterable[str]] = ..., backend: _Optional[str] = ...) -> None: ...
