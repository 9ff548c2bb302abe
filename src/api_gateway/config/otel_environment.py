"""OpenTelemetry's own environment variables: they fill in what the section `observability` does not say.

Operators of clusters set them for all services at once, and an explicit setting of this gateway wins over that, as an
argument in code wins in OpenTelemetry's SDKs. One exception: `OTEL_SDK_DISABLED=true` switches traces off whatever else
is said. Names and formats: OpenTelemetry specification, "Environment Variable Specification" and "OTLP Exporter".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from api_gateway.config.document import Document
from api_gateway.config.problem import KeyPath, Place, Problem

SECTION: Final = "observability"
PLAIN_PORT: Final = 4317
"""What OTLP/gRPC uses where an address names no port; `https` addresses without one mean 443."""

Values = list[tuple[KeyPath, object]]
"""Keys below the section, and what they are set to."""


def apply_otel_environment(document: Document, environ: Mapping[str, str]) -> Iterator[Problem]:
    """Write what the variables say into the document where it says nothing, and yield what cannot be understood.

    Variables about the exporter count only while no `tempo_endpoint` is set: its headers must not reach another host.
    """
    endpoint = (SECTION, "tempo_endpoint")
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        if document.holds(endpoint):
            _ = document.put(endpoint, None, _place("OTEL_SDK_DISABLED"))
        return
    said = frozenset(document.value_places)
    for names, read in _VARIABLES:
        name = next((each for each in names if environ.get(each, "").strip()), None)
        if name is None or (read in _OF_EXPORTER and endpoint in said):
            continue
        if read is _sampler and not said.isdisjoint({(SECTION, "sample_ratio"), (SECTION, "follow_parent")}):
            continue
        try:
            values = read(environ[name].strip(), environ)
        except ValueError as error:
            yield Problem(message=str(error), place=_place(name), suggestion=_SUGGESTION)
            continue
        for key, value in values:
            if not document.holds((SECTION, *key)):
                _ = document.put((SECTION, *key), value, _place(name))


def applied_otel_variables(document: Document, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the variables that gave a document values."""
    sources = {place.source for path, place in document.value_places.items() if path[0] == SECTION}
    return tuple(sorted(name for name in environ if name.startswith("OTEL_") and _place(name).source in sources))


_SUGGESTION: Final = "correct it, or set OTEL_SDK_DISABLED=true to export no traces"


def _place(name: str) -> Place:
    return Place(f"environment variable {name}")


def _endpoint(text: str, environ: Mapping[str, str]) -> Values:
    exporters = environ.get("OTEL_TRACES_EXPORTER", "otlp").replace(" ", "").split(",")
    if "otlp" not in exporters:
        return []
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = environ.get(name, "").strip()
        if protocol and protocol != "grpc":
            raise ValueError(f'{name} is "{protocol[:40]}", and this gateway exports by "grpc" only')
        if protocol:
            break
    if "://" not in text:
        names = ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE")
        is_insecure = next((environ[name] for name in names if environ.get(name)), "").strip().lower() == "true"
        text = f"{'http' if is_insecure else 'https'}://{text}"
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError('expected an address such as "http://collector:4317"')
    port = parts.port or (443 if parts.scheme == "https" else PLAIN_PORT)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return [(("tempo_endpoint",), f"{parts.scheme}://{host}:{port}")]


def _pairs(text: str) -> dict[str, str]:
    """Read `key=value,key=value`, percent-encoded as in W3C baggage."""
    pairs: dict[str, str] = {}
    for member in filter(None, (each.strip() for each in text.split(","))):
        name, separator, value = member.partition("=")
        if not separator or not name.strip():
            # The text may hold a secret.
            raise ValueError('expected "key=value,key=value", percent-encoded')
        pairs[unquote(name.strip())] = unquote(value.strip())
    return pairs


def _headers(text: str, environ: Mapping[str, str]) -> Values:
    return [(("headers", name), value) for name, value in _pairs(text).items()]


def _resource(text: str, environ: Mapping[str, str]) -> Values:
    pairs = _pairs(text)
    name = pairs.pop("service.name", None)
    values: Values = [(("resource_attributes", key), value) for key, value in pairs.items()]
    return [*values, (("service_name",), name)] if name else values


def _timeout(text: str, environ: Mapping[str, str]) -> Values:
    return [(("otlp_timeout_secs",), _number(text) / 1000)]


def _whole(key: str) -> Callable[[str, Mapping[str, str]], Values]:
    return lambda text, environ: [((key,), int(_number(text)))]


def _text(key: str) -> Callable[[str, Mapping[str, str]], Values]:
    return lambda text, environ: [((key,), text)]


def _number(text: str) -> float:
    if not text.isascii() or not text.isdigit() or len(text) > 12 or int(text) == 0:
        raise ValueError(f'expected a whole number above 0, got "{text[:40]}"')
    return float(text)


def _sampler(text: str, environ: Mapping[str, str]) -> Values:
    is_parent_based = text.startswith("parentbased_")
    kind = text.removeprefix("parentbased_")
    if kind == "traceidratio":
        ratio = _ratio(environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip())
    elif kind in ("always_on", "always_off"):
        ratio = 1.0 if kind == "always_on" else 0.0
    else:
        raise ValueError(f'"{text[:40]}" is no sampler of this gateway: there are always_on, always_off, traceidratio')
    return [(("sample_ratio",), ratio), (("follow_parent",), is_parent_based)]


def _ratio(text: str) -> float:
    if not text:
        return 1.0
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ValueError(f'OTEL_TRACES_SAMPLER_ARG is "{text[:40]}", expected a number from 0 to 1')
    return ratio


def _exporter(*suffixes: str) -> tuple[str, ...]:
    """Return the names of a variable of the exporter: the one for traces wins over the one for all signals."""
    return tuple(f"OTEL_EXPORTER_OTLP_{signal}{suffix}" for suffix in suffixes for signal in ("TRACES_", ""))


_certificate, _client_certificate, _client_key = map(
    _text, ("tls_ca_cert_path", "tls_client_cert_path", "tls_client_key_path")
)
_OF_EXPORTER: Final = (_endpoint, _headers, _certificate, _client_certificate, _client_key)
"""What belongs to an address and must not be used with another one."""
_VARIABLES: Final[tuple[tuple[tuple[str, ...], Callable[[str, Mapping[str, str]], Values]], ...]] = (
    (_exporter("ENDPOINT"), _endpoint),
    (_exporter("HEADERS"), _headers),
    (_exporter("CERTIFICATE"), _certificate),
    (_exporter("CLIENT_CERTIFICATE"), _client_certificate),
    (_exporter("CLIENT_KEY"), _client_key),
    (_exporter("TIMEOUT"), _timeout),
    (("OTEL_SERVICE_NAME",), _text("service_name")),
    (("OTEL_RESOURCE_ATTRIBUTES",), _resource),
    (("OTEL_TRACES_SAMPLER",), _sampler),
    (("OTEL_BSP_SCHEDULE_DELAY",), _whole("export_interval_ms")),
    (("OTEL_BSP_MAX_QUEUE_SIZE",), _whole("max_queued_spans")),
    (("OTEL_BSP_MAX_EXPORT_BATCH_SIZE",), _whole("max_spans_per_export")),
    (("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",), _whole("max_attributes_per_span")),
    (("OTEL_SPAN_EVENT_COUNT_LIMIT",), _whole("max_events_per_span")),
)
"""Names by precedence, and how they are read."""
