"""The details of errors: `google.rpc.Status` from `grpc-status-details-bin`, and those of errors we make ourselves."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast

import orjson
from protobuf import Registry

from .any_types import AnyTypes, OpaqueTypes, built_in_message, type_name_of, wrap_unknown_root
from .error_details import error_detail_types
from .explain import CODEC_ERRORS
from .fields import SPECIAL_TYPES

DOMAIN: Final = "api-gateway"
"""`domain` in the `google.rpc.ErrorInfo` of errors the gateway makes (semantics 20)."""

JsonObject = dict[str, object]


class StatusDetailsError(ValueError):
    """Bytes that are not a `google.rpc.Status`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusDetails:
    """A decoded `google.rpc.Status`. Where it differs from `grpc-status` and `grpc-message`, those count."""

    code: int
    message: str
    details: tuple[JsonObject, ...]
    """ProtoJSON of each detail, with `@type` first."""


class _AnyMessage(Protocol):
    type_url: str
    value: bytes


class _StatusMessage(Protocol):
    code: int
    message: str
    details: Sequence[_AnyMessage]


def decode_status(data: bytes, registry: Registry | None) -> StatusDetails:
    """Read a serialized `google.rpc.Status` (the value of `grpc-status-details-bin` after base64).

    Details are read with the backend's types (`registry`), the well-known types and the standard error details. A
    detail of unknown type, or with bytes that are not of its type, is kept: `{"@type": ..., "value": <base64>}`.

    Raises StatusDetailsError when `data` is not such a message; no other error, whatever the bytes.
    """
    status_type = built_in_message("google.rpc.Status")
    assert status_type is not None, "defined in error_details"  # noqa: S101 # for the type checker
    try:
        status = cast("_StatusMessage", status_type.type.from_binary(data))
    except CODEC_ERRORS as error:
        raise StatusDetailsError(f"not a google.rpc.Status: {error}") from None
    known = registry if registry is not None else error_detail_types()
    return StatusDetails(
        code=status.code, message=status.message, details=tuple(_detail(detail, known) for detail in status.details)
    )


def retry_delay_s(data: bytes) -> float | None:
    """Return the seconds that a serialized `google.rpc.Status` asks to wait (`google.rpc.RetryInfo`); None without one.

    Never negative, and never an error: what cannot be read asks for nothing.
    """
    if not data:
        return None
    try:
        details = decode_status(data, None).details
    except StatusDetailsError:
        return None
    for detail in details:
        if str(detail.get("@type")).endswith("/google.rpc.RetryInfo"):
            delay = detail.get("retryDelay", "0s")
            # ProtoJSON's form of a Duration; a RetryInfo that could not be read was kept as bytes.
            return max(0.0, float(delay[:-1])) if isinstance(delay, str) and "value" not in detail else None
    return None


def error_info(reason: str, metadata: Mapping[str, str]) -> JsonObject:
    """Return the JSON of the `google.rpc.ErrorInfo` for an error the gateway made."""
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": DOMAIN,
        "metadata": dict(metadata),
    }


def _detail(detail: _AnyMessage, registry: Registry) -> JsonObject:
    types = AnyTypes(registry)
    name = type_name_of(detail.type_url)
    message = types.message(name)
    if message is not None:
        try:
            inner = message.type.from_binary(detail.value)
            wrap_unknown_root(inner, types)
            value = orjson.loads(inner.to_json(registry=OpaqueTypes(registry).as_registry()))
        except CODEC_ERRORS:
            pass  # a detail that its own type cannot read is kept as bytes, like one of an unknown type
        else:
            if name in SPECIAL_TYPES or not isinstance(value, dict):
                return {"@type": detail.type_url, "value": value}
            return {"@type": detail.type_url, **value}
    return {"@type": detail.type_url, "value": b64encode(detail.value).decode("ascii")}
