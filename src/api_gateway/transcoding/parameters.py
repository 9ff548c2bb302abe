"""Strings from path, query and form into message fields (semantics 10 to 12).

A key is a field path, `a.b`, in proto or JSON spelling, optionally with a map key at its end, `labels[colour]`. Keys
are resolved once and remembered; setting a value is then a few attribute accesses. Where a map holds messages the path
goes on behind the key, `shelves[a].name`; such keys are resolved anew each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from protobuf import DescField, DescMessage, Message

from ..model.errors import GatewayError, bad_request
from .codecs import Codecs
from .explain import expected, unknown_name
from .fields import (
    JSON_TYPES,
    SPECIAL_TYPES,
    element_of,
    fields_by_name,
    is_map,
    is_repeated,
    map_key_of,
    message_of,
    oneof_of,
    setter_of,
)
from .query_text import Pairs
from .text_values import Converter, converter_for

MAX_REMEMBERED: Final = 256
"""Resolved keys kept for one binding. A recursive message has endlessly many; others are resolved anew each time."""
MAX_DEPTH: Final = 100
"""Most names in a field path: the depth of messages that protobuf implementations read."""
_MAX_SHOWN: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a key leads."""

    path: str
    """Field path in proto spelling."""
    parents: tuple[DescField, ...]
    """Message fields to go through, outermost first."""
    field: DescField
    put: Callable[[Message, str, str], None]
    """Converts a text and puts it into the innermost message; takes message, map key and text. Raises ValueError."""
    choices: tuple[tuple[str, str], ...]
    """Oneofs on the way, each with the member chosen, both as paths."""
    is_single: bool
    takes_key: bool
    expected: str


class UnknownKeyError(LookupError):
    """A key that names no field. `name` is the part that was not found, `names` what would have been possible there."""

    def __init__(self, name: str, names: list[str]) -> None:
        super().__init__(name)
        self.name = name
        self.names = names


Tables = dict[str, dict[str, DescField]]
"""Fields by name, for each message type met so far."""


