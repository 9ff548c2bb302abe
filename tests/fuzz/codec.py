"""The native JSON codec beside the plain one: `python -m tests.fuzz.codec --seconds 600`, or `make fuzz-codec`.

Random schemas, random messages and texts of them, whole and mutated: where the native codec answers, both say the same.
"""

from __future__ import annotations

import argparse
import secrets
import struct
import sys
import time
from dataclasses import dataclass, field
from random import Random
from typing import Final

from protobuf import DescEnum, DescField, DescMessage, Registry, ScalarType

from api_gateway.config.settings import TranscodingSettings
from api_gateway.model.errors import GatewayError
from api_gateway.transcoding.fields import element_of, is_map, is_repeated, map_key_of
from api_gateway.transcoding.json_codec import JsonEncoder
from api_gateway.transcoding.json_decoder import JsonDecoder
from api_gateway.transcoding.native_codec import is_available, native_reader, native_writer
from tests.fuzz.schemas import draw_schema
from tests.support.descriptors import schema_of

KNOWN_TYPES: Final = ("Scalars", "Optionals", "Repeated", "Maps", "Oneofs", "WellKnown", "Names", "Tree", "Everything")
SCHEMA_CASES: Final = 2_000
"""Cases with one random schema, which takes as long to compile as some hundred cases."""
MAX_FAULTS: Final = 20
_FIXED_SIZES: Final = {
    ScalarType.DOUBLE: 8, ScalarType.FIXED64: 8, ScalarType.SFIXED64: 8,
    ScalarType.FLOAT: 4, ScalarType.FIXED32: 4, ScalarType.SFIXED32: 4,
}  # fmt: skip
_SNIPPETS: Final = (
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"null",
    b"-",
    b"0",
    b"1e5",
    b"\\u0041",
    b"\\ud83d",
    b"\xff",
    b" ",
)


@dataclass(slots=True)
class CodecFindings:
    """What a run came to."""

    cases: int = 0
    taken: dict[str, int] = field(default_factory=lambda: {"to_json": 0, "from_json": 0})
    faults: list[str] = field(default_factory=list)


def fuzz(seed: str, *, seconds: float = 0.0, rounds: int = 1, cases: int = SCHEMA_CASES) -> CodecFindings:
    """Run rounds, each with a schema of its own, until both numbers are reached. The seed decides all of them."""
    findings = CodecFindings()
    end_s = time.monotonic() + seconds
    number = 0
    while (number < rounds or time.monotonic() < end_s) and len(findings.faults) < MAX_FAULTS:
        chance = Random(f"{seed}:{number}")
        schema = schema_of("everything.proto") if number % 2 == 0 else draw_schema(chance)
        names = [f"everything.{name}" for name in KNOWN_TYPES] if number % 2 == 0 else ["drawn.M0", "drawn.M1"]
        options = TranscodingSettings(preserve_proto_names=chance.random() < 0.2, enums_as_ints=chance.random() < 0.2)
        pairs = [_Pair(schema.registry, name, options) for name in names]
        for _ in range(cases):
            fault = chance.choice(pairs).compare(chance, findings)
            if fault:
                findings.faults.append(f"round {number}: {fault}")
        number += 1
    return findings


class _Pair:
    """Both codecs for one type."""

    def __init__(self, registry: Registry, name: str, options: TranscodingSettings) -> None:
        kind = registry.message(name)
        assert kind is not None, name
        self._kind = kind
        self._encoder = JsonEncoder(kind, options, registry)
        self._decoder = JsonDecoder(kind, options, registry)
        self._writer = native_writer(kind, options)
        self._reader = native_reader(kind)

    def compare(self, chance: Random, findings: CodecFindings) -> str:
        """Run one case; return what is wrong, or nothing."""
        findings.cases += 1
        data = draw_message(chance, self._kind, 3)
        if chance.random() < 0.3:
            data = _mutated(chance, data)
        text = self._plain_text(data)
        written = self._writer.to_json(data) if self._writer is not None else None
        findings.taken["to_json"] += written is not None
        if written is not None and written != text:
            return f"{self._kind.type_name}: {data!r} is {written!r}, and plainly {text!r}"
        if text is None:
            return ""
        if chance.random() < 0.7:
            text = _mutated(chance, text)
        read = self._reader.from_json(text) if self._reader is not None else None
        findings.taken["from_json"] += read is not None
        if read is not None and self._read_back(read) != self._plain_message(text):
            return f"{self._kind.type_name}: {text!r} is {read!r}, and plainly {self._plain_message(text)!r}"
        return ""

    def _plain_text(self, data: bytes) -> bytes | None:
        try:
            return self._encoder.encode_plainly(data)[1]
        except GatewayError:
            return None

    def _plain_message(self, text: bytes) -> bytes | None:
        try:
            return self._decoder.decode(text).to_binary()
        except GatewayError:
            return None

    def _read_back(self, data: bytes) -> bytes:
        # Written again by the plain codec: the order of fields is free.
        return self._kind.type.from_binary(data).to_binary()


