"""YAML text into a document with places. Every mistake becomes a problem with line and column; nothing else is raised.

Only plain data is read: texts, numbers, bools, nothing, lists, sections. Anchors, aliases and `<<` work within bounds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import yaml
from yaml.constructor import SafeConstructor

from api_gateway.config.document import Document
from api_gateway.config.problem import ConfigError, KeyPath, Place, Problem
from api_gateway.config.yaml_mistakes import explain_yaml

MAX_DEPTH: Final = 32
"""Deepest nesting. The settings need 4; libyaml and Python would follow thousands of levels into a stack overflow."""
MAX_VALUES: Final = 200_000
"""Most values after aliases are resolved: ten thousand routes have less than half; a nest of aliases has billions."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NOT_PRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # as YAML 1.1 counts lines
_TAG: Final = "tag:yaml.org,2002:"


class _Mark(Protocol):
    line: int
    column: int


def read_document(text: str, source: str) -> tuple[Document, list[Problem]]:
    """Read a whole file. Returns what could be read, and the mistakes that did not stop the reading: keys given twice.

    An empty text is a document without values. Raises ConfigError when the text is not YAML or not a section.
    """
    document = Document(root=Place(source, 1, 1))
    node = _compose(text, source)
    if node is None:
        return document, []
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(
            [
                Problem(
                    message=f"expected sections with keys, got {_kind_of(node)}",
                    place=_place(node.start_mark, source),
                    suggestion='start with a line like "services:"',
                )
            ]
        )
    reader = _Reader(source, document, [])
    document.values = reader.read_mapping(node, ())
    return document, reader.problems


def read_value(text: str, source: str) -> tuple[object, str]:
    """Read one value, as it may stand in a variable. Returns it and how it was quoted: `'`, `"`, or nothing.

    Raises ConfigError, with places that name the source only.
    """
    try:
        node = _compose(text, source)
        if node is None:
            return None, ""
        reader = _Reader(source, Document(root=Place(source)), [])
        value = reader.read(node, ())
    except ConfigError as error:
        raise ConfigError(
            Problem(message=p.message, place=Place(source), path=p.path) for p in error.problems
        ) from None
    if reader.problems:
        raise ConfigError(Problem(message=p.message, place=Place(source), path=p.path) for p in reader.problems)
    quote = node.style if isinstance(node, yaml.ScalarNode) else None
    return value, quote or ""


