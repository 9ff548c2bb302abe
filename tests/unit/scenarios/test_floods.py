"""Floods are what they are called: the bomb really holds 4 GiB, at about a thousandth of its size."""

from __future__ import annotations

import zlib

from scenarios.floods import FLOODS, gzip_bomb

MIB = 1024 * 1024


def test_the_bomb_inflates_a_thousandfold() -> None:
    bomb = gzip_bomb()
    assert 3 * MIB < len(bomb) < 5 * MIB
    engine = zlib.decompressobj(16 + zlib.MAX_WBITS)
    first = engine.decompress(bomb[: len(bomb) // 64])
    assert len(first) > 60 * MIB
    assert not any(first[:MIB])


def test_floods_have_names_of_their_own() -> None:
    assert len({flood.name for flood in FLOODS}) == len(FLOODS)
