"""Reads Alloy's configuration: blocks and attributes, as far as deploy/stack/config.alloy goes.

file      = *( comment / block )
block     = name [ string ] "{" *( comment / block / attribute ) "}"
attribute = identifier "=" value          ; until the end of its line, or of its brackets
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"|[\w.]+|[{}\[\]=,]|\n')


@dataclass(slots=True)
class Block:
    """A block; `path` is its name behind those of the blocks around it."""

    path: str
    label: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    """The text of each value."""
    blocks: list[Block] = field(default_factory=list)

    def everything(self) -> Iterator[Block]:
        """Iterate over this block and all within."""
        yield self
        for block in self.blocks:
            yield from block.everything()


def parse(text: str) -> Block:
    """Return the whole file as one block without a name. Raises ValueError where it breaks the grammar."""
    tokens = [token for token in _TOKEN.findall(text) if not token.startswith("//")]
    left = _TOKEN.sub("", text).strip()
    if left:
        raise ValueError(f"unexpected text: {left}")
    root = Block("")
    if _fill(root, tokens, 0) != len(tokens):
        raise ValueError("a brace too many")
    return root


def _fill(block: Block, tokens: list[str], at: int) -> int:
    while at < len(tokens) and tokens[at] != "}":
        if tokens[at] == "\n":
            at += 1
        elif tokens[at + 1] == "=":
            block.attributes[tokens[at]], at = _value(tokens, at + 2)
        else:
            inner = Block(f"{block.path} {tokens[at]}".strip())
            at += 1
            if tokens[at].startswith('"'):
                inner.label = tokens[at].strip('"')
                at += 1
            if tokens[at] != "{":
                raise ValueError(f"{inner.path}: expected a brace, got {tokens[at]}")
            at = _fill(inner, tokens, at + 1)
            if at >= len(tokens):
                raise ValueError(f"{inner.path} does not end")
            at += 1
            block.blocks.append(inner)
    return at


def _value(tokens: list[str], at: int) -> tuple[str, int]:
    start, depth = at, 0
    while depth or tokens[at] != "\n":
        depth += (tokens[at] in "[{") - (tokens[at] in "]}")
        at += 1
    return " ".join(token for token in tokens[start:at] if token != "\n"), at
