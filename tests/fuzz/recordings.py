"""Answers of real servers to our own channel: `recordings.json`, written by `python -m tests.fuzz.record`."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.conversations import CONVERSATIONS, CallPlan, Outcome
from tests.support.h2_frames import FrameReader, frame

FILE: Final = Path(__file__).with_name("recordings.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a server sent on one connection, in whole frames."""

    library: str
    conversation: str
    frames: tuple[bytes, ...]
    outcomes: tuple[Outcome, ...]
    """How the calls ended, in their order."""

    @property
    def plans(self) -> tuple[CallPlan, ...]:
        """The calls that were answered."""
        return CONVERSATIONS[self.conversation]

    @property
    def name(self) -> str:
        """How it is called in messages."""
        return f"{self.library}: {self.conversation}"


def load() -> tuple[Recording, ...]:
    """Return all recordings."""
    return tuple(
        Recording(
            library=entry["library"],
            conversation=entry["conversation"],
            frames=frames_of(zlib.decompress(base64.b64decode(entry["sent"]))),
            outcomes=tuple(Outcome(code=code, messages=tuple(messages)) for code, messages in entry["outcomes"]),
        )
        for entry in json.loads(FILE.read_text(encoding="utf-8"))
    )


def save(recordings: list[Recording]) -> None:
    """Write all recordings."""
    entries = [
        {
            "library": each.library,
            "conversation": each.conversation,
            "outcomes": [[outcome.code, list(outcome.messages)] for outcome in each.outcomes],
            "sent": base64.b64encode(zlib.compress(b"".join(each.frames), 9)).decode(),
        }
        for each in recordings
    ]
    FILE.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def frames_of(data: bytes) -> tuple[bytes, ...]:
    """Cut bytes into frames; an incomplete one at the end is left out."""
    return tuple(frame(each.kind, each.flags, each.stream_id, each.payload) for each in FrameReader().feed(data))
