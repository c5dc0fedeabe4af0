"""A traced pass divided among parts, modules and kinds of operations, worked out by hand."""

from __future__ import annotations

import pytest

from perfkit.models.depth import Blocks
from perfkit.observers.pass_sampler import PassSample
from perfkit.observers.trace.attribution import (
    Span,
    add_samples,
    attribute,
    full_seconds_by_part,
    scaled,
    seconds_by_owner,
    tallied,
    tallied_by_kind,
)
from perfkit.observers.trace.events import Operation, Trace
from perfkit.observers.trace.hlo import HloModule, Kind

HLO = """
HloModule jit_forward, is_scheduled=true

%fused (p.0: f32[5]) -> f32[5] {
  %p.0 = f32[5] parameter(0)
  ROOT %inside.1 = f32[5] add(%p.0, %p.0), metadata={op_name="trunk/inside"}
}

%body (b.0: f32[5]) -> f32[5] {
  %b.0 = f32[5] parameter(0)
  ROOT %fusion.1 = f32[5] fusion(%b.0), kind=kLoop, calls=%fused, metadata={op_name="steps/add"}
}

%layer.3 (l.0: f32[5]) -> f32[5] {
  %l.0 = f32[5] parameter(0)
  ROOT %sine.1 = f32[5] sine(%l.0), metadata={op_name="head/jit(layer)/sin"}
}

ENTRY %main (a: f32[5,5]) -> f32[5] {
  %a = f32[5,5] parameter(0), metadata={op_name="a"}
  %dot.1 = f32[5,2] dot(%a, %a), lhs_contracting_dims={1}, metadata={op_name="trunk/dot"}
  %copy.1 = f32[5,2] copy(%dot.1)
  %while.1 = f32[5] while(%copy.1), condition=%body, body=%body, metadata={op_name="steps/while"}
  %cond.3.clone = f32[5] conditional(%i), branch_computations={%body}
  ROOT %jit_layer.1 = f32[5] call(%while.1), to_apply=%layer.3, metadata={op_name="head/layer"}
}
"""
PROGRAM = HloModule.parse(HLO)


def _part_of(op_name: str) -> str | None:
    return next((part for part in ("trunk", "steps", "head") if part in op_name), None)


def _spans(*operations: Operation, **ends_us: list[float]) -> list[Span]:
    trace = Trace(operations, {name.replace("_", "."): ends for name, ends in ends_us.items()})
    return attribute(trace, PROGRAM, _part_of, "rest")


def test_spans_from_begin_to_begin_add_up_to_the_pass() -> None:
    spans = _spans(
        Operation("unknown.7", 0.0, 10.0),
        Operation("dot.1", 100.0, 10.0),
        Operation("copy.1", 200.0, 20.0),
        Operation("fusion.1", 230.0, 60.0),
        dot_1=[180.0],
    )
    # The copy has no name and belongs to the part that ran before; the gaps are included.
    assert seconds_by_owner(spans) == pytest.approx(
        {"rest": 100e-6, "trunk": 130e-6, "steps": 60e-6}
    )
    # The product hands its work to a pool and ends at 180; nothing runs from 10 to 100, from 180
    # to 200 and from 220 to 230.
    assert tallied_by_kind(spans) == pytest.approx(
        {
            Kind.WAIT: 120e-6,
            Kind.DOT: 80e-6,
            Kind.ELEMENTWISE: 60e-6,
            Kind.MOVE: 20e-6,
            Kind.OTHER: 10e-6,
        }
    )


@pytest.mark.parametrize(
    ("control", "inside", "owner"),
    [
        ("while.1", "fusion.1", "steps"),
        ("cond.3.clone", "fusion.1", "steps"),
        ("jit_layer.1", "sine.1", "head"),
    ],
)
def test_control_flow_claims_only_its_time_before_the_first_operation_in_it(
    control: str, inside: str, owner: str
) -> None:
    spans = _spans(
        Operation("dot.1", 0.0, 10.0),
        Operation(control, 10.0, 90.0),
        Operation(inside, 15.0, 40.0),
        Operation("copy.1", 55.0, 45.0),
    )
    # 5 microseconds of control flow belong to the trunk, which ran before.
    assert seconds_by_owner(spans) == pytest.approx({"trunk": 15e-6, owner: 85e-6})
    kinds = tallied_by_kind(spans)
    assert kinds[Kind.LOOP] == pytest.approx(5e-6)
    assert kinds[Kind.WAIT] == 0.0