@dataclass(slots=True)
class _Reader:
    """Turns nodes into values, and counts them."""

    source: str
    document: Document
    problems: list[Problem]
    count: int = 0

    def read(self, node: yaml.Node, path: KeyPath) -> object:
        self.count += 1
        if self.count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise self._refusal(node, path, f"more than {MAX_VALUES:,} values or {MAX_DEPTH} levels, aliases included")
        self.document.value_places[path] = _place(node.start_mark, self.source)
        match node:
            case yaml.MappingNode():
                return self.read_mapping(node, path)
            case yaml.SequenceNode():
                return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
            case _:
                return self._read_scalar(node, path)

    def read_mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        values: dict[str, object] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merged.append(value_node)
                continue
            key = self._read_key(key_node, path)
            if key is None:
                continue
            key_path = (*path, key)
            place = _place(key_node.start_mark, self.source)
            if key in values:
                first = self.document.key_places[key_path].line
                self.problems.append(Problem(message=f"given twice; first in line {first}", place=place, path=key_path))
                continue
            self.document.key_places[key_path] = place
            values[key] = self.read(value_node, key_path)
        for source in merged:
            self._merge(source, path, values)
        return values

    def _read_key(self, node: yaml.Node, path: KeyPath) -> str | None:
        # The text as written: `on`, `no` and `8080` are names of services like any other.
        if isinstance(node, yaml.ScalarNode) and node.value:
            return str(node.value)
        what = "a key is missing before the colon" if isinstance(node, yaml.ScalarNode) else "a key must be plain text"
        self.problems.append(Problem(message=what, place=_place(node.start_mark, self.source), path=path))
        return None

    def _merge(self, node: yaml.Node, path: KeyPath, values: dict[str, object]) -> None:
        """Take over the keys of `<<: *anchor` that are not given here; of a list, the first one that has a key wins."""
        self.count += 1
        if self.count > MAX_VALUES:
            raise self._refusal(node, path, f"more than {MAX_VALUES:,} values, aliases included")
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._merge(item, path, values)
            return
        if not isinstance(node, yaml.MappingNode):
            self.problems.append(
                Problem(
                    message=f'expected a section, or a list of sections, after "<<", got {_kind_of(node)}',
                    place=_place(node.start_mark, self.source),
                    path=path,
                )
            )
            return
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                self._merge(value_node, path, values)
                continue
            key = self._read_key(key_node, path)
            if key is not None and key not in values:
                self.document.key_places[*path, key] = _place(key_node.start_mark, self.source)
                values[key] = self.read(value_node, (*path, key))

    def _read_scalar(self, node: yaml.Node, path: KeyPath) -> object:
        tag = node.tag.removeprefix(_TAG)
        construct = _SCALARS.get(tag)
        message = f'the tag "{tag}" is not allowed'
        if construct is not None:
            try:
                return construct(node)
            except (ValueError, KeyError, OverflowError, yaml.YAMLError):
                message = f"cannot be read as YAML's type {tag}"
        self.problems.append(Problem(message=message, place=_place(node.start_mark, self.source), path=path))
        return None

    def _refusal(self, node: yaml.Node, path: KeyPath, message: str) -> ConfigError:
        # The whole path of a runaway nest helps nobody.
        return ConfigError([Problem(message=message, place=_place(node.start_mark, self.source), path=path[:8])])


def _number_or_text(construct: Callable[[yaml.ScalarNode], object]) -> Callable[[yaml.Node], object]:
    # YAML 1.1 reads 1:30 as ninety. Nobody who writes it here means that; as text it is refused with a clear message.
    def read(node: yaml.Node) -> object:
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - only scalars carry these tags here
        return node.value if ":" in node.value else construct(node)

    return read


_constructor = SafeConstructor()
_SCALARS: Final[dict[str, Callable[[yaml.Node], object]]] = {
    "str": lambda node: node.value,
    # A date is never a setting, but may well be the name of something.
    "timestamp": lambda node: node.value,
    "null": lambda node: None,
    "bool": lambda node: _constructor.construct_yaml_bool(node),  # type: ignore[arg-type] # scalars only carry this tag
    "int": _number_or_text(_constructor.construct_yaml_int),
    "float": _number_or_text(_constructor.construct_yaml_float),
}


def _compose(text: str, source: str) -> yaml.Node | None:
    """Parse one YAML document. Raises ConfigError."""
    wrong = _NOT_PRINTABLE.search(text)
    if wrong is not None:
        before = _LINE_BREAK.split(text[: wrong.start()])
        line, column = len(before), len(before[-1]) + 1
        message = f"the character U+{ord(wrong[0]):04X} may not stand in YAML"
        raise ConfigError([Problem(message=message, place=Place(source, line, column), suggestion="remove it")])
    try:
        _check_depth(text, source)
        node: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([explain_yaml(error, _LINE_BREAK.split(text), source)]) from None
    except yaml.YAMLError as error:
        raise ConfigError([Problem(message=str(error), place=Place(source))]) from None
    return node


def _check_depth(text: str, source: str) -> None:
    # Composing recurses; so depth is counted on the flat list of events first.
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                message = f"more than {MAX_DEPTH} levels of nesting"
                raise ConfigError([Problem(message=message, place=_place(event.start_mark, source))])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _place(mark: _Mark | None, source: str) -> Place:
    return Place(source, mark.line + 1, mark.column + 1) if mark else Place(source)


def _kind_of(node: yaml.Node) -> str:
    return "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
