"""Which routes an entry of the configuration means: templates compared by what they match, not by their spelling."""

from __future__ import annotations

import re
from typing import Final

_NAMED_PATTERN: Final = re.compile(r"\{[\w.]+=([^}]*)\}")
_VARIABLE: Final = re.compile(r"\{[\w.]+\}|(?<=/):[A-Za-z_][\w.]*")


def template_shape(template: str) -> str:
    """Return what a path template matches, whatever its variables are called and however they are written.

    `/api/users/:id`, `/api/users/{user_id}` and `/api/users/{name=*}` are all `/api/users/*`. Never raises: what is no
    template is its own shape.
    """
    without_names = _NAMED_PATTERN.sub(r"\1", template)
    return _VARIABLE.sub("*", without_names)
