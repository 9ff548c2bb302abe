"""W3C trace context: the specification's rules, one case each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.telemetry.sampling import Sampling
from api_gateway.telemetry.trace_context import (
    continue_trace,
    format_traceparent,
    new_span_id,
    parse_traceparent,
    parse_tracestate,
    request_id,
)
from tests.unit.telemetry.forking import run_forking

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(f"00-{TRACE}-{SPAN}-01", (TRACE, SPAN, 1), id="sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-00", (TRACE, SPAN, 0), id="not_sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-03", (TRACE, SPAN, 3), id="random_flag_stays"),
        pytest.param(f"00-{TRACE}-{SPAN}-ff", (TRACE, SPAN, 3), id="unknown_flags_are_cleared"),
        pytest.param(f" 00-{TRACE}-{SPAN}-01\t", (TRACE, SPAN, 1), id="white_space_around"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01", (TRACE, SPAN, 1), id="future_version"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-what-comes", (TRACE, SPAN, 1), id="future_version_with_more"),
    ],
)
def test_valid_traceparent(header: str, expected: tuple[str, str, int]) -> None:
    assert parse_traceparent(header.encode()) == expected


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="empty"),
        pytest.param(f"ff-{TRACE}-{SPAN}-01", id="version_ff"),
        pytest.param(f"0-{TRACE}-{SPAN}-01", id="short_version"),
        pytest.param(f"00-{'0' * 32}-{SPAN}-01", id="zero_trace_id"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", id="zero_span_id"),
        pytest.param(f"00-{TRACE.upper()}-{SPAN}-01", id="upper_case_trace_id"),
        pytest.param(f"00-{TRACE}-{SPAN.upper()}-01", id="upper_case_span_id"),
        pytest.param(f"00-{TRACE}-{SPAN}-0A", id="upper_case_flags"),
        pytest.param(f"00-{TRACE}-{SPAN}-1", id="short_flags"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-", id="version_00_with_more"),
        pytest.param(f"00-{TRACE}-{SPAN}-011", id="version_00_too_long"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01.what", id="future_version_with_wrong_separator"),
        pytest.param(f"00-{TRACE[1:]}-{SPAN}-01", id="short_trace_id"),
        pytest.param(f"00-{TRACE[:-1]}g-{SPAN}-01", id="not_hex"),
        pytest.param(f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01", id="two_headers"),
        pytest.param(f"00-{TRACE}-{SPAN}-01\n", id="newline"),
        pytest.param("00-٤٢f92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", id="other_digits"),
    ],
)
def test_invalid_traceparent_begins_a_new_trace(header: str) -> None:
    assert parse_traceparent(header.encode()) is None
    context = continue_trace({b"traceparent": header.encode(), b"tracestate": b"a=1"}, Sampling(0.0))
    assert context.trace_id != TRACE
    assert (context.parent_span_id, context.flags, context.tracestate) == ("", 0, "")


def test_valid_trace_is_continued_with_the_callers_decision() -> None:
    headers = {b"traceparent": f"00-{TRACE}-{SPAN}-00".encode(), b"tracestate": b"vendor=x"}
    context = continue_trace(headers, Sampling(1.0))
    assert (context.trace_id, context.parent_span_id, context.tracestate) == (TRACE, SPAN, "vendor=x")
    assert not context.is_sampled
    assert context.span_id not in (SPAN, "0" * 16)


@pytest.mark.parametrize("is_sampled", [True, False])
def test_root_follows_our_decision(is_sampled: bool) -> None:
    context = continue_trace({}, Sampling(float(is_sampled)))
    assert context.is_sampled is is_sampled
    assert re.fullmatch(r"[0-9a-f]{32}", context.trace_id)
    assert re.fullmatch(r"[0-9a-f]{16}", context.span_id)


def test_outgoing_header_names_our_span_as_the_parent() -> None:
    context = continue_trace({b"traceparent": f"00-{TRACE}-{SPAN}-01".encode()}, Sampling(0.0))
    assert parse_traceparent(format_traceparent(context)) == (TRACE, context.span_id, 1)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("a=1", "a=1", id="one"),
        pytest.param("a=1 , b=2\t,c=3", "a=1,b=2,c=3", id="white_space"),
        pytest.param("a=1,,b=2,", "a=1,b=2", id="empty_members"),
        pytest.param("tenant@vendor=x y", "tenant@vendor=x y", id="tenant"),
        pytest.param("0a=1", "0a=1", id="key_begins_with_digit"),
        pytest.param("A=1", "", id="upper_case_key"),
        pytest.param("a=1,a=2", "", id="duplicate_key"),
        pytest.param("a", "", id="no_value"),
        pytest.param("a=", "", id="empty_value"),
        pytest.param("a=b=c", "", id="equals_in_value"),
        pytest.param("a=\x00", "", id="control_character"),
        pytest.param("a=ü", "", id="not_ascii"),
        pytest.param("k" * 256 + "=1", "k" * 256 + "=1", id="longest_key"),
        pytest.param("k" * 257 + "=1", "", id="key_too_long"),
        pytest.param("a=" + "v" * 257, "", id="value_too_long"),
        pytest.param(",".join(f"k{i}=v" for i in range(32)), ",".join(f"k{i}=v" for i in range(32)), id="32_members"),
        pytest.param(",".join(f"k{i}=v" for i in range(33)), "", id="33_members"),
    ],
)
def test_tracestate(header: str, expected: str) -> None:
    assert parse_tracestate(header.encode()) == expected


def test_long_tracestate_loses_its_longest_members_first_and_then_the_last() -> None:
    short = [f"k{i}={'v' * 60}" for i in range(10)]
    header = ",".join(["big=" + "x" * 200, *short])
    kept = parse_tracestate(header.encode()).split(",")
    assert kept == short[: len(kept)]
    assert 448 < len(",".join(kept)) <= 512


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_header_gives_a_valid_context(traceparent: bytes, tracestate: bytes) -> None:
    context = continue_trace({b"traceparent": traceparent, b"tracestate": tracestate}, Sampling(1.0))
    assert parse_traceparent(format_traceparent(context)) is not None
    assert context.tracestate.isascii()
    assert context.tracestate.isprintable()


@pytest.mark.parametrize(
    "incoming",
    [
        pytest.param(b"7f3c9a", id="hex"),
        pytest.param(b"123e4567-e89b-12d3-a456-426614174000", id="uuid"),
        pytest.param(b"Root=1-67891233-abcdef012345678912345678", id="amazon"),
        pytest.param(b"a+b/c==", id="base64"),
        pytest.param(b"x" * 128, id="longest"),
    ],
)
def test_fit_request_id_is_kept(incoming: bytes) -> None:
    """semantics 29: the id in the answer is the caller's."""
    assert request_id(incoming) == incoming.decode()


@pytest.mark.parametrize(
    "incoming",
    [
        pytest.param(None, id="absent"),
        pytest.param(b"", id="empty"),
        pytest.param(b"x" * 129, id="too_long"),
        pytest.param(b"a b", id="space"),
        pytest.param(b"one, two", id="two_headers"),
        pytest.param(b'"quoted"', id="quotes"),
        pytest.param(b"<script>", id="markup"),
        pytest.param(b"a\r\nb", id="line_break"),
        pytest.param(b"a\n", id="trailing_newline"),
        pytest.param("ü".encode(), id="not_ascii"),
        pytest.param(b"\x7f", id="delete"),
    ],
)
def test_unfit_request_id_is_replaced(incoming: bytes | None) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", request_id(incoming))


def test_ids_do_not_repeat() -> None:
    assert len({new_span_id() for _ in range(1000)} | {request_id(None) for _ in range(1000)}) == 2000


def test_forked_processes_draw_different_ids(tmp_path: Path) -> None:
    run_forking("ids", tmp_path)
    ids = [path.read_text() for path in tmp_path.iterdir()]
    assert len(ids) == len(set(ids)) == 3
