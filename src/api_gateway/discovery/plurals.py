"""Names of methods cut into words, and English plurals: just enough for names of resources."""

from __future__ import annotations

import re
from typing import Final

# In this order: an acronym with a plural s (URLs), an acronym before a word (HTTP in HTTPServer), a word, an acronym,
# digits. Digits stay with the letters before them.
_WORD: Final = re.compile(r"[A-Z]{2,}s(?![a-z])|[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*|[0-9]+")

_IRREGULAR: Final = {
    "person": "people",
    "child": "children",
    "man": "men",
    "woman": "women",
    "foot": "feet",
    "tooth": "teeth",
    "goose": "geese",
    "mouse": "mice",
    "medium": "media",
    "criterion": "criteria",
    "leaf": "leaves",
    "life": "lives",
    "knife": "knives",
    "hero": "heroes",
    "potato": "potatoes",
    "tomato": "tomatoes",
    "quiz": "quizzes",
    "epoch": "epochs",
}
_UNCOUNTABLE: Final = frozenset(
    {"data", "metadata", "information", "equipment", "software", "hardware", "firmware", "feedback", "fish", "staff"}
)
# Words that end like a plural and are none.
_SINGULAR: Final = frozenset({"alias", "atlas", "bias", "canvas", "gas", "lens", "axis"})
# Words that end like a singular in -us and are none.
_PLURAL_IN_US: Final = frozenset({"menus", "cpus", "gpus", "tpus", "skus", "gurus", "bureaus", "plateaus"})


def words_of(name: str) -> list[str]:
    """Cut a CamelCase name into lower-case words: `HTTPServerID` is http, server, id."""
    return [word.lower() for word in _WORD.findall(name)]


def plural(word: str) -> str:
    """Return the plural of a lower-case word, or the word itself when it is one already or has none."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _UNCOUNTABLE or word in _IRREGULAR.values() or _is_plural(word):
        return word
    if word.endswith("sis") or word == "axis":
        return word[:-2] + "es"
    if re.search(r"(?:s|x|z|ch|sh)$", word):
        return word + "es"
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    if word.endswith("lf"):
        return word[:-1] + "ves"
    return word + "s"


def _is_plural(word: str) -> bool:
    """Tell whether a word that ends with s is a plural; -ss, -us and -sis are singular (address, status, analysis)."""
    if not word.endswith("s") or len(word) < 3 or word in _SINGULAR:
        return False
    return word in _PLURAL_IN_US or not word.endswith(("ss", "us", "sis"))
