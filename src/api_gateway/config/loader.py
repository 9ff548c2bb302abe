"""Reads the configuration: one YAML file, `--backend` options and environment variables become `Settings`.

All mistakes are reported at once, each with its place. What the settings mean and which values they take is told in
`settings`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from api_gateway.config.consistency import contradictions, unfilled_variables
from api_gateway.config.document import Document
from api_gateway.config.environment import apply_environment, overriding_variables
from api_gateway.config.explain import empty_sections, explain
from api_gateway.config.otel_environment import applied_otel_variables, apply_otel_environment
from api_gateway.config.problem import ConfigError, Place, Problem
from api_gateway.config.settings import Settings
from api_gateway.config.yaml_reader import read_document

DEFAULT_PATH: Final = Path("config/gateway-config.yaml")
"""Where the file is looked for, from the working directory, when nothing names one."""
PATH_VARIABLE: Final = "GATEWAY_CONFIG_PATH"
"""Environment variable that names the file when `--config` does not."""
MAX_FILE_BYTES: Final = 4 * 1024 * 1024
"""Largest file read. Ten thousand route overrides are about 1 MiB; more is a mistake, or a device that never ends."""

_SMALLEST_FILE: Final = 'services:\n  my-service:\n    endpoint: "http://localhost:50051"'


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Checked settings, and where they came from."""

    settings: Settings
    origin: str
    """For people: the file, the option, or both."""
    overrides: tuple[str, ...] = ()
    """Names of the environment variables that replaced values."""
    document: Document = field(default_factory=lambda: Document(root=Place("")), repr=False, compare=False)
    """Where each value was written."""
    warnings: tuple[Problem, ...] = ()
    """What will not work as it is written; `inspection` finds it."""


def load_settings(path: Path | None, *, environ: Mapping[str, str], backends: Sequence[str] = ()) -> LoadedSettings:
    """Find, read and check the configuration.

    The file is `path` (from `--config`), else what `GATEWAY_CONFIG_PATH` names, else `config/gateway-config.yaml`
    if there is one. With `backends` (addresses like `http://localhost:50051`), or with services in the environment, no
    file is needed; backends are added to a file only if it was named. Variables win over file and backends, but for
    those of OpenTelemetry, which only fill in.

    Raises ConfigError with every mistake found.
    """
    file = _find_file(path, environ, has_backends=bool(backends))
    overrides = overriding_variables(environ)
    problems: list[Problem] = []
    if file is not None:
        document, problems = _read_file(file, path, environ)
        is_empty = not document.values and not problems
    else:
        document = Document(root=Place("--backend" if backends else "environment"))
        is_empty = True
    if is_empty and not backends and not overrides:
        raise ConfigError([_nothing_configured(file)])
    problems += _add_backends(document, backends)
    problems += apply_environment(document, environ)
    problems += apply_otel_environment(document, environ)
    settings, mistakes = _check(document)
    told = {(problem.path, problem.place) for problem in problems}
    problems += [mistake for mistake in mistakes if (mistake.path, mistake.place) not in told]
    if settings is None or problems:
        raise ConfigError(problems)
    origins = [str(file)] if file is not None else []
    origins += ["--backend"] if backends else []
    return LoadedSettings(
        settings,
        " and ".join(origins) or "environment variables",
        (*overrides, *applied_otel_variables(document, environ)),
        document,
    )


def _find_file(path: Path | None, environ: Mapping[str, str], *, has_backends: bool) -> Path | None:
    if path is not None:
        return path
    if environ.get(PATH_VARIABLE):
        return Path(environ[PATH_VARIABLE])
    if has_backends or not DEFAULT_PATH.exists():
        return None
    return DEFAULT_PATH


def _nothing_configured(file: Path | None) -> Problem:
    if file is not None:
        return Problem(
            message="the file is empty",
            place=Place(str(file), 1, 1),
            suggestion=f"the smallest configuration is:\n{_SMALLEST_FILE}",
        )
    return Problem(
        message=f"no configuration: there is no {DEFAULT_PATH} in the working directory",
        suggestion=f"name a file with --config or {PATH_VARIABLE}, or a backend with --backend http://localhost:50051",
    )


def _read_file(file: Path, path: Path | None, environ: Mapping[str, str]) -> tuple[Document, list[Problem]]:
    named_by = "--config" if path is not None else PATH_VARIABLE if environ.get(PATH_VARIABLE) else ""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise _unreadable(file, "there is no such file", f"check the path that {named_by} gives") from None
    except IsADirectoryError:
        raise _unreadable(file, "is a directory", f"name the file in it, such as {file / DEFAULT_PATH.name}") from None
    except PermissionError:
        raise _unreadable(file, "may not be read", "give the user who runs the gateway the right to read it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _unreadable(file, f"cannot be read: {reason}", "") from None
    if len(data) > MAX_FILE_BYTES:
        raise _unreadable(file, f"is larger than {MAX_FILE_BYTES // 1024**2} MiB", "name a configuration file")
    return read_document(_decode(data, file), str(file))


def _decode(data: bytes, file: Path) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _unreadable(file, "is UTF-16", "save it as UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = len(data[data.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")) + 1
        place = Place(str(file), line, column)
        raise ConfigError(
            [
                Problem(
                    message=f"byte 0x{data[error.start]:02x} is not UTF-8", place=place, suggestion="save it as UTF-8"
                )
            ]
        ) from None


def _unreadable(file: Path, message: str, suggestion: str) -> ConfigError:
    return ConfigError([Problem(message=message, place=Place(str(file)), suggestion=suggestion)])


def _add_backends(document: Document, backends: Sequence[str]) -> Iterator[Problem]:
    """Write each address into the document as a service named after host and port."""
    for backend in dict.fromkeys(backends):
        place = Place(f"--backend {backend}")
        services = document.value_at(("services",))
        key = _service_key(backend, services if isinstance(services, dict) else ())
        if document.put(("services", key), {"endpoint": backend}, place) is not None:
            yield Problem(message='cannot be added: "services" in the file is not a section', place=place)


def _service_key(backend: str, taken: Iterable[str]) -> str:
    authority = backend.rpartition("//")[2].rpartition("@")[2]
    name = re.sub(r"[^a-z0-9.]+", "-", authority.lower()).strip("-.") or "backend"
    key, number = name, 1
    while key in taken:
        number += 1
        key = f"{name}-{number}"
    return key


def _check(document: Document) -> tuple[Settings | None, list[Problem]]:
    problems = [*empty_sections(document), *unfilled_variables(document)]
    try:
        settings = Settings.model_validate(document.values)
    except ValidationError as error:
        told = {problem.path for problem in problems}
        mistakes = explain(error.errors(include_url=False), document)
        return None, [*problems, *(mistake for mistake in mistakes if mistake.path not in told)]
    return settings, [*problems, *contradictions(settings, document)]
