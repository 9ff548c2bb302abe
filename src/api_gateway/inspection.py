"""What a configuration means beyond its values: paths that cannot be routed, files that cannot be used, idle sections.

`config` checks every value; what is judged here needs to know what the parts make of them.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from .config.document import Document
from .config.loader import LoadedSettings
from .config.problem import ConfigError, KeyPath, Problem
from .config.settings import RouteOverride, ServiceSettings, Settings
from .discovery.conflicts import SYSTEM_PATHS
from .http2.tls import TlsError, client_context
from .routing.template import Template, parse_template

_TLS_FILES: Final = ("tls_ca_cert_path", "tls_client_cert_path", "tls_client_key_path")


def inspect_settings(loaded: LoadedSettings, *, now: datetime | None = None) -> LoadedSettings:
    """Return the settings with `warnings`: what will not work as it is written, but may be meant, or be there later.

    Files are read. Raises ConfigError for what can never work.
    """
    templates = _templates(loaded.settings, loaded.document)
    warnings = [
        *_useless_overrides(loaded.settings, templates, loaded.document),
        *_idle_sections(loaded.settings, loaded.document),
        *_unusable_files(loaded.settings, loaded.document, now or datetime.now(UTC)),
    ]
    return replace(loaded, warnings=tuple(warnings))


def _templates(settings: Settings, document: Document) -> list[Template]:
    templates, problems = [], []
    for index, override in enumerate(settings.route_overrides):
        try:
            templates.append(parse_template(override.http_path))
        except ValueError as error:
            path = ("route_overrides", index, "http_path")
            problems.append(Problem(message=str(error), place=document.place_of_value(path), path=path))
    if problems:
        raise ConfigError(problems)
    return templates


def _useless_overrides(settings: Settings, templates: list[Template], document: Document) -> Iterator[Problem]:
    """Yield overrides that no request can reach (semantics 4)."""
    first: dict[tuple[str, str], RouteOverride] = {}
    for index, (override, template) in enumerate(zip(settings.route_overrides, templates, strict=True)):
        winner = first.setdefault((override.http_method, template.canonical), override)
        if template.canonical in SYSTEM_PATHS:
            message = "the gateway answers this path itself"
        elif winner is not override:
            message = f"{override.http_method} {override.http_path} is the route of {winner.grpc_method}, too"
        else:
            continue
        path: KeyPath = ("route_overrides", index, "http_path")
        yield Problem(message=message, place=document.place_of_value(path), path=path, suggestion="choose another path")


def _idle_sections(settings: Settings, document: Document) -> Iterator[Problem]:
    for name, is_enabled in (("rate_limit", settings.rate_limit.enabled), ("cors", settings.cors.enabled)):
        if not is_enabled and document.value_at((name,)) and not document.holds((name, "enabled")):
            yield Problem(
                message="the section is there, but nothing is switched on",
                place=document.place_of_key((name,)),
                path=(name,),
                suggestion="add enabled: true, or enabled: false to say so",
            )
    if settings.cors.enabled and not settings.cors.allowed_origins:
        path = ("cors", "allowed_origins")
        yield Problem(
            message="no origin is allowed, so that no page of another origin may call",
            place=document.place_of_key(path),
            path=path,
            suggestion='list origins such as "https://app.example"',
        )


def _unusable_files(settings: Settings, document: Document, now: datetime) -> Iterator[Problem]:
    """Yield TLS files that would fail connections now. They are read again at every connection: they may yet come."""
    for key, service in settings.services.items():
        if not service.is_tls:
            continue
        is_broken = False
        for name in _TLS_FILES:
            file: Path | None = getattr(service, name)
            message = _mistake_in(file, now) if file is not None else ""
            if message:
                is_broken = True
                path: KeyPath = ("services", key, name)
                yield Problem(message=message, place=document.place_of_value(path), path=path)
        if not is_broken:
            yield from _unfit_files(service, ("services", key), document)


def _mistake_in(file: Path, now: datetime) -> str:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return f"there is no file {file}"
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}"
    if b"-----BEGIN CERTIFICATE-----" not in data:
        return "" if b"PRIVATE KEY-----" in data else f"{file} is no PEM file with a certificate or a key"
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError:
        return f"{file} holds a broken certificate"
    # Of several authorities one is enough; of a chain, the first is the one that is shown.
    until = max(certificate.not_valid_after_utc for certificate in certificates)
    since = min(certificate.not_valid_before_utc for certificate in certificates)
    if until < now:
        return f"the certificate in {file} expired on {until:%Y-%m-%d}"
    return f"the certificate in {file} is not valid before {since:%Y-%m-%d}" if since > now else ""


def _unfit_files(service: ServiceSettings, section: KeyPath, document: Document) -> Iterator[Problem]:
    """Yield what only OpenSSL can tell: a key in a file for authorities, a key that belongs to another certificate."""
    try:
        client_context(service.tls_ca_cert_path, service.tls_client_cert_path, service.tls_client_key_path)
    except (TlsError, ssl.SSLError) as error:
        yield Problem(message=str(error), place=document.place_of_key(section), path=section)
