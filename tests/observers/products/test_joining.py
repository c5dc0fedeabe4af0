"""Products of a program, joined to the operations of a traced pass by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfkit.observers.products.counting import CountedProduct
from perfkit.observers.products.joining import uses_of, with_kernels
from perfkit.observers.products.product import Product
from perfkit.observers.products.result import result_of
from perfkit.observers.products.timing import Timing
from perfkit.observers.roofline.ceilings import Ceilings
from perfkit.observers.trace.attribution import Span
from perfkit.observers.trace.hlo import HloModule

HLO = """
ENTRY %main (a: f32[4,8], b: f32[8,2]) -> f32[4,2] {
  %a = f32[4,8]{1,0} parameter(0)
  %b = f32[8,2]{1,0} parameter(1)
  %named = f32[4,2]{1,0} dot(%a, %b), lhs_contracting_dims={1}, rhs_contracting_dims={0}, metadata={op_name="jit(f)/mesh/while/body/closed_call/dot_general"}
  %kernel = f32[4,2]{1,0} custom-call(%a, %b), custom_call_target="perfkit.x", metadata={op_name="jit(f)/attention/perfkit_kernel"}
  ROOT %bare = f32[2,2]{1,0} dot(%b, %b), lhs_contracting_dims={0}, rhs_contracting_dims={0}
}
"""  # noqa: E501

WIDE = Product((4, 8), (8, 2), ((1,), (0,)), ((), ()), "float32", "float32", "float32")
SMALL = Product((8, 2), (8, 2), ((0,), (0,)), ((), ()), "float32", "float32", "float32")
NAMED = CountedProduct(WIDE, "mesh/while/body/dot_general", 1, certain=False)
BARE = CountedProduct(SMALL, "mesh/other/dot_general", 2)
LOST = CountedProduct(replace(SMALL, left=(9, 2), right=(9, 2)), "mesh/dot_general", 3)
IN_KERNEL = CountedProduct(
    WIDE, "attention/dot_general", 2, True, "attention/perfkit_kernel", repeats=2, call=1
)
CEILINGS = Ceilings(1000.0, 2000.0, 100.0)
rate = CEILINGS.flops_per_s


def module(path: str) -> str:
    return path.split("/")[0]


def _spans(program: HloModule) -> list[Span]:
    moments = [("named", 0.0, 1.0), ("named", 1.0, 3.0), ("bare", 3.0, 4.0), ("bare", 4.0, 5.0)]
    return [
        Span(name, "module", program.costs[name], begin_s, end_s, end_s - begin_s)
        for name, begin_s, end_s in [*moments, ("kernel", 5.0, 9.0)]
    ]


def test_time_and_runs_come_from_the_operations_of_the_trace() -> None:
    program = HloModule.parse(HLO)
    counted = [NAMED, BARE, LOST]
    uses = uses_of(counted, _spans(program), program, module, "none", rate)
    seen = [(use.product, use.times, use.found, use.seconds, use.assumed) for use in uses]
    # The loop ran twice. What has no path is found by its size; the rest is not found.
    assert seen == [(WIDE, 2, 2, 3.0, 0), (SMALL, 2, 2, 2.0, 0), (LOST.product, 3, 0, 0.0, 0)]
    assert uses[0].modules == {"mesh": 2 * 128}


def test_without_a_whole_trace_a_loop_counts_one_iteration_and_that_is_said() -> None:
    program = HloModule.parse(HLO)
    uses = uses_of(
        [NAMED], _spans(program), program, lambda path: None, "none", rate, complete=False
    )
    (use,) = uses
    assert (use.times, use.assumed, dict(use.modules)) == (1, 1, {"none": 128})


def test_a_native_kernel_has_the_time_of_its_call_and_the_work_of_its_form() -> None:
    program = HloModule.parse(HLO)
    spans = _spans(program)
    (use,) = uses_of([IN_KERNEL], spans, program, module, "none", rate)
    assert (use.found, use.seconds) == (2, 4.0)
    before, after = spans[-1].cost, with_kernels(spans, program, [IN_KERNEL])[-1].cost
    assert before is not None
    assert after is not None
    # Two products of 2 x 4 x 2 x 8 FLOP in one run of the kernel.
    assert (after.flops - before.flops, after.dtype) == (2 * 128, "f32")


def test_calls_of_kernels_at_one_path_share_its_work_and_its_runs() -> None:
    """Layers that are written out one by one, or rows and columns, have equal paths."""
    program = HloModule.parse(HLO)
    (*_, last) = _spans(program)
    twice = [last, replace(last, begin_s=9.0, end_s=13.0)]
    other = replace(IN_KERNEL, product=SMALL, times=1, repeats=1, call=2)
    counted = [IN_KERNEL, other]
    assert last.cost is not None
    added = [
        span.cost.flops - last.cost.flops
        for span in with_kernels(twice, program, counted)
        if span.cost is not None
    ]
    # One call has two products of 128 FLOP, the other one of 64.
    assert added == [160, 160]
    unsure = [replace(each, certain=False) for each in counted]
    uses = uses_of(unsure, twice, program, module, "none", rate)
    assert [(use.product, use.times) for use in uses] == [(WIDE, 2), (SMALL, 1)]


def test_a_product_that_ran_beside_others_has_no_time_of_its_own() -> None:
    """128 FLOP in 0.1 s are more than the machine's 1000 FLOP/s by the factor that is allowed."""
    program = HloModule.parse(HLO)
    spans = [Span("named", "module", program.costs["named"], 0.0, 0.1, 0.1)]
    (use,) = uses_of([NAMED], spans, program, module, "none", rate)
    assert (use.times, use.found, use.beside, use.seconds) == (1, 0, 1, 0.0)
    found = result_of([use], 9.0, CEILINGS, {}, {})
    assert found.rows[0].pass_s is None


def test_the_floor_is_the_sum_of_the_fastest_and_of_the_ceiling_for_the_unmeasured() -> None:
    program = HloModule.parse(HLO)
    uses = uses_of([NAMED, BARE, LOST], _spans(program), program, lambda path: "mesh", "none", rate)
    xla = {WIDE: Timing(0.5, 0.6, 5), SMALL: Timing(0.1, 0.2, 5)}
    found = result_of(uses, 9.0, CEILINGS, xla, {WIDE: Timing(0.25, 0.3, 5)})
    # Two of 0.25 s in oneDNN, two of 0.1 s in XLA, three of 2 * 2 * 2 * 9 FLOP at 1000 FLOP/s.
    assert found.floor_s == pytest.approx(0.5 + 0.2 + 0.216)
    assert found.xla_s == pytest.approx(1.0 + 0.2 + 0.216)
    assert found.unmeasured_s == pytest.approx(0.216)
    first = found.rows[0]
    assert (first.pass_s, first.modules) == (3.0, ["mesh"])
    assert first.share == pytest.approx(1 / 3)
    # 256 FLOP in 3 s; operands and result are 56 numbers of 4 bytes, twice.
    assert first.compute == pytest.approx(256 / 3 / 1000)
    assert first.bandwidth == pytest.approx(2 * 224 / 3 / 100)
    assert found.rows[-1].pass_s is None
