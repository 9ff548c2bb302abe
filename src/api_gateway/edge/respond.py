"""The single place where an error becomes an HTTP response (AIP-193, semantics 20)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import orjson
from protobuf import Registry

from ..model.errors import GatewayError
from ..model.message import HeaderList, Response
from ..model.status import code_name
from ..transcoding.status_details import StatusDetailsError, decode_status, error_info

_JSON: Final = (b"content-type", b"application/json")


def error_response(
    error: GatewayError, *, registry: Registry | None = None, headers: Sequence[tuple[bytes, bytes]] = ()
) -> Response:
    """Return the one JSON shape of every error: `{"error": {"code", "status", "message", "details"}}`.

    `registry` knows the types of the backend's error details; `headers` go before the error's own.
    """
    response_headers: HeaderList = [_JSON, *headers, *error.headers]
    return Response(error.http, response_headers, _encode({"error": _body(error, registry)}), close=error.close)


def _encode(value: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        # Text that is no Unicode: half of a surrogate pair. Answering must not fail for it.
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _body(error: GatewayError, registry: Registry | None) -> dict[str, Any]:
    body: dict[str, Any] = {"code": error.http, "status": code_name(error.code), "message": error.message}
    details = _details(error, registry)
    if details:
        body["details"] = details
    return body


def _details(error: GatewayError, registry: Registry | None) -> list[Any]:
    if error.details:
        try:
            return list(decode_status(error.details, registry).details)
        except StatusDetailsError:
            # The call still ends with the backend's code and message (reliability G25).
            return []
    return [error_info(error.reason, error.metadata)] if error.reason else []
