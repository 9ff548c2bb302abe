"""The naming convention: `GetUser` is `GET /api/users/:id` (semantics 5)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..schema import FieldKind, Method, fields_of
from .plurals import plural, words_of

PREFIX: Final = "/api"

_NAME: Final = re.compile(r"(Get|List|Create|Update|Delete)([A-Z0-9].*)")
_VERB: Final = {"Get": "GET", "List": "GET", "Create": "POST", "Update": "PUT", "Delete": "DELETE"}
_TAKES_ID: Final = frozenset({"Get", "Update", "Delete"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """The route that a method's name asks for."""

    verb: str
    path: str
    """As the route table prints it: `/api/users/:id`, whatever the field is called."""
    identifier: str | None
    """The request field that `:id` binds; None where the path has no `:id`."""
    body: str


def apply_convention(method: Method) -> Convention:
    """Return the route of a method by its name and request. Raises ValueError with the reason when none fits."""
    match = _NAME.fullmatch(method.name)
    if match is None:
        raise ValueError("the name is not Get, List, Create, Update or Delete and a resource")
    action, resource = match[1], words_of(match[2])
    collection = f"{PREFIX}/{'-'.join([*resource[:-1], plural(resource[-1])])}"
    body = "*" if action in ("Create", "Update") else ""
    if action not in _TAKES_ID:
        return Convention(verb=_VERB[action], path=collection, identifier=None, body=body)
    field = identifier_of(method)
    if field is None:
        raise ValueError(
            f"no field of {method.input.type_name} fits :id, which is id, {'_'.join(resource)}_id, name, "
            "or the only scalar field"
        )
    return Convention(verb=_VERB[action], path=f"{collection}/:id", identifier=field, body=body)


def identifier_of(method: Method) -> str | None:
    """Return the request field that `:id` means: `id`, else `<resource>_id`, else `name`, else the only scalar field.

    All of them must be single scalars. None when there is no such field.
    """
    scalars = [field.name for field in fields_of(method.input) if field.kind is FieldKind.SCALAR]
    match = _NAME.fullmatch(method.name)
    resource_id = f"{'_'.join(words_of(match[2]))}_id" if match is not None else "id"
    for name in ("id", resource_id, "name"):
        if name in scalars:
            return name
    return scalars[0] if len(scalars) == 1 else None