def draw_message(chance: Random, kind: DescMessage, depth: int) -> bytes:
    """Return bytes that follow a type mostly: fields in any order, at times twice, packed or not."""
    fields = [item for item in kind.fields if chance.random() < 0.4]
    if chance.random() < 0.3:
        chance.shuffle(fields)
    if fields and chance.random() < 0.05:
        fields.append(chance.choice(fields))
    parts = [_draw_field(chance, item, depth) for item in fields]
    if chance.random() < 0.02:  # a tag in more bytes than it needs
        parts.append(b"\xf8" + b"\x80" * chance.randint(1, 6) + b"\x00\x01")
    return b"".join(parts)


def _draw_field(chance: Random, item: DescField, depth: int) -> bytes:
    element = element_of(item)
    if isinstance(element, DescMessage) and depth == 0:
        return b""
    if is_map(item):
        entries = []
        for _ in range(chance.randint(1, 3)):
            key = _tagged(1, _draw_scalar(chance, map_key_of(item)))
            entries.append(_tagged(item.number, _long(key + _tagged(2, _draw_value(chance, element, depth)))))
        return b"".join(entries)
    values = [_draw_value(chance, element, depth) for _ in range(chance.randint(1, 4) if is_repeated(item) else 1)]
    if is_repeated(item) and values[0][0] != 2 and chance.random() < 0.7:
        return _tagged(item.number, _long(b"".join([payload for _, payload in values])))
    return b"".join([_tagged(item.number, value) for value in values])


_Value = tuple[int, bytes]
"""Wire type and payload."""


def _draw_value(chance: Random, element: ScalarType | DescEnum | DescMessage, depth: int) -> _Value:
    if isinstance(element, DescMessage):
        return _long(draw_message(chance, element, depth - 1))
    if isinstance(element, DescEnum):
        known = [value.number for value in element.values]
        number = chance.choice(known) if chance.random() < 0.9 else chance.randint(-(2**31), 2**31 - 1)
        return 0, _varint(number % 2**64)
    return _draw_scalar(chance, element)


def _draw_scalar(chance: Random, scalar: ScalarType) -> _Value:
    size = _FIXED_SIZES.get(scalar)
    if size is not None:
        wire = 1 if size == 8 else 5
        if scalar in (ScalarType.DOUBLE, ScalarType.FLOAT) and chance.random() < 0.6:
            value = round(chance.uniform(-1e6, 1e6), chance.randint(0, 6))
            return wire, struct.pack("<d" if size == 8 else "<f", value)
        return wire, chance.randbytes(size)
    if scalar is ScalarType.STRING:
        letters = chance.choice(("abc", 'a"\\/\b\n\x01', "aé€😀"))
        return _long("".join(chance.choices(letters, k=chance.randint(0, 12))).encode())
    if scalar is ScalarType.BYTES:
        return _long(chance.randbytes(chance.randint(0, 9)))
    if scalar is ScalarType.BOOL:
        return 0, _varint(chance.randint(0, 1))
    return 0, _varint(chance.getrandbits(chance.choice((1, 7, 31, 32, 63, 64))))


def _mutated(chance: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randint(0, len(changed))
        match chance.randint(0, 3):
            case 0:
                changed[at : at + 1] = chance.randbytes(1)
            case 1:
                del changed[at : at + chance.randint(1, 4)]
            case 2:
                changed[at:at] = changed[at : at + chance.randint(1, 12)]
            case _:
                changed[at : at + 1] = chance.choice(_SNIPPETS)
    return bytes(changed)


def _varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80]) + _varint(value >> 7) if value > 0x7F else bytes([value])


def _long(data: bytes) -> _Value:
    return 2, _varint(len(data)) + data


def _tagged(number: int, value: _Value) -> bytes:
    return _varint(number << 3 | value[0]) + value[1]


def main(arguments: list[str]) -> int:
    """Fuzz; return the exit code: 0 when both codecs agreed, 1 when not, 2 without a native codec."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.codec", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default: 600)")
    parser.add_argument("--seed", default="", help="the cases of an earlier run again")
    options = parser.parse_args(arguments)
    if not is_available():
        print("there is no native codec here: make fuzz-codec builds it", file=sys.stderr)
        return 2
    seed = options.seed or secrets.token_hex(4)
    print(f"seed {seed}", flush=True)
    findings = fuzz(seed, seconds=options.seconds)
    taken = ", ".join(f"{direction} {count}" for direction, count in findings.taken.items())
    print(f"{findings.cases} cases, taken natively: {taken}; {len(findings.faults)} faults")
    for fault in findings.faults:
        print(f"  seed {seed}: {fault}")
    return 1 if findings.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