def test_the_work_of_a_call_is_counted_once() -> None:
    spans = _spans(Operation("jit_layer.1", 0.0, 90.0), Operation("sine.1", 5.0, 80.0))
    parts = tallied(spans, lambda span: span.owner)
    # One sine for each of five elements of four bytes, which are read and written.
    assert {name: (tally.flops, tally.bytes) for name, tally in parts.items()} == {
        "rest": (0.0, 0.0),
        "head": (5.0, 40.0),
    }


def test_a_call_without_events_in_it_is_one_operation() -> None:
    # XLA:CPU compiles small loops and calls to one function.
    spans = _spans(Operation("dot.1", 0.0, 10.0), Operation("jit_layer.1", 10.0, 90.0))
    parts = tallied(spans, lambda span: span.owner)
    assert {name: tally.seconds for name, tally in parts.items()} == pytest.approx(
        {"trunk": 10e-6, "head": 90e-6}
    )
    assert (parts["head"].flops, parts["head"].bytes) == (5.0, 40.0)


def test_a_fusion_is_one_operation_of_its_own_part() -> None:
    (span,) = _spans(Operation("fusion.1", 0.0, 10.0))
    # The instruction in it is named after the trunk.
    assert span.owner == "steps"
    assert span.cost is not None
    assert span.cost.flops == 5.0
    assert "inside.1" not in PROGRAM.costs


def test_a_trace_without_operations_has_no_seconds() -> None:
    assert seconds_by_owner(_spans()) == {}
    assert scaled({}, 5.0) == {}


def test_stacks_of_a_shallow_pass_are_scaled_within_their_parts() -> None:
    """2 s of the trunk are in a stack with a third of its blocks, 1 s is not."""

    def owned(*owners: str) -> list[Span]:
        ends = [2.0, 3.0, 4.0]
        begins = [0.0, *ends]
        return [
            Span("add", owner, None, begin, end, end - begin)
            for owner, begin, end in zip(owners, begins, ends, strict=False)
        ]

    parts = owned("trunk", "trunk", "head")
    stacks = owned("blocks", "rest", "rest")
    found = full_seconds_by_part(parts, stacks, {"blocks": Blocks(2, 6)})
    assert found == {"trunk": 3 * 2.0 + 1.0, "head": 1.0}


def test_seconds_are_scaled_to_the_time_of_an_untraced_pass() -> None:
    assert scaled({"trunk": 1.0, "rest": 3.0}, 2.0) == {"trunk": 0.5, "rest": 1.5}


def test_samples_are_counted_to_the_part_that_ran() -> None:
    spans = _spans(Operation("dot.1", 0.0, 1e6), Operation("fusion.1", 1e6, 1e6))
    parts = tallied(spans, lambda span: span.owner)
    samples = [
        PassSample(50.0, 0, 0.0, 0.0, 0),
        PassSample(50.5, 2, 1.0, 0.0, 10),
        PassSample(51.0, 1, 1.5, 0.0, 20),
        PassSample(51.5, 0, 1.5, 0.0, 20),
        PassSample(52.0, 3, 1.5, 1.0, 520),
    ]
    add_samples(parts, spans, samples, 50.0, 2)
    trunk, steps = parts["trunk"], parts["steps"]
    assert (trunk.busy_cpu_s, trunk.lone_idle_cpu_s, trunk.all_idle_cpu_s) == (1.5, 0.5, 0.0)
    # Three runnable threads on two CPUs are two busy CPUs.
    assert (steps.busy_cpu_s, steps.lone_idle_cpu_s, steps.all_idle_cpu_s) == (1.0, 0.0, 1.0)
    assert (trunk.faults, steps.faults, steps.system_s) == (20, 500, 1.0)
