"""What a fuzzed server does: the bytes of each connection, their slices and pauses, and how the connection ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from random import Random
from typing import Final

from tests.fuzz.fields import without_memory
from tests.fuzz.mutations import invented_frame, mutated, remessaged, reworded
from tests.fuzz.recordings import Recording
from tests.support import h2_frames

FINE_SLICES_BELOW_BYTES: Final = 2_000
"""Longer answers are not sent byte by byte."""


KINDS: Final = ("fields", "messages", "both", "moved", "frames", "invented", "noise", "inputs")
"""How the bytes of a connection are made: recorded answers with other header fields, with other gRPC messages, with
both; frames changed and moved with HPACK's memory taken out, or as they were sent; invented frames; no HTTP/2 at all;
changed inputs of a corpus."""
_WEIGHTS: Final = (20, 15, 10, 20, 15, 8, 2, 10)


class Ending(Enum):
    """What follows the last byte."""

    SILENCE = "silence"
    FIN = "fin"
    RESET = "reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One connection."""

    slices: tuple[bytes, ...]
    kind: str = "unchanged"
    """One of KINDS."""
    pause_s: float = 0.0
    """Time before each slice but the first."""
    ending: Ending = Ending.SILENCE
    stops_reading: bool = False
    """Whether the server takes none of what it is sent for a while, so that the client's write buffer is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Everything about one case."""

    recording: Recording
    """Whose calls are made."""
    plays: tuple[Play | None, ...]
    """The connections in turn; None refuses one. Further ones are refused."""
    timeout_s: float
    is_unchanged: bool = False
    """Whether the recorded answer is played as it was: then the calls must end as they were recorded."""
    has_cancels: bool = False
    """Whether streams are cancelled, some of them in the middle."""
    is_idempotent: bool = False
    """Whether calls may be tried again when they fail."""
    compresses: bool = False
    """Whether requests are compressed."""
    has_two_endpoints: bool = False
    """Whether the service has a second endpoint, served by the plays too where there are no sockets."""
    has_keepalive: bool = False
    """Whether silent connections are asked for a sign of life, and given up without one."""
    has_short_lives: bool = False
    """Whether connections are replaced after a while."""
    watches_health: bool = False
    """Whether each connection begins with a health watch: its stream gets what was meant for the first call."""


def unchanged(recording: Recording, *, timeout_s: float) -> Case:
    """Return the case in which everything goes as recorded."""
    play = Play(slices=_on_frames(recording.frames), ending=Ending.SILENCE)
    return Case(recording=recording, plays=(play,), timeout_s=timeout_s, is_unchanged=True)


def draw_case(random: Random, recordings: Sequence[Recording], corpus: Sequence[bytes] = ()) -> Case:
    """Invent a case."""
    recording = random.choice(recordings)
    timeout_s = random.choice((0.03, 0.2, 2.0))
    if random.random() < 0.01:
        return unchanged(recording, timeout_s=2.0)
    plays = [_draw_play(random, recording, recordings, corpus)]
    while random.random() < 0.4 and len(plays) < 4:
        plays.append(_draw_play(random, random.choice(recordings), recordings, corpus))
    refused = [None if random.random() < 0.1 else play for play in plays]
    return Case(
        recording=recording,
        plays=tuple(refused),
        timeout_s=timeout_s,
        has_cancels=random.random() < 0.2,
        is_idempotent=random.random() < 0.5,
        compresses=random.random() < 0.3,
        has_two_endpoints=random.random() < 0.2,
        has_keepalive=random.random() < 0.3,
        has_short_lives=random.random() < 0.1,
        watches_health=random.random() < 0.1,
    )


def replay(data: bytes, recording: Recording, *, after_settings: bool) -> Case:
    """Return the case in which a server sends exactly these bytes, perhaps after SETTINGS of a good one."""
    slices = (h2_frames.settings(), data) if after_settings else (data,)
    return Case(recording=recording, plays=(Play(slices=slices),), timeout_s=0.5)


def _draw_play(random: Random, recording: Recording, recordings: Sequence[Recording], corpus: Sequence[bytes]) -> Play:
    kind = random.choices(KINDS, weights=_WEIGHTS)[0]
    if kind == "inputs" and not corpus:
        kind = "frames"
    return Play(
        kind=kind,
        slices=_sliced(random, _drawn_frames(random, kind, recording, recordings, corpus)),
        pause_s=random.choice((0.0, 0.0, 0.001, 0.02, 0.3)),
        ending=random.choice((Ending.SILENCE, Ending.SILENCE, Ending.FIN, Ending.RESET)),
        stops_reading=random.random() < 0.1,
    )


def _drawn_frames(
    random: Random, kind: str, recording: Recording, recordings: Sequence[Recording], corpus: Sequence[bytes]
) -> list[bytes]:
    recorded = recording.frames
    others = [random.choice(recordings).frames]
    match kind:
        case "fields":
            return reworded(random, recorded)
        case "messages":
            return remessaged(random, recorded)
        case "both":
            return remessaged(random, reworded(random, recorded))
        case "moved":
            return mutated(random, without_memory(recorded), [without_memory(others[0])])
        case "invented":
            return [h2_frames.settings(), *(invented_frame(random) for _ in range(random.randrange(30)))]
        case "noise":
            return [random.randbytes(random.randrange(200))]
        case "inputs":
            return mutated(random, [h2_frames.settings(), random.choice(corpus)], others)
    return mutated(random, recorded, others)


def _on_frames(frames: Sequence[bytes]) -> tuple[bytes, ...]:
    """Have SETTINGS come alone: only then the calls are placed, and nothing before that can be an answer to them."""
    return (b"".join(frames[:1]), b"".join(frames[1:]))


def _sliced(random: Random, frames: Sequence[bytes]) -> tuple[bytes, ...]:
    how = random.random()
    if how < 0.4:
        return _on_frames(frames)
    if how < 0.6:
        return tuple(frames)
    wire = b"".join(frames)
    if how < 0.7:
        return (wire,)
    if how < 0.75 and len(wire) < FINE_SLICES_BELOW_BYTES:
        return tuple(wire[at : at + 1] for at in range(len(wire)))
    cuts = sorted({0, len(wire), *(random.randint(0, len(wire)) for _ in range(random.choice((1, 3, 10))))})
    return tuple(wire[start:end] for start, end in pairwise(cuts))
