"""What no key tells by itself: values that contradict each other, and texts that only look like values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from api_gateway.config.document import Document
from api_gateway.config.explain import did_you_mean
from api_gateway.config.keys import PREFIX
from api_gateway.config.problem import KeyPath, Problem
from api_gateway.config.settings import Settings

_VARIABLE: Final = re.compile(r"\$\{[A-Za-z_]\w*(?::?[-=?+][^}]*)?\}")
_VARIABLE_PART: Final = re.compile(r"[A-Z0-9_]+")
_TLS_KEYS: Final = ("tls_domain", "tls_ca_cert_path", "tls_client_cert_path", "tls_client_key_path")
_EVERY_ADDRESS: Final = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


def unfilled_variables(document: Document) -> Iterator[Problem]:
    """Yield every text of the file that expects `${NAME}` to be replaced: taken as it is, it could become a secret."""
    for path, place in document.value_places.items():
        value = document.value_at(path)
        if place.line is not None and isinstance(value, str) and _VARIABLE.search(value):
            yield Problem(
                message="variables are not filled in inside the file",
                place=place,
                path=path,
                suggestion=_variable_for(path),
            )


def contradictions(settings: Settings, document: Document) -> Iterator[Problem]:
    """Yield what does not fit together in settings whose values are right one by one."""
    yield from _unknown_services(settings, document)
    yield from _equal_names(settings, document)
    yield from _idle_tls(settings, document)
    yield from _taken_port(settings, document)


def _variable_for(path: KeyPath) -> str:
    parts = [str(part).upper().replace("-", "_") for part in path]
    if not all(_VARIABLE_PART.fullmatch(part) and "__" not in part for part in parts):
        return "write the value itself"
    return f"set the environment variable {PREFIX}{'__'.join(parts)} instead"


def _unknown_services(settings: Settings, document: Document) -> Iterator[Problem]:
    for index, override in enumerate(settings.route_overrides):
        if override.service is not None and override.service not in settings.services:
            path = ("route_overrides", index, "service")
            yield Problem(
                message=f'no service has the key "{override.service}"',
                place=document.place_of_value(path),
                path=path,
                suggestion=did_you_mean(override.service, settings.services),
            )


def _equal_names(settings: Settings, document: Document) -> Iterator[Problem]:
    """Breakers and metrics go by name: two services of one name would open each other's breaker."""
    keys: dict[str, str] = {}
    for key in settings.services:
        name = settings.service_name(key)
        if name in keys:
            path = ("services", key, "name")
            yield Problem(
                message=f'"{name}" is the name of the service {keys[name]}, too',
                place=document.place_of_value(path),
                path=path,
                suggestion="names must differ; without one, a service has its key as its name",
            )
        keys.setdefault(name, key)


def _idle_tls(settings: Settings, document: Document) -> Iterator[Problem]:
    """Who names a CA and forgets to switch TLS on must not find out from a packet capture."""
    for key, service in settings.services.items():
        section: KeyPath = ("services", key)
        if service.is_tls or document.holds((*section, "tls_enabled")):
            continue
        for name in _TLS_KEYS:
            path = (*section, name)
            if document.holds(path):
                yield Problem(
                    message="has no effect: the connections of this service are not encrypted",
                    place=document.place_of_key(path),
                    path=path,
                    suggestion="add tls_enabled: true, or write the endpoint with https://",
                )
                break


def _taken_port(settings: Settings, document: Document) -> Iterator[Problem]:
    server, admin = settings.server, settings.admin
    if not admin.port or admin.port != server.port:
        return
    if admin.host == server.host or admin.host in _EVERY_ADDRESS or server.host in _EVERY_ADDRESS:
        path = ("admin", "port")
        yield Problem(
            message=f"{admin.port} is the port for clients (server.port), too",
            place=document.place_of_value(path),
            path=path,
            suggestion="choose another one, or leave it out to serve operators beside clients",
        )
