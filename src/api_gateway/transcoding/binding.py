"""One route's way from an HTTP request to a serialized message, compiled with the route table (semantics 10 to 16)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

import orjson
from protobuf import DescField, DescMessage, Message

from ..model.errors import GatewayError, bad_request
from ..schema import Method
from .codecs import Codecs
from .content_type import Format, format_of_body, unsupported
from .explain import CODEC_ERRORS, explain
from .field_mask import MaskReader, mask_field
from .fields import HTTP_BODY, SPECIAL_TYPES, message_of, oneof_of, setter_of
from .message_depth import DepthLimit, may_be_deep, too_deep_message
from .parameters import ParameterReader, path_setter
from .query_text import parse_form, parse_query
from .strict_json import parse_json
from .string_variables import compile_string_variables

_PATH: Final = "path"
_BODY: Final = "body"


class Binding(Protocol):
    """Makes request messages for one route. Of a stream of requests, `bind` makes the first, `bind_next` the others."""

    @property
    def takes_body(self) -> bool:
        """Whether a part of the message comes from the request body."""

    @property
    def is_raw(self) -> bool:
        """Whether the body is taken as bytes of any content type (`google.api.HttpBody`)."""

    def bind(self, variables: tuple[str, ...], query: str, body: bytes, content_type: bytes) -> bytes:
        """Return the serialized request message.

        `variables` are decoded, in the order given at compile time; `query` is raw; `content_type` is empty when
        there is none.

        Raises GatewayError 400 with a reason and where it is known `field` or `position`, or 415 for a body in another
        format; nothing else, whatever a client sends.
        """

    def bind_next(self, body: bytes) -> bytes:
        """Return a message that follows the first one of a stream: JSON, or raw bytes, and nothing else.

        Path and query belong to the first message alone. Raises as `bind` does.
        """


def compile_binding(
    method: Method,
    variables: tuple[str, ...],
    *,
    body: str,
    codecs: Codecs,
    verb: str = "",
) -> Binding:
    """Build the binding for one HTTP rule.

    `variables` are the template's field paths; `body` is `*`, a field name, or empty; `verb` is the HTTP method: for
    `PATCH` a field mask that the client left out is filled in.

    Raises ValueError when the rule does not fit the request message.
    """
    rule = _Rule(method.input, variables, codecs)
    if not body:
        return _without_body(rule)
    if body == "*":
        return WholeBodyBinding(rule, *_whole_reader(rule))
    field = next((field for field in method.input.fields if body in (field.name, field.json_name)), None)
    if field is None:
        raise ValueError(f"body: {method.input.type_name} has no field {body}")
    if field.name in rule.taken:
        raise ValueError(f"body: the field {field.name} is a path variable already")
    mask = mask_field(method.input, field) if verb.upper() == "PATCH" else None
    return FieldBodyBinding(rule, field, _field_reader(rule, field, keeps_value=mask is not None), mask)


def compile_frames(method: Method, variables: tuple[str, ...], *, codecs: Codecs) -> Binding:
    """Build the binding for the frames of a rule without a body: each is a whole message, the first has the query too.

    Raises ValueError as `compile_binding` does.
    """
    rule = _Rule(method.input, variables, codecs)
    return FrameBinding(rule, WholeBodyBinding(rule, *_whole_reader(rule)))


class _Rule:
    """What all bindings of one rule share: the path variables and what they take from the query."""

    __slots__ = ("choices", "codecs", "depth", "message", "path", "taken")

    def __init__(self, message: DescMessage, variables: tuple[str, ...], codecs: Codecs) -> None:
        self.message = message
        self.codecs = codecs
        self.depth = DepthLimit(message)
        self.path: list[Callable[[Message, str], None]] = []
        self.taken: dict[str, str] = {}
        self.choices: dict[str, str] = {}
        for variable in variables:
            target, set_variable = path_setter(message, variable, codecs)
            if target.path in self.taken:
                raise ValueError(f"path variable {variable} stands twice in the template")
            for oneof, member in target.choices:
                if self.choices.setdefault(oneof, member) != member:
                    raise ValueError(f"path variable {variable} cannot be set together with {self.choices[oneof]}")
            self.path.append(set_variable)
            self.taken[target.path] = _PATH

    def query_reader(self, taken: Mapping[str, str], choices: Mapping[str, str]) -> ParameterReader:
        return ParameterReader(
            self.message,
            self.codecs,
            ignores_unknown=self.codecs.settings.unknown_query == "ignore",
            taken={**self.taken, **taken},
            choices={**self.choices, **choices},
        )

    def finish(self, message: Message, parameters: str = "") -> bytes:
        """Serialize a message; what the codec refuses (no required field, half a surrogate pair) is a client error.

        With the query or the form that is part of it, it is one too when that made it too deep for backends.
        """
        try:
            serialized = message.to_binary()
        except UnicodeEncodeError:
            raise _not_utf8() from None
        except OverflowError:  # integers were checked when they were read; of enum numbers the codec leaves it to now
            raise bad_request("an enum number does not fit 32 bits", "INVALID_FIELD") from None
        except CODEC_ERRORS as error:
            raise explain(error, self.message, {}, 0, None) from None
        if parameters and self.depth.is_needed and may_be_deep(parameters) and self.depth.is_exceeded(serialized):
            raise too_deep_message("INVALID_PARAMETER")
        return serialized

    def check_form(self, message: Message, form: bytes) -> None:
        """Refuse a message that a form made too deep."""
        text = form.decode("latin-1")
        if may_be_deep(text):
            self.finish(message, text)


def _without_body(rule: _Rule) -> Binding:
    if rule.path:
        return NoBodyBinding(rule)
    return QueryBinding(rule)


class NoBodyBinding:
    """Path variables, and everything else from the query."""

    __slots__ = ("_finish", "_path", "_query", "_strings", "_type")

    takes_body: Final = False
    is_raw: Final = False

    def __init__(self, rule: _Rule) -> None:
        self._type = rule.message.type
        self._strings = compile_string_variables(rule.message, tuple(rule.taken))
        self._path = tuple(rule.path)
        self._query = rule.query_reader({}, {})
        self._finish = rule.finish

    def bind(self, variables: tuple[str, ...], query: str, body: bytes, content_type: bytes) -> bytes:
        """See `Binding.bind`."""
        if body:
            raise _unexpected_body()
        if self._strings is not None and not query:
            try:
                return self._strings(variables)
            except UnicodeEncodeError:
                raise _not_utf8() from None
        message = self._type()
        for set_variable, text in zip(self._path, variables, strict=True):
            set_variable(message, text)
        if query:
            self._query.apply(message, parse_query(query))
        return self._finish(message, query)

    def bind_next(self, body: bytes) -> bytes:
        """See `Binding.bind_next`."""
        raise _unexpected_body()


class QueryBinding:
    """Everything from the query."""

    __slots__ = ("_empty", "_finish", "_query", "_type")

    takes_body: Final = False
    is_raw: Final = False

    def __init__(self, rule: _Rule) -> None:
        self._type = rule.message.type
        self._query = rule.query_reader({}, {})
        self._finish = rule.finish
        try:
            self._empty: bytes | None = self._type().to_binary()
        except CODEC_ERRORS:  # a required field: without a query it is missing
            self._empty = None

    def bind(self, variables: tuple[str, ...], query: str, body: bytes, content_type: bytes) -> bytes:
        """See `Binding.bind`."""
        if body:
            raise _unexpected_body()
        if not query and self._empty is not None:
            return self._empty
        message = self._type()
        self._query.apply(message, parse_query(query))
        return self._finish(message, query)

    def bind_next(self, body: bytes) -> bytes:
        """See `Binding.bind_next`."""
        raise _unexpected_body()


BodyReader = Callable[[bytes, bytes], tuple[Message, object]]
"""Returns a request message with the body in it, and the body as parsed JSON (None when it was not JSON)."""
BodySerializer = Callable[[bytes], bytes | None]
"""Returns a serialized request message with a JSON body in it, None when the reader must be asked."""


class WholeBodyBinding:
    """`body: "*"`: the body is the message; path variables go over it, and the query has nothing left to say."""

    __slots__ = ("_finish", "_path", "_query", "_read", "_serialize", "_type", "is_raw")

    takes_body: Final = True

    def __init__(self, rule: _Rule, read: BodyReader, serialize: BodySerializer | None) -> None:
        self._type = rule.message.type
        self._path = tuple(rule.path)
        self._read = read
        self._serialize = serialize
        self._query = rule.query_reader({"*": _BODY}, {})
        self._finish = rule.finish
        self.is_raw = rule.message.type_name == HTTP_BODY

    def bind(self, variables: tuple[str, ...], query: str, body: bytes, content_type: bytes) -> bytes:
        """See `Binding.bind`."""
        serialized = None
        if body and self._serialize is not None and _is_labelled_json(content_type):
            serialized = self._serialize(body)
        if serialized is not None:
            if not self._path and not query:
                return serialized
            message = self._type.from_binary(serialized)
        else:
            message = self._read(body, content_type)[0] if body or self.is_raw else self._type()
        for set_variable, text in zip(self._path, variables, strict=True):
            set_variable(message, text)
        if query:
            self._query.apply(message, parse_query(query))
        return self._finish(message, query)

    def bind_next(self, body: bytes) -> bytes:
        """See `Binding.bind_next`."""
        return self._finish(self._read(body, b"")[0])


class FrameBinding:
    """A frame is the message; in the first one it goes over the query, and path variables over both (semantics 10)."""

    __slots__ = ("_finish", "_frame", "_query", "_type")

    takes_body: Final = True
    is_raw: Final = False

    def __init__(self, rule: _Rule, frame: WholeBodyBinding) -> None:
        self._type = rule.message.type
        self._frame = frame
        self._query = rule.query_reader({}, {})
        self._finish = rule.finish

    def bind(self, variables: tuple[str, ...], query: str, body: bytes, content_type: bytes) -> bytes:
        """See `Binding.bind`."""
        framed = self._frame.bind(variables, "", body, content_type)
        if not query:
            return framed
        message = self._type()
        self._query.apply(message, parse_query(query))
        # Serialized messages merge when one follows the other: the later one wins, and repeated fields add up. Not
        # left to the backend, since not every library merges messages in messages.
        return self._finish(self._type.from_binary(self._finish(message, query) + framed))

    def bind_next(self, body: bytes) -> bytes:
        """See `Binding.bind_next`."""
        return self._frame.bind_next(body)


class FieldBodyBinding:
    """`body: "field"`: the body is one field, path variables go over it, everything else comes from the query."""

    __slots__ = ("_finish", "_mask", "_path", "_query", "_read", "_type", "is_raw")

    takes_body: Final = True

    def __init__(self, rule: _Rule, field: DescField, read: BodyReader, mask: DescField | None) -> None:
        oneof = oneof_of(field)
        self._type = rule.message.type
        self._path = tuple(rule.path)
        self._read = read
        self._query = rule.query_reader({field.name: _BODY}, {oneof.name: field.name} if oneof is not None else {})
        self._finish = rule.finish
        resource = message_of(field)
        self.is_raw = resource is not None and resource.type_name == HTTP_BODY
        self._mask = _MaskFiller(mask, resource) if mask is not None and resource is not None else None

    def bind(self, variables: tuple[str, ...], query: str, body: bytes, content_type: bytes) -> bytes:
        """See `Binding.bind`."""
        message, value = self._read(body, content_type) if body or self.is_raw else (self._type(), None)
        for set_variable, text in zip(self._path, variables, strict=True):
            set_variable(message, text)
        if query:
            self._query.apply(message, parse_query(query))
        if self._mask is not None and value is not None:
            self._mask.fill(message, value)
        return self._finish(message, query)

    def bind_next(self, body: bytes) -> bytes:
        """See `Binding.bind_next`."""
        return self._finish(self._read(body, b"")[0])


class _MaskFiller:
    """Fills in the field mask that a `PATCH` left out."""

    __slots__ = ("_field", "_paths", "_set", "_type")

    def __init__(self, mask: DescField, resource: DescMessage) -> None:
        mask_type = message_of(mask)
        assert mask_type is not None, "mask_field returns message fields only"  # noqa: S101 - for the type checker
        self._type = mask_type.type
        self._field = mask
        self._set = setter_of(mask)
        self._paths = MaskReader(resource).paths

    def fill(self, message: Message, value: object) -> None:
        """Set the mask from the body, as parsed JSON or as the list of paths of a form, unless the client gave one."""
        given = message[self._field]
        if given is not None and given.paths:
            return
        paths = value if isinstance(value, list) else self._paths(value)
        if paths:
            self._set(message, self._type(paths=paths))


def _is_labelled_json(content_type: bytes) -> bool:
    # The two commonest of the spellings that `format_of` knows.
    return content_type == b"application/json" or not content_type


def _whole_reader(rule: _Rule) -> tuple[BodyReader, BodySerializer | None]:
    if rule.message.type_name == HTTP_BODY:
        return lambda body, content_type: (_http_body(rule.message, body, content_type), None), None
    decoder = rule.codecs.decoder(rule.message)
    forms = _form_reader(rule.message, rule)

    def read(body: bytes, content_type: bytes) -> tuple[Message, object]:
        if format_of_body(content_type, body) is Format.JSON:
            return decoder.decode(body), None
        message = rule.message.type()
        if forms is None:
            raise unsupported("this method does not take forms; send application/json")
        forms.apply(message, parse_form(body))
        rule.check_form(message, body)
        return message, None

    return read, decoder.serialize


def _field_reader(rule: _Rule, field: DescField, *, keeps_value: bool) -> BodyReader:
    set_field = setter_of(field)
    message_type = rule.message.type
    inner = message_of(field)
    if inner is not None and inner.type_name == HTTP_BODY:

        def read_raw(body: bytes, content_type: bytes) -> tuple[Message, object]:
            message = message_type()
            set_field(message, _http_body(inner, body, content_type))
            return message, None

        return read_raw
    decoder = rule.codecs.decoder(rule.message)
    forms = _form_reader(inner, rule) if inner is not None else None
    # A mask is filled from the parsed JSON.
    inner_decoder = rule.codecs.decoder(inner) if inner is not None and not keeps_value else None
    name = field.json_name
    opening = orjson.dumps({name: 0})[:-2]

    def read(body: bytes, content_type: bytes) -> tuple[Message, object]:
        if format_of_body(content_type, body) is Format.JSON:
            serialized = inner_decoder.serialize(body) if inner_decoder is not None else None
            if serialized is not None and inner is not None:
                message = message_type()
                set_field(message, inner.type.from_binary(serialized))
                return message, None
            value = parse_json(body)
            # One way for fields of every kind: the body becomes the value of a member. It is known to be one whole JSON
            # value, so nothing in it can reach beyond.
            return decoder.decode_parsed(b"%b%b}" % (opening, body), {name: value}), value
        if forms is None or inner is None:
            raise unsupported("this method does not take forms; send application/json")
        pairs = parse_form(body)
        resource = inner.type()
        forms.apply(resource, pairs)
        message = message_type()
        set_field(message, resource)
        rule.check_form(message, body)
        return message, sorted(set(forms.paths(pairs)))

    return read


def _form_reader(message: DescMessage, rule: _Rule) -> ParameterReader | None:
    if message.type_name in SPECIAL_TYPES:
        return None
    ignores_unknown = rule.codecs.settings.unknown_fields == "ignore"
    return ParameterReader(message, rule.codecs, noun="form field", ignores_unknown=ignores_unknown)


def _http_body(message: DescMessage, body: bytes, content_type: bytes) -> Message:
    try:
        return message.type(content_type=content_type.decode("ascii"), data=body)
    except UnicodeDecodeError:
        raise unsupported("the content type is malformed") from None


def _not_utf8() -> GatewayError:
    return bad_request("a parameter is not valid UTF-8", "INVALID_PARAMETER")


def _unexpected_body() -> GatewayError:
    return bad_request("this method takes no request body", "UNEXPECTED_BODY")


if TYPE_CHECKING:
    _bindings: tuple[type[Binding], ...] = (NoBodyBinding, QueryBinding, WholeBodyBinding, FieldBodyBinding)
