"""Time of a model's parts, on events and HLO worked out by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from perfkit.errors import PerfkitError
from perfkit.observers.trace.xla_parts import (
    Operation,
    op_names,
    part_seconds,
    read_operations,
    scaled,
)

HLO = """
HloModule jit_forward, is_scheduled=true
ENTRY %main (a: f32[4]) -> f32[4] {
  %p0 = f32[4]{0} parameter(0), metadata={op_name="a"}
  dot.1 = f32[4]{0} dot(%p0, %p0), metadata={op_type="dot" op_name="jit(f)/trunk/dot" line=3}
  %copy.2 = f32[4]{0} copy(dot.1)
  ROOT %add_fusion.3 = f32[4]{0} fusion(%copy.2), kind=kLoop, metadata={op_name="jit(f)/steps/add"}
}
"""


def _part_of(op_name: str) -> str | None:
    return next((part for part in ("trunk", "steps") if part in op_name), None)


def test_names_are_read_from_the_optimised_module() -> None:
    assert op_names(HLO) == {
        "p0": "a",
        "dot.1": "jit(f)/trunk/dot",
        "add_fusion.3": "jit(f)/steps/add",
    }


def test_spans_from_begin_to_begin_add_up_to_the_pass() -> None:
    operations = [
        Operation("add_fusion.3", 1600.0, 300.0),
        Operation("p0", 0.0, 100.0),
        Operation("dot.1", 200.0, 1000.0),
        Operation("copy.2", 1250.0, 50.0),
    ]
    seconds = part_seconds(operations, op_names(HLO), _part_of)
    # rest: 0 to 200; trunk: 200 to 1600, the copy counted to what ran before; steps: its 300.
    assert seconds == pytest.approx({"rest": 200e-6, "trunk": 1400e-6, "steps": 300e-6})
    assert sum(seconds.values()) == pytest.approx(1900e-6)


def test_a_loop_does_not_claim_the_operations_inside_it() -> None:
    operations = [
        Operation("dot.1", 0.0, 10.0),
        Operation("while.7", 10.0, 90.0),
        Operation("add_fusion.3", 20.0, 80.0),
    ]
    names = op_names(HLO) | {"while.7": "jit(f)/steps/while"}
    # The loop's own 10 microseconds before its first operation stay with what ran before.
    assert part_seconds(operations, names, _part_of) == pytest.approx(
        {"trunk": 20e-6, "steps": 80e-6}
    )


def test_no_operations_have_no_time() -> None:
    assert part_seconds([], {}, _part_of) == {}
    assert scaled({}, 5.0) == {}


def test_shares_are_scaled_to_the_time_of_an_untraced_pass() -> None:
    assert scaled({"trunk": 1.0, "rest": 3.0}, 2.0) == {"trunk": 0.5, "rest": 1.5}


def test_operations_are_read_from_the_trace_that_the_profiler_left(tmp_path: Path) -> None:
    events = [
        {"ph": "X", "ts": 5, "dur": 2, "name": "dot", "args": {"hlo_op": "dot.1"}},
        {"ph": "X", "ts": 1, "dur": 9, "name": "python", "args": {}},
        {"ph": "X", "ts": 1, "dur": 9, "name": "no arguments"},
        {"ph": "M", "name": "process_name", "args": {"hlo_op": "dot.1"}},
    ]
    folder = tmp_path / "plugins" / "profile" / "now"
    folder.mkdir(parents=True)
    with gzip.open(folder / "host.trace.json.gz", "wt") as stream:
        json.dump({"traceEvents": events}, stream)
    assert read_operations(tmp_path) == [Operation("dot.1", 5, 2)]


def test_a_profiler_that_left_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(PerfkitError, match="left no trace"):
        read_operations(tmp_path)
