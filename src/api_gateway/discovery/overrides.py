"""Routes written by hand in the configuration (semantics 1 and 2), and the text of overrides still to be written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..config.settings import RouteOverride
from ..schema import HIDDEN_SERVICES, HttpRule, Method, find_field
from .conventions import PREFIX, identifier_of
from .planned import PlannedRoute, RejectedOverride, Source
from .plurals import words_of
from .rules import plan_rule

Offers = Mapping[str, Sequence[tuple[str, Method]]]
"""Who offers a method: by `package.Service/Method` the keys of the services, each with its own descriptor of it."""

_BODY_VERBS: Final = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Overridden:
    """What the overrides of the configuration come to."""

    routes: tuple[PlannedRoute, ...]
    methods: frozenset[str]
    """Full names of the methods that have an override, a rejected one included: nothing else may route to them."""
    rejected: tuple[RejectedOverride, ...]


def apply_overrides(overrides: Iterable[RouteOverride], offers: Offers) -> Overridden:
    """Plan the routes of all overrides; several of one method add up.

    An override without `service` holds for every service that offers the method. One that is wrong is rejected, and its
    method stays without the routes that it was to replace: rather closed than open at a path nobody wanted.
    """
    routes: list[PlannedRoute] = []
    rejected: list[RejectedOverride] = []
    methods: set[str] = set()
    for override in overrides:
        methods.add(override.grpc_method)
        try:
            routes += _routes(override, offers)
        except ValueError as error:
            rejected.append(
                RejectedOverride(
                    grpc_method=override.grpc_method,
                    http_method=override.http_method,
                    http_path=override.http_path,
                    reason=str(error),
                )
            )
    return Overridden(routes=tuple(routes), methods=frozenset(methods), rejected=tuple(rejected))


def _routes(override: RouteOverride, offers: Offers) -> list[PlannedRoute]:
    offering = offers.get(override.grpc_method, ())
    if not offering:
        if override.grpc_method.partition("/")[0] in HIDDEN_SERVICES:
            raise ValueError("this service is never exposed")
        raise ValueError("no service offers this method")
    chosen = [offer for offer in offering if override.service in (None, offer[0])]
    if not chosen:
        raise ValueError(f'service "{override.service}" does not offer this method')
    return [_route(override, service, method) for service, method in chosen]


def _route(override: RouteOverride, service: str, method: Method) -> PlannedRoute:
    body = override.body if override.body is not None else "*" if override.http_method in _BODY_VERBS else ""
    rule = HttpRule(
        verb=override.http_method,
        template=override.http_path,
        body=body,
        response_body=override.response_body or "",
    )
    return plan_rule(
        service,
        method,
        rule,
        Source.OVERRIDE,
        rename=_identifier_for_id(method),
        timeout_ms=override.timeout_ms,
        is_idempotent=override.idempotent,
    )


def _identifier_for_id(method: Method) -> dict[str, str]:
    """Let `:id` mean what it means in the convention where the request has no field `id` itself."""
    field = identifier_of(method) if find_field(method.input, "id") is None else None
    return {"id": field} if field is not None else {}


def suggest_override(method: Method, service: str | None) -> str:
    """Return an item for `route_overrides:` that serves a method; `service` is named when several offer it."""
    owner, name = method.service.rpartition(".")[2], method.name
    lines = [
        f'- grpc_method: "{method.full_name}"',
        f'  http_path: "{PREFIX}/{_kebab(owner)}/{_kebab(name)}"',
        '  http_method: "POST"',
    ]
    if service is not None:
        lines.append(f'  service: "{service}"')
    return "\n".join(lines)


def _kebab(name: str) -> str:
    return "-".join(words_of(name)) or name.lower()
