"""Runs of operations, read from a trace in Chrome's format."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from perfkit.errors import PerfkitError
from perfkit.observers.trace.events import (
    PASS_MARK,
    Event,
    Operation,
    clock_offset_s,
    read_events,
    trace_of,
)

EVENTS: list[Event] = [
    {"ph": "X", "ts": 50, "dur": 2, "name": "add", "args": {"hlo_op": "add.2"}},
    {"ph": "X", "ts": 5, "dur": 2, "name": "dot", "args": {"hlo_op": "dot.1"}},
    {"ph": "X", "ts": 60, "dur": 2, "name": "dot", "args": {"hlo_op": "dot.1"}},
    {"ph": "X", "ts": 90, "dur": 0, "name": "end: dot.1"},
    {"ph": "X", "ts": 30, "dur": 0, "name": "end: dot.1", "args": {}},
    {"ph": "X", "ts": 3, "dur": 99, "name": PASS_MARK, "args": {}},
    {"ph": "X", "ts": 1, "dur": 9, "name": "no arguments"},
    {"ph": "M", "name": "process_name", "args": {"hlo_op": "dot.1"}},
]


def test_operations_come_in_the_order_of_their_begin_with_their_own_ends() -> None:
    trace = trace_of(EVENTS)
    first, add, second = trace.operations
    assert (first, add) == (Operation("dot.1", 5, 2), Operation("add.2", 50, 2))
    # The runs of the product end when their threads do; the sum has no reported end.
    assert [trace.end_us(one) for one in (first, add, second)] == [30, 52, 90]


def test_the_mark_of_the_pass_connects_both_clocks() -> None:
    # The mark begins 3 microseconds after the trace and 100 s after the start of the clock.
    assert clock_offset_s(EVENTS, 100.0) == pytest.approx(100.0 - 3e-6)
    with pytest.raises(PerfkitError, match="the trace holds no event 'perfkit pass'"):
        clock_offset_s(EVENTS[:5], 100.0)


def test_events_are_read_from_the_file_that_the_profiler_left(tmp_path: Path) -> None:
    folder = tmp_path / "plugins" / "profile" / "now"
    folder.mkdir(parents=True)
    with gzip.open(folder / "host.trace.json.gz", "wt") as stream:
        json.dump({"traceEvents": EVENTS}, stream)
    assert read_events(tmp_path) == EVENTS


def test_a_folder_without_trace_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PerfkitError, match=f"the profiler left no trace in {tmp_path}"):
        read_events(tmp_path)
