"""Scenarios chosen on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Set


def read_names(text: str, known: Set[str]) -> list[str]:
    """Return the names in a list with commas, in capitals. Raises argparse's error for one that is not known."""
    names = [name for name in text.upper().split(",") if name]
    unknown = sorted(set(names) - known)
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return names
