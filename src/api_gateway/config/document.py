"""Plain values, each with the place where it was written. Knows nothing of YAML and nothing of settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from api_gateway.config.problem import KeyPath, Place


@dataclass(slots=True)
class Document:
    """Values of a configuration while it is put together from a file, options and variables.

    `values` holds dictionaries, lists, texts, numbers, bools and None. `key_places` and `value_places` know where each
    was written; what a merge or an alias brought in has the place of the original.
    """

    root: Place
    values: dict[str, object] = field(default_factory=dict)
    key_places: dict[KeyPath, Place] = field(default_factory=dict)
    value_places: dict[KeyPath, Place] = field(default_factory=dict)

    def place_of_key(self, path: KeyPath) -> Place:
        """Return where a key was written; of a key that is missing, where its section was."""
        return self._nearest(path, self.key_places)

    def place_of_value(self, path: KeyPath) -> Place:
        """Return where a value was written; of a value that is missing, where its section was."""
        if path in self.value_places:
            return self.value_places[path]
        return self.place_of_key(path)

    def holds(self, path: KeyPath) -> bool:
        """Tell whether something stands at this path."""
        return not path or path in self.value_places

    def value_at(self, path: KeyPath) -> object:
        """Return the value at a path; None when there is none."""
        value: object = self.values
        for part in path:
            match value, part:
                case dict(), str() if part in value:
                    value = value[part]
                case list(), int() if 0 <= part < len(value):
                    value = value[part]
                case _:
                    return None
        return value

    def put(self, path: KeyPath, value: object, place: Place) -> KeyPath | None:
        """Write a value over whatever stands at the path, making sections on the way.

        Returns None, or the path of the part that is no section (or list) and so cannot hold the value; then nothing
        changed. An index may be at most one beyond the end of its list.
        """
        for length in range(len(path)):
            if not _can_hold(self.value_at(path[:length]), path[length]):
                return path[:length]
        container: object = self.values
        for length, part in enumerate(path[:-1], start=1):
            container = self._enter(container, part, is_list=isinstance(path[length], int))
            self.value_places.setdefault(path[:length], place)
            self.key_places.setdefault(path[:length], place)
        _assign(container, path[-1], value)
        self._forget_below(path)
        self._record(path, value, place)
        return None

    def _nearest(self, path: KeyPath, places: Mapping[KeyPath, Place]) -> Place:
        for length in range(len(path), 0, -1):
            if path[:length] in places:
                return places[path[:length]]
        return self.root

    @staticmethod
    def _enter(container: object, part: str | int, *, is_list: bool) -> object:
        fresh: object = [] if is_list else {}
        if isinstance(container, dict):
            if container.get(part) is None:
                container[part] = fresh
            return container[part]
        assert isinstance(container, list) and isinstance(part, int)  # noqa: S101 - put() has checked it
        if part == len(container):
            container.append(fresh)
        elif container[part] is None:
            container[part] = fresh
        return container[part]

    def _forget_below(self, path: KeyPath) -> None:
        for places in (self.key_places, self.value_places):
            for known in [known for known in places if known[: len(path)] == path]:
                del places[known]

    def _record(self, path: KeyPath, value: object, place: Place) -> None:
        self.key_places[path] = self.value_places[path] = place
        if isinstance(value, dict):
            for key, inner in value.items():
                self._record((*path, key), inner, place)
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                self._record((*path, index), inner, place)


def _can_hold(container: object, part: str | int) -> bool:
    if container is None:
        return isinstance(part, str) or part == 0
    if isinstance(part, int):
        return isinstance(container, list) and 0 <= part <= len(container)
    return isinstance(container, dict)


def _assign(container: object, part: str | int, value: object) -> None:
    if isinstance(container, dict):
        container[part] = value
    elif isinstance(container, list) and isinstance(part, int):
        container[part : part + 1] = [value]