def resolve(message: DescMessage, key: str, codecs: Codecs, tables: Tables) -> Target:
    """Find the field a key without map part names. `tables` is filled as types are met.

    Raises UnknownKeyError when there is none, ValueError when it cannot be given as text.
    """
    place = _walk(message, key, tables)
    return _target(place, codecs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A field somewhere inside a message; what the parts are is told in `Target`."""

    path: str
    parents: tuple[DescField, ...]
    field: DescField
    choices: tuple[tuple[str, str], ...]


def _walk(message: DescMessage, key: str, tables: Tables) -> _Place:
    parents: list[DescField] = []
    choices: list[tuple[str, str]] = []
    names = key.split(".")
    if len(names) > MAX_DEPTH:
        raise UnknownKeyError(key, [])
    path = ""
    owner = message
    for position, name in enumerate(names):
        fields = tables.get(owner.type_name)
        if fields is None:
            fields = tables[owner.type_name] = fields_by_name(owner)
        field = fields.get(name)
        if field is None:
            raise UnknownKeyError(name, sorted(field.json_name for field in owner.fields))
        oneof = oneof_of(field)
        if oneof is not None:
            choices.append((f"{path}{oneof.name}", f"{path}{field.name}"))
        path = f"{path}{field.name}."
        if position == len(names) - 1:
            return _Place(path=path[:-1], parents=tuple(parents), field=field, choices=tuple(choices))
        inner = message_of(field)
        if inner is None or inner.type_name in SPECIAL_TYPES:
            raise UnknownKeyError(names[position + 1], [])
        parents.append(field)
        owner = inner
    raise UnknownKeyError(key, [])


def resolve_entry(
    message: DescMessage, key: str, codecs: Codecs, tables: Tables, depth: int = 0
) -> tuple[Target, str] | None:
    """Find a field inside a message that a map holds, `shelves[a].name`; also return the map key at the end, if any.

    None when the key has another form, or the map holds no messages with fields. Raises what `resolve` raises.
    """
    head, _, rest = key.partition("[")
    map_key, closing, tail = rest.partition("].")
    if not closing:
        return None
    # Counted over the whole key, so that no key leads to a message nested deeper; a map's entry is a message too.
    depth += head.count(".") + 2
    if depth + tail.count(".") >= MAX_DEPTH:
        raise UnknownKeyError(key, [])
    place = _walk(message, head, tables)
    element = element_of(place.field)
    if not is_map(place.field) or not isinstance(element, DescMessage) or element.type_name in SPECIAL_TYPES:
        return None
    inner, last_key = resolve_entry(element, tail, codecs, tables, depth) or _resolve_end(element, tail, codecs, tables)
    prefix = f"{place.path}[{map_key}]."
    target = Target(
        path=f"{prefix}{inner.path}",
        parents=place.parents,
        field=inner.field,
        put=_entry_setter(place.field, element, map_key, inner),
        choices=(*place.choices, *((prefix + oneof, prefix + member) for oneof, member in inner.choices)),
        is_single=inner.is_single,
        takes_key=inner.takes_key,
        expected=inner.expected,
    )
    return target, last_key


def _resolve_end(message: DescMessage, key: str, codecs: Codecs, tables: Tables) -> tuple[Target, str]:
    head, bracket, rest = key.partition("[")
    target = resolve(message, head, codecs, tables)
    if target.takes_key and not rest.endswith("]"):
        raise ValueError(f"expected a key in brackets, for example {head}[key]")
    if bracket and not target.takes_key:
        raise UnknownKeyError(key, [head])
    return target, rest[:-1]


def _entry_setter(
    field: DescField, element: DescMessage, map_key: str, inner: Target
) -> Callable[[Message, str, str], None]:
    convert_key = converter_for(map_key_of(field))
    assert convert_key is not None, "map keys are scalars"  # noqa: S101 # for the type checker
    name = field.local_name

    def put(message: Message, key: str, text: str) -> None:
        entries: dict[object, Message] = getattr(message, name)
        try:
            converted = convert_key(map_key)
        except ValueError:
            raise bad_request(f"the map key {json.dumps(_short(map_key))} does not fit", "INVALID_PARAMETER") from None
        entry = entries.get(converted)
        if entry is None:
            entry = entries[converted] = element.type()
        inner.put(_innermost(entry, inner.parents), key, text)

    return put


class ParameterReader:
    """Puts parameters into messages of one type. Shared by requests: it remembers resolved keys, nothing else."""

    __slots__ = (
        "_choices",
        "_codecs",
        "_ignores_unknown",
        "_maps",
        "_message",
        "_noun",
        "_tables",
        "_taken",
        "_targets",
    )

    def __init__(
        self,
        message: DescMessage,
        codecs: Codecs,
        *,
        noun: str = "query parameter",
        ignores_unknown: bool,
        taken: Mapping[str, str] | None = None,
        choices: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare to read parameters of `message`.

        `taken` maps field paths that come from elsewhere (`*` for all) to where they come from: giving them, or what
        lies below them, is an error. `choices` are the oneof members that come from elsewhere.
        """
        self._message = message
        self._codecs = codecs
        self._noun = noun
        self._ignores_unknown = ignores_unknown
        self._taken = dict(taken or {})
        self._choices = dict(choices or {})
        self._tables: Tables = {}
        self._targets: dict[str, Target] = {}
        self._maps: dict[str, Target] = {}

    def apply(self, message: Message, pairs: Pairs) -> None:
        """Set the fields that `pairs` name.

        Raises GatewayError 400: UNKNOWN_PARAMETER, INVALID_PARAMETER, or PARAMETER_CONFLICT for what is given twice.
        """
        seen: set[str] = set()
        choices = dict(self._choices) if self._choices else {}
        for key, text in pairs:
            target = self._targets.get(key)
            map_key = ""
            if target is None:
                found = self._find(key)
                if found is None:
                    continue
                target, map_key = found
            if target.is_single:
                if target.path in seen:
                    raise self._conflict(key, "is given twice")
                seen.add(target.path)
            for oneof, member in target.choices:
                other = choices.setdefault(oneof, member)
                if other != member:
                    raise self._conflict(key, f"cannot be given together with {other}")
            try:
                target.put(_innermost(message, target.parents), map_key, text)
            except ValueError:
                raise _invalid(self._noun, key, target.expected, text) from None
            except GatewayError as error:
                raise bad_request(
                    f"{self._noun} {_short(key)}: {error.message}", "INVALID_PARAMETER", field=_short(key)
                ) from None

    def paths(self, pairs: Pairs) -> Iterable[str]:
        """Iterate over the field paths, in proto spelling, that `pairs` set; maps as a whole."""
        for key, _ in pairs:
            found = self._find(key)
            if found is not None:
                yield found[0].path.partition("[")[0]

    def _find(self, key: str) -> tuple[Target, str] | None:
        known = self._targets.get(key)
        if known is not None:
            return known, ""
        head, bracket, rest = key.partition("[")
        entries = self._maps.get(head) if bracket and rest.endswith("]") else None
        if entries is not None:
            return entries, rest[:-1]
        try:
            if bracket and "]." in rest:
                entry = resolve_entry(self._message, key, self._codecs, self._tables)
                if entry is not None:
                    self._refuse_taken(key, entry[0].path)
                    return entry
            target = resolve(self._message, head, self._codecs, self._tables)
        except UnknownKeyError as error:
            if self._ignores_unknown:
                return None
            raise unknown_name(self._noun, key, error.name, error.names, "UNKNOWN_PARAMETER") from None
        except ValueError as error:
            raise bad_request(f"{self._noun} {_short(key)}: {error}", "INVALID_PARAMETER", field=_short(key)) from None
        self._refuse_taken(key, target.path)
        if target.takes_key:
            if not bracket or not rest.endswith("]"):
                raise bad_request(
                    f"{self._noun} {_short(key)}: expected a key in brackets, for example {head}[key]",
                    "INVALID_PARAMETER",
                    field=_short(key),
                )
            self._remember(self._maps, head, target)
            return target, rest[:-1]
        if bracket:
            if self._ignores_unknown:
                return None
            raise unknown_name(self._noun, key, key, [head], "UNKNOWN_PARAMETER")
        self._remember(self._targets, key, target)
        return target, ""

    def _remember(self, targets: dict[str, Target], key: str, target: Target) -> None:
        if len(self._targets) + len(self._maps) < MAX_REMEMBERED:
            targets[key] = target

    def _refuse_taken(self, key: str, path: str) -> None:
        for taken, origin in self._taken.items():
            if taken in ("*", path) or path.startswith((f"{taken}.", f"{taken}[")):
                raise self._conflict(key, f"comes from the {origin}")

    def _conflict(self, key: str, message: str) -> GatewayError:
        short = _short(key)
        return bad_request(f"{self._noun} {short} {message}", "PARAMETER_CONFLICT", field=short)


def path_setter(message: DescMessage, variable: str, codecs: Codecs) -> tuple[Target, Callable[[Message, str], None]]:
    """Return where a path variable leads and what puts its text there.

    Raises ValueError when the variable names no field, or one that takes more than one text.
    """
    try:
        target = resolve(message, variable, codecs, {})
    except UnknownKeyError as error:
        raise ValueError(f"path variable {variable}: {message.type_name} has no such field ({error.name})") from None
    except ValueError as error:
        raise ValueError(f"path variable {variable}: {error}") from None
    if not target.is_single or target.takes_key:
        raise ValueError(f"path variable {variable}: the field is repeated")
    parents, put = target.parents, target.put

    def set_variable(value: Message, text: str) -> None:
        try:
            put(_innermost(value, parents) if parents else value, "", text)
        except ValueError:
            raise _invalid("path parameter", variable, target.expected, text) from None
        except GatewayError as error:
            raise bad_request(
                f"path parameter {variable}: {error.message}", "INVALID_PARAMETER", field=variable
            ) from None

    return target, set_variable


def _target(place: _Place, codecs: Codecs) -> Target:
    field = place.field
    element = element_of(field)
    convert = converter_for(element)
    if convert is None and isinstance(element, DescMessage):
        convert = _json_converter(element, codecs)
    if convert is None:
        raise ValueError(_no_text(place.path, field, element))
    return Target(
        path=place.path,
        parents=place.parents,
        field=field,
        put=_put(field, convert),
        choices=place.choices,
        is_single=not is_repeated(field) and not is_map(field),
        takes_key=is_map(field),
        expected=expected(element) if not is_map(field) else f"a valid key, and as value {expected(element)}",
    )


def _no_text(path: str, field: DescField, element: object) -> str:
    if isinstance(element, DescMessage) and element.fields and element.type_name not in SPECIAL_TYPES:
        if is_map(field):
            return f"{path} holds messages; give their fields, for example {path}[key].{element.fields[0].name}"
        if message_of(field):
            return f"{path} is a message; give its fields, for example {path}.{element.fields[0].name}"
    return f"{path} cannot be given as text"


def _json_converter(message: DescMessage, codecs: Codecs) -> Converter | None:
    if message.type_name not in JSON_TYPES:
        return None
    decoder = codecs.decoder(message)
    return lambda text: decoder.decode(text.encode())


def _put(field: DescField, convert: Converter) -> Callable[[Message, str, str], None]:
    name = field.local_name
    if is_repeated(field):
        return lambda message, _, text: getattr(message, name).append(convert(text))
    if is_map(field):
        convert_key = converter_for(map_key_of(field))
        assert convert_key is not None, "map keys are scalars"  # noqa: S101 # for the type checker
        return _map_setter(name, convert_key, convert)
    setter = setter_of(field)
    return lambda message, _, text: setter(message, convert(text))


def _map_setter(name: str, convert_key: Converter, convert: Converter) -> Callable[[Message, str, str], None]:
    def put(message: Message, key: str, text: str) -> None:
        entries: dict[object, object] = getattr(message, name)
        converted = convert_key(key)
        if converted in entries:
            raise bad_request("the key is given twice", "PARAMETER_CONFLICT")
        entries[converted] = convert(text)

    return put


def _innermost(message: Message, parents: tuple[DescField, ...]) -> Message:
    """Go through message fields, making the messages that are missing."""
    for field in parents:
        inner = cast("Message | None", message[field])
        if inner is None:
            inner = cast("DescMessage", message_of(field)).type()
            message[field] = inner
        message = inner
    return message


def _invalid(noun: str, key: str, wanted: str, text: str) -> GatewayError:
    short = _short(key)
    return bad_request(
        f"{noun} {short}: expected {wanted}, got {json.dumps(_short(text))}", "INVALID_PARAMETER", field=short
    )


def _short(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
