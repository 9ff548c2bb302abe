"""One HTTP rule joined to one method: its template is parsed and its fields are looked up, or the reason is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ..routing.template import Template, parse_template
from ..schema import HttpRule, Method, find_field, resolve_field_path
from .planned import PlannedRoute, Source

# RFC 9110 section 9.1 allows any token; methods are upper-case in practice, and lower case is taken as meant so.
_HTTP_METHOD: Final = re.compile(r"[A-Z][A-Z0-9_-]{0,31}|\*")


def plan_rule(
    service: str,
    method: Method,
    rule: HttpRule,
    source: Source,
    *,
    rename: Mapping[str, str] | None = None,
    timeout_ms: int | None = None,
    is_idempotent: bool | None = None,
) -> PlannedRoute:
    """Plan the route of one rule. `rename` tells which field a variable binds where it is not called like the field.

    Its calls may be tried again when `is_idempotent` says so; without it GET may, and what the schema declares to be
    idempotent (semantics 31). A stream of requests never may: what the client sent is not kept.

    Raises ValueError with a reason for people when the HTTP method, the template or a field is wrong.
    """
    verb = rule.verb.upper()
    if _HTTP_METHOD.fullmatch(verb) is None:
        raise ValueError(f'"{rule.verb}" is not an HTTP method')
    template = parse_template(rule.template)
    may_repeat = verb == "GET" or method.is_idempotent if is_idempotent is None else is_idempotent
    return PlannedRoute(
        service=service,
        method=method,
        verb=verb,
        template=template,
        variables=_resolve_variables(method, template, rename or {}),
        body=_resolve_body(method, rule.body),
        response_body=_resolve_response_body(method, rule.response_body),
        timeout_ms=timeout_ms,
        is_idempotent=not method.is_client_streaming and may_repeat,
        source=source,
    )


def _resolve_variables(method: Method, template: Template, rename: Mapping[str, str]) -> tuple[str, ...]:
    found = tuple(resolve_field_path(method.input, rename.get(name, name)) for name in template.variables)
    if len(set(found)) < len(found):
        raise ValueError(f'path template "{template.text}" binds a field twice')
    return found


def _resolve_body(method: Method, name: str) -> str:
    if name in ("", "*"):
        return name
    field = find_field(method.input, name)
    if field is None:
        raise ValueError(f'body "{name}": {method.input.type_name} has no such field')
    return field.name


def _resolve_response_body(method: Method, name: str) -> str:
    if name in ("", "*"):
        return ""
    field = find_field(method.output, name)
    if field is None:
        raise ValueError(f'response_body "{name}": {method.output.type_name} has no such field')
    return field.name
