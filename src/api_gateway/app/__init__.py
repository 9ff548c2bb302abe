"""One worker: every part built from the settings, joined, started in order and stopped in reverse."""

from __future__ import annotations

from .gateway import Gateway
from .shared import Shared

__all__ = ["Gateway", "Shared"]
