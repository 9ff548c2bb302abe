"""Errors as Google's APIs state them: a status code, words for people, and details for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

_DETAILS_KEY: Final = "grpc-status-details-bin"
_DOMAIN: Final = "demo.api-gateway"


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that is not as it must be."""

    field: str
    description: str


async def refuse_invalid(context: grpc.aio.ServicerContext[Any, Any], violations: Sequence[Violation]) -> NoReturn:
    """End the call with INVALID_ARGUMENT and a `google.rpc.BadRequest` that lists every violation."""
    bad_request = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=each.field, description=each.description)
            for each in violations
        ]
    )
    message = "; ".join(f"{each.field}: {each.description}" for each in violations)
    await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, message, bad_request)


async def refuse_missing(context: grpc.aio.ServicerContext[Any, Any], kind: str, name: str) -> NoReturn:
    """End the call with NOT_FOUND and a `google.rpc.ResourceInfo`."""
    info = error_details_pb2.ResourceInfo(resource_type=kind, resource_name=name)
    await refuse(context, grpc.StatusCode.NOT_FOUND, f"no {kind} {name!r}", info)


async def refuse_because(
    context: grpc.aio.ServicerContext[Any, Any], code: grpc.StatusCode, message: str, reason: str
) -> NoReturn:
    """End the call with a `google.rpc.ErrorInfo` that gives `reason` (UPPER_SNAKE)."""
    await refuse(context, code, message, error_details_pb2.ErrorInfo(reason=reason, domain=_DOMAIN))


async def refuse(
    context: grpc.aio.ServicerContext[Any, Any], code: grpc.StatusCode, message: str, detail: Message
) -> NoReturn:
    """End the call with `code`, `message` and one detail."""
    packed = AnyMessage()
    packed.Pack(detail)
    status = status_pb2.Status(code=code.value[0], message=message, details=[packed])
    await context.abort(code, message, trailing_metadata=((_DETAILS_KEY, status.SerializeToString()),))
