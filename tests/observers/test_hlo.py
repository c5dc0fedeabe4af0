"""FLOPs, bytes and kinds of HLO operations, by hand and from XLA's analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfkit.observers.trace.hlo import HloModule, Kind

if TYPE_CHECKING:
    from jax import Array

HLO = """
HloModule jit_f, is_scheduled=true

%fused (p.0: f32[64,32], p.1: f32[32,16]) -> f32[64,16] {
  %p.0 = f32[64,32]{1,0} parameter(0)
  %p.1 = f32[32,16]{1,0} parameter(1)
  %dot.1 = f32[64,16]{1,0} dot(%p.0, %p.1), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  ROOT %add.1 = f32[64,16]{1,0} add(%dot.1, %dot.1)
}

%sliced (p.2: bf16[100,8], p.3: s32[]) -> bf16[1,8] {
  %p.2 = bf16[100,8]{1,0} parameter(0)
  %p.3 = s32[] parameter(1)
  ROOT %dynamic-slice.1 = bf16[1,8]{1,0} dynamic-slice(%p.2, %p.3, %p.3), dynamic_slice_sizes={1,8}
}

ENTRY %main (a: f32[64,32], b: f32[32,16], c: bf16[100,8], i: s32[]) -> f32[] {
  %a = f32[64,32]{1,0} parameter(0)
  %b = f32[32,16]{1,0} parameter(1)
  %c = bf16[100,8]{1,0} parameter(2)
  %i = s32[] parameter(3)
  %fusion.1 = f32[64,16]{1,0} fusion(%a, %b), kind=kOutput, calls=%fused, metadata={op_name="x/dot"}
  %fusion.2 = bf16[1,8]{1,0} fusion(%c, %i), kind=kLoop, calls=%sliced
  %copy.1 = f32[64,16]{0,1} copy(%fusion.1)
  %zero = f32[] constant(0)
  ROOT %reduce.1 = f32[] reduce(%copy.1, %zero), dimensions={0,1}, to_apply=%sum
}
"""


def test_costs_of_a_small_program() -> None:
    module = HloModule.parse(HLO)
    costs = module.costs
    product = costs["fusion.1"]
    # 64 x 16 results of 32 multiply-adds, and one addition each.
    assert product.flops == 2 * 64 * 16 * 32 + 64 * 16
    assert product.bytes == 4 * (64 * 32 + 32 * 16 + 64 * 16)
    assert (product.kind, product.dtype) == (Kind.DOT, "f32")
    assert module.op_name("fusion.1") == "x/dot"
    # A slice reads what it returns: one row of eight numbers of two bytes, and the index.
    assert costs["fusion.2"].bytes == 2 * 8 + 4 + 2 * 8
    assert costs["fusion.2"].kind is Kind.MOVE
    assert (costs["copy.1"].kind, costs["copy.1"].bytes) == (Kind.MOVE, 2 * 4 * 64 * 16)
    assert (costs["reduce.1"].kind, costs["reduce.1"].flops) == (Kind.REDUCE, 64 * 16)
    assert "dot.1" not in costs


def test_a_compiled_matrix_product_has_its_flops_and_operand_type() -> None:
    jax = pytest.importorskip("jax")
    a = jax.numpy.ones((128, 256), "bfloat16")
    b = jax.numpy.ones((256, 512), "bfloat16")
    compiled = jax.jit(lambda a, b: a @ b).lower(a, b).compile()
    costs = HloModule.parse(compiled.as_text()).costs.values()
    assert sum(cost.flops for cost in costs if cost.kind is Kind.DOT) == 2 * 128 * 256 * 512
    assert {cost.dtype for cost in costs if cost.kind is Kind.DOT} <= {"bf16", "f32"}


def test_costs_of_a_program_agree_with_xlas_analysis() -> None:
    pytest.importorskip("jax")
    import jax

    def layer(x: Array, w: Array) -> tuple[Array, None]:
        return jax.nn.softmax(jax.nn.relu(x @ w)), None

    def program(x: Array, weights: Array) -> Array:
        x, _ = jax.lax.scan(layer, x, weights)
        return x.sum(axis=0)[jax.numpy.array([3, 1])]

    arguments = jax.numpy.ones((64, 96)), jax.numpy.ones((5, 96, 96))
    compiled = jax.jit(program).lower(*arguments).compile()
    text, analysis = compiled.as_text(), compiled.cost_analysis()
    assert text is not None
    assert analysis is not None
    costs = HloModule.parse(text).costs.values()
    assert sum(cost.flops for cost in costs) == pytest.approx(analysis["flops"], rel=0.05)
    assert sum(cost.bytes for cost in costs) == pytest.approx(analysis["bytes accessed"], rel=0.15)
