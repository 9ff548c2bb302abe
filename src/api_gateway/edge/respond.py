"""The single place where an error becomes an HTTP response, in one of three formats (semantics 20)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import orjson
from protobuf import Registry

from ..model.errors import GatewayError, Wording
from ..model.headers import HeaderBlock
from ..model.message import HeaderList, Response
from ..model.status import REASON_PHRASE, code_name
from ..transcoding.status_details import StatusDetailsError, decode_status, error_info

ErrorFormat = Literal["aip193", "status", "problem"]
JsonObject = dict[str, Any]


class ErrorAnswers:
    """Writes every error of the gateway and of its backends in one format. Implements `proxy.ErrorResponder`."""

    __slots__ = ("_content_type", "_describe", "_is_wrapped")

    def __init__(self, error_format: ErrorFormat = "aip193") -> None:
        self._describe, content_type = _FORMATS[error_format]
        self._content_type = (b"content-type", content_type)
        self._is_wrapped = error_format == "aip193"

    def __call__(
        self, error: GatewayError, *, registry: Registry | None = None, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> Response:
        """Return the answer. `registry` knows the types of the backend's details; `headers` go before the error's."""
        wording = error.wording
        if wording is not None:
            return self._repeat(error, wording, registry, [*headers])
        response_headers: HeaderList = [self._content_type, *headers, *error.headers]
        body = _encode(self._describe(error, _details(error, registry)))
        return Response(error.http, response_headers, body, close=error.close)

    def _repeat(
        self, error: GatewayError, wording: Wording, registry: Registry | None, headers: HeaderList
    ) -> Response:
        """Answer in words that were written before: 1.6 us less of a refusal that has to be cheap."""
        common = wording.headers
        if common is None:
            wording.body = _encode(self._describe(error, _details(error, registry)))
            wording.headers = common = HeaderBlock(self._content_type, *error.headers)
        return Response(error.http, headers, wording.body, close=error.close, common=common)

    def in_stream(self, error: GatewayError, *, registry: Registry | None = None) -> bytes:
        """Return the JSON of an error inside an answer that has begun: `{"error": ...}` whatever the format.

        The messages before it are of a type that nobody here knows, so the member is what sets it apart (semantics 24).
        """
        body = self._describe(error, _details(error, registry))
        return _encode(body if self._is_wrapped else {"error": body})


def _aip193(error: GatewayError, details: list[Any]) -> JsonObject:
    """Describe an error as https://google.aip.dev/193 wants it: `code` is the HTTP status."""
    body: JsonObject = {"code": error.http, "status": code_name(error.code), "message": error.message}
    return {"error": {**body, "details": details} if details else body}


def _status(error: GatewayError, details: list[Any]) -> JsonObject:
    """Describe an error as ProtoJSON of `google.rpc.Status`: `code` is the gRPC code."""
    body: JsonObject = {"code": error.code, "message": error.message}
    return {**body, "details": details} if details else body


def _problem(error: GatewayError, details: list[Any]) -> JsonObject:
    """Describe an error as RFC 9457 does; `status` is its own member there, so that gRPC's code is `code`."""
    body: JsonObject = {
        "type": "about:blank",  # then the title is the status's own phrase (section 4.2.1)
        "title": REASON_PHRASE.get(error.http, code_name(error.code)),
        "status": error.http,
        "detail": error.message,
        "code": code_name(error.code),
    }
    return {**body, "details": details} if details else body


_FORMATS: Final[dict[ErrorFormat, tuple[Callable[[GatewayError, list[Any]], JsonObject], bytes]]] = {
    "aip193": (_aip193, b"application/json"),
    "status": (_status, b"application/json"),
    "problem": (_problem, b"application/problem+json"),
}

error_response: Final = ErrorAnswers()
"""Answers in the default format, AIP-193."""


def _encode(value: JsonObject) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        # Text that is no Unicode: half of a surrogate pair. Answering must not fail for it.
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _details(error: GatewayError, registry: Registry | None) -> list[Any]:
    if error.details:
        try:
            return list(decode_status(error.details, registry).details)
        except StatusDetailsError:
            # The call still ends with the backend's code and message (reliability G25).
            return []
    return [error_info(error.reason, error.metadata)] if error.reason else []
