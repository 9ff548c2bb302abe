"""A hundred thousand clients with addresses of their own (R2): real sources on loopback, a connection each."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Final

from scenarios.figures import shown
from scenarios.guard.flood import flood, once_from, request
from scenarios.guard.stage import MIB, Stage, limit, pss_bytes

SOURCES: Final = 100_000
FEW: Final = 1_000
FEW_TIMES: Final = 5
"""How often these ask, so that their 99th percentile is one of 5,000 requests and not chance."""
LIMIT: Final = 60
ABUSERS: Final = tuple(f"127.0.0.{number}" for number in range(2, 12))
BESIDES_BYTES: Final = 10 * MIB
"""What two workers take besides the store: the addresses that each remembers (2 x 3 MiB at most), the hashes of their
keys (2 x 1 MiB), and the allocator's share for connections that come and go. The last was measured without a limiter,
from ten addresses: 1.5 MiB after 180,000 connections, and no more after 600,000. With it, 7.2 MiB are all of it, after
60,000 addresses as after 200,000; what grows on is the store's file, within `max_memory`."""
_ASKED: Final = request("/nowhere")
"""No route matches it, so it costs no backend; it counts against the limit like any other path."""


def all_fit(stage: Stage) -> None:
    """R2: a request each over a new connection from 100,000 real addresses, with the memory of the default."""
    _flood_from_sources(stage, max_memory=64 * MIB, is_room=True)


def more_than_fit(stage: Stage) -> None:
    """R2: the same in the least memory there can be: newcomers make room for each other, not for abusers."""
    _flood_from_sources(stage, max_memory=MIB, is_room=False)


def _flood_from_sources(stage: Stage, *, max_memory: int, is_room: bool) -> None:
    count = stage.number(SOURCES, at_least=FEW)
    with stage.gateway(workers=2, rate_limit=limit(LIMIT, 3600, max_memory=max_memory)) as gateway:
        spent: Counter[int] = Counter()
        for abuser in ABUSERS:
            spent.update(flood(gateway.port, repeat(_ASKED, 2 * LIMIT), source=abuser).statuses)
        few = once_from(gateway.port, chain.from_iterable(_sources(0, FEW) for _ in range(FEW_TIMES)), _ASKED)
        before = pss_bytes(gateway.worker_pids())
        over = threading.Event()
        seen: Counter[int] = Counter()
        watcher = threading.Thread(target=_abuse_until, args=(gateway.port, over, seen))
        watcher.start()
        try:
            many = once_from(gateway.port, _sources(FEW, count // 2), _ASKED)
            halfway = pss_bytes(gateway.worker_pids())
            rest = once_from(gateway.port, _sources(FEW + count // 2, count - count // 2), _ASKED)
        finally:
            over.set()
            watcher.join()
        after = pss_bytes(gateway.worker_pids())
    many.join(rest)
    marks = stage.marks
    marks.note("addresses", count)
    marks.equals("allowed to ten abusers before", spent[404], len(ABUSERS) * LIMIT)
    marks.equals("lost requests", many.lost, 0)
    if is_room:
        marks.equals("answered as if alone", many.statuses[404], count)
    else:
        marks.equals("let through, or refused with the count of whom they replaced", _decided(many.statuses), count)
    bound = (max_memory + BESIDES_BYTES) / MIB
    marks.at_most("memory of all workers grew by", (after - before) / MIB, bound, " MiB")
    marks.note("of which during the second half", f"{shown((after - halfway) / MIB)} MiB")
    marks.at_least("requests of ten active abusers during the flood", seen.total(), len(ABUSERS))
    marks.equals("of which were let through", seen.total() - seen[429], 0)
    marks.at_most(f"p99 of a request with its connection / that of {FEW}", many.p99_s() / few.p99_s(), 2)
    marks.note("addresses refused early", many.statuses[429])


def _decided(statuses: Counter[int]) -> int:
    return statuses[404] + statuses[429]


def _sources(first: int, count: int) -> Iterator[str]:
    """Name so many loopback addresses: 127.16.0.0 and up, so that no abuser and no test is among them."""
    for number in range(first, first + count):
        value = (16 << 16) + number
        yield f"127.{value >> 16}.{value >> 8 & 255}.{value & 255}"


def _abuse_until(port: int, over: threading.Event, seen: Counter[int]) -> None:
    while not over.wait(0.05):
        for abuser in ABUSERS:
            seen.update(once_from(port, [abuser], _ASKED, connections=1).statuses)
