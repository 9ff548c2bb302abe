"""How deeply serialized messages are nested, as the backend's library will count it.

Most protobuf libraries read 100 messages inside each other and take more for broken bytes, for which gRPC servers have
no better word than INTERNAL. The entry of a map is a message there, and a member of a `Struct` is three: a JSON text of
34 levels may be too deep.
"""

from __future__ import annotations

from typing import Final

from protobuf import DescMessage

from ..model.errors import GatewayError, bad_request
from .fields import element_of, is_map, reachable_messages

MAX_DEPTH: Final = 100
"""Messages inside the outermost one."""
MAX_SHALLOW_LEVELS: Final = 32
"""So few objects and arrays inside each other never make too many messages, at three messages a level."""
_VARINT, _FIXED64, _BYTES, _GROUP, _GROUP_END, _FIXED32 = range(6)

_Fields = dict[int, "_Node"]


class _Node:
    """What is known of one message type: the fields that hold messages, by number."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: _Fields = {}


class DepthLimit:
    """Tells whether serialized messages of one type are nested too deeply. Made once, shared by requests."""

    __slots__ = ("_message", "_root", "is_needed")

    def __init__(self, message: DescMessage) -> None:
        self.is_needed = _holds_itself(message)
        """Whether any message of the type can be: it is so only when some type leads back to itself."""
        self._message = message
        self._root: _Node | None = None

    def is_exceeded(self, data: bytes) -> bool:
        """Tell whether a message of the type, as its codec serialized it, has more levels than backends read."""
        if self._root is None:
            # Made when first asked for: hardly any route is ever sent such a text.
            self._root = _root_node(self._message)
        waiting: list[tuple[_Node, int, int, int]] = [(self._root, 0, len(data), 0)]
        while waiting:
            node, at, end, depth = waiting.pop()
            if depth > MAX_DEPTH:
                return True
            outer: list[_Node] = []
            while at < end:
                tag, at = _varint(data, at)
                kind = tag & 7
                if kind == _BYTES:
                    length, at = _varint(data, at)
                    inner = node.fields.get(tag >> 3)
                    if inner is not None:
                        if inner.fields:
                            waiting.append((inner, at, at + length, depth + len(outer) + 1))
                        elif depth + len(outer) >= MAX_DEPTH:
                            return True
                    at += length
                elif kind == _VARINT:
                    _, at = _varint(data, at)
                elif kind == _GROUP:
                    outer.append(node)
                    node = node.fields[tag >> 3]
                    if depth + len(outer) > MAX_DEPTH:
                        return True
                elif kind == _GROUP_END:
                    node = outer.pop()
                else:
                    at += 8 if kind == _FIXED64 else 4
        return False


def too_deep_message(reason: str) -> GatewayError:
    """Make the error for a request whose message is nested too deeply."""
    text = (
        f"the message has more than {MAX_DEPTH} levels; an entry of a map counts as one, a member of a Struct as three"
    )
    return bad_request(text, reason)


def may_be_deep(parameters: str) -> bool:
    """Tell whether a query or a form can make too many messages: each level needs one of these characters."""
    if len(parameters) <= MAX_SHALLOW_LEVELS:
        return False
    return sum(map(parameters.count, ".[{%")) > MAX_SHALLOW_LEVELS


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] >= 0x80:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | data[at] << shift, at + 1


def _root_node(root: DescMessage) -> _Node:
    messages = list(reachable_messages(root))
    nodes = {message.type_name: _Node() for message in messages}
    for message in messages:
        fields = nodes[message.type_name].fields
        for field in message.fields:
            element = element_of(field)
            inner = nodes[element.type_name] if isinstance(element, DescMessage) else None
            if is_map(field):
                entry = fields[field.number] = _Node()
                if inner is not None:
                    entry.fields[2] = inner
            elif inner is not None:
                fields[field.number] = inner
    return nodes[root.type_name]


def _holds_itself(root: DescMessage) -> bool:
    """Tell whether some type that `root` leads to leads back to itself: types without inner ones go until none does."""
    inner: dict[str, int] = {}
    users: dict[str, list[str]] = {}
    for message in reachable_messages(root):
        elements = {element_of(field) for field in message.fields}
        names = {element.type_name for element in elements if isinstance(element, DescMessage)}
        inner[message.type_name] = len(names)
        for name in names:
            users.setdefault(name, []).append(message.type_name)
    ends = [name for name, count in inner.items() if not count]
    for name in ends:
        for user in users.get(name, ()):
            inner[user] -= 1
            if not inner[user]:
                ends.append(user)
    return len(ends) < len(inner)
