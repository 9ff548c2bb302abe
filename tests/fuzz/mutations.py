"""How good bytes become bad ones. Everything is drawn from the random source handed in, so a seed gives it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from tests.fuzz.fields import changed_fields, decoded, literal_block
from tests.support import h2_frames
from tests.support.h2_frames import Kind, Setting

STREAM_IDS: Final = (0, 1, 2, 3, 5, 7, 9, 2**31 - 1)
NUMBERS: Final = (0, 1, 2, 3, 8, 100, 16_383, 16_384, 16_385, 65_535, 2**24 - 1, 2**31 - 1, 2**31, 2**32 - 1)
"""Sizes, windows, codes and ids at which something changes."""
MAX_INPUT_BYTES: Final = 400_000

Frames = list[bytes]


def invented_frame(random: Random) -> bytes:
    """Return a frame of any kind, with any flags, whose payload may or may not be what its kind wants."""
    stream_id = random.choice(STREAM_IDS)
    number = random.choice(NUMBERS)
    make: tuple[Callable[[], bytes], ...] = (
        lambda: h2_frames.rst_stream(stream_id, number % 2**32),
        lambda: h2_frames.settings([(random.choice([*Setting, 9, 0xF000]), number)]),
        lambda: h2_frames.settings_ack(),
        lambda: h2_frames.ping(random.randbytes(8), ack=random.random() < 0.5),
        lambda: h2_frames.goaway(random.choice(STREAM_IDS), number, random.randbytes(random.randrange(20))),
        lambda: h2_frames.window_update(stream_id, number),
        lambda: h2_frames.push_promise(stream_id, random.choice(STREAM_IDS), random.randbytes(10)),
        lambda: h2_frames.continuation(stream_id, random.randbytes(10), end_headers=random.random() < 0.5),
        lambda: h2_frames.headers(stream_id, random.randbytes(random.randrange(40)), end_stream=random.random() < 0.5),
        lambda: h2_frames.data(stream_id, _prefixed(random), end_stream=random.random() < 0.3),
        lambda: h2_frames.frame(
            random.randrange(256), random.randrange(256), stream_id, random.randbytes(random.randrange(60))
        ),
    )
    return random.choice(make)()


def _prefixed(random: Random) -> bytes:
    """Return a gRPC message whose flag and length may lie."""
    payload = random.randbytes(random.randrange(50))
    length = random.choice((len(payload), len(payload), random.choice(NUMBERS) % 2**32))
    return bytes((random.choice((0, 0, 0, 1, 2, 255)),)) + length.to_bytes(4, "big") + payload


def reworded(random: Random, frames: Sequence[bytes]) -> Frames:
    """Return frames with the fields of some heads changed."""
    found = []
    for frame, fields in decoded(frames):
        if fields is None or random.random() < 0.5:
            found.append(frame)
            continue
        block = literal_block(changed_fields(random, fields))
        flags = frame[4] ^ (1 if random.random() < 0.05 else 0)
        found.append(h2_frames.frame(Kind.HEADERS, flags, int.from_bytes(frame[5:9], "big"), block))
    return found


def remessaged(random: Random, frames: Sequence[bytes]) -> Frames:
    """Return frames with some gRPC messages changed: flag, length, content, or how they are cut into DATA."""
    found: Frames = []
    for frame in frames:
        if frame[3] != Kind.DATA or random.random() < 0.5:
            found.append(frame)
            continue
        stream_id, flags = int.from_bytes(frame[5:9], "big"), frame[4]
        payload = bytearray(frame[9:])
        for _ in range(random.choice((0, 1, 2))):
            at = random.randrange(5) if random.random() < 0.6 else random.randrange(len(payload) or 1)
            if at < len(payload):
                payload[at] = random.choice((0, 1, 2, 255, payload[at] ^ 1 << random.randrange(8)))
        if random.random() < 0.2:
            payload += _prefixed(random)
        cut = random.randint(0, len(payload))
        found.append(h2_frames.data(stream_id, bytes(payload[:cut]), padding=random.choice((None, None, 0, 9))))
        found.append(h2_frames.frame(Kind.DATA, flags, stream_id, bytes(payload[cut:])))
    return found


def mutated(random: Random, frames: Sequence[bytes], others: Sequence[Sequence[bytes]]) -> Frames:
    """Return frames after some changes of whole frames and some of bytes; `others` are there to be mixed in.

    The last element may be anything: from the first change that moves bytes on, all of the rest is one piece.
    """
    found = list(frames)
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        random.choice(_FRAME_MUTATIONS)(random, found, random.choice(others))
    count = random.choice((0, 0, 1, 1, 2, 20))
    if not count or not found:
        return found
    # What is before the changed part stays cut into frames: the connection gets ready and calls are placed.
    at = random.randrange(len(found)) if random.random() < 0.3 else min(1, len(found))
    wire = bytearray(b"".join(found[at:]))
    for _ in range(count):
        random.choice(_BYTE_MUTATIONS)(random, wire)
    return [*found[:at], bytes(wire[:MAX_INPUT_BYTES])]


# Changes of frames


def _drop(random: Random, frames: Frames, other: Sequence[bytes]) -> None:
    if len(frames) > 1:
        del frames[random.randrange(len(frames))]


def _repeat(random: Random, frames: Frames, other: Sequence[bytes]) -> None:
    if frames:
        at = random.randrange(len(frames))
        frames[at:at] = [frames[at]] * random.choice((1, 1, 3, 50))


def _swap(random: Random, frames: Frames, other: Sequence[bytes]) -> None:
    if frames:
        one, two = random.randrange(len(frames)), random.randrange(len(frames))
        frames[one], frames[two] = frames[two], frames[one]


def _insert(random: Random, frames: Frames, other: Sequence[bytes]) -> None:
    frames.insert(random.randint(0, len(frames)), invented_frame(random))


def _splice(random: Random, frames: Frames, other: Sequence[bytes]) -> None:
    if other:
        frames[random.randint(0, len(frames)) :] = other[random.randrange(len(other)) :]


def _borrow(random: Random, frames: Frames, other: Sequence[bytes]) -> None:
    if other:
        frames.insert(random.randint(0, len(frames)), random.choice(other))


def _rewrite_head(random: Random, frames: Frames, other: Sequence[bytes]) -> None:
    """Change kind, flags or stream of a frame whose payload stays."""
    if not frames:
        return
    at = random.randrange(len(frames))
    head = bytearray(frames[at])
    if len(head) < 9:
        return
    what = random.randrange(3)
    if what == 0:
        head[3] = random.choice((*Kind, random.randrange(256)))
    elif what == 1:
        head[4] ^= 1 << random.randrange(8)
    else:
        head[5:9] = random.choice(STREAM_IDS).to_bytes(4, "big")
    frames[at] = bytes(head)


def _resize(random: Random, frames: Frames, other: Sequence[bytes]) -> None:
    """Cut or lengthen a payload; the length in the head stays true."""
    if not frames:
        return
    at = random.randrange(len(frames))
    payload = frames[at][9:]
    payload = payload[: random.randint(0, len(payload))] + random.randbytes(random.choice((0, 0, 1, 7, 300)))
    frames[at] = len(payload).to_bytes(3, "big") + frames[at][3:9] + payload


_FRAME_MUTATIONS: Final = (_drop, _repeat, _swap, _insert, _insert, _splice, _borrow, _rewrite_head, _resize)


# Changes of bytes


def _flip(random: Random, wire: bytearray) -> None:
    if wire:
        wire[random.randrange(len(wire))] ^= 1 << random.randrange(8)


def _overwrite(random: Random, wire: bytearray) -> None:
    if wire:
        wire[random.randrange(len(wire))] = random.choice((0, 1, 4, 5, 0x7F, 0x80, 0xFF, random.randrange(256)))


def _write_number(random: Random, wire: bytearray) -> None:
    size = random.choice((2, 3, 4))
    at = random.randint(0, len(wire))
    wire[at : at + size] = (random.choice(NUMBERS) % 2 ** (8 * size)).to_bytes(size, "big")


def _cut_out(random: Random, wire: bytearray) -> None:
    at = random.randint(0, len(wire))
    del wire[at : at + random.choice((1, 2, 9, 100))]


def _put_in(random: Random, wire: bytearray) -> None:
    at = random.randint(0, len(wire))
    wire[at:at] = random.randbytes(random.choice((1, 2, 9, 100)))


def _repeat_range(random: Random, wire: bytearray) -> None:
    at = random.randint(0, len(wire))
    wire[at:at] = wire[at : at + random.choice((1, 9, 100, 1_000))]


def _truncate(random: Random, wire: bytearray) -> None:
    del wire[random.randint(0, len(wire)) :]


_BYTE_MUTATIONS: Final = (
    _flip,
    _flip,
    _flip,
    _overwrite,
    _overwrite,
    _write_number,
    _cut_out,
    _put_in,
    _repeat_range,
    _truncate,
)
