"""Attribution of a real traced pass of a small program, worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfkit.observers.trace.attribution import attribute, tallied
from perfkit.observers.trace.events import read_events, trace_of
from perfkit.observers.trace.hlo import HloModule

if TYPE_CHECKING:
    from jax import Array

SIZE = 256
PRODUCT_FLOPS = 2 * SIZE**3
"""FLOPs of the product of two matrices of SIZE rows and columns."""

PARTS = ("opening", "repeated", "ending")


def _part_of(op_name: str) -> str | None:
    return next((part for part in PARTS if part in op_name), None)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[HloModule, Path]:
    """A program with a nested call, a loop, a branch and fusions, and the trace of one pass."""
    pytest.importorskip("jax")
    import jax
    from jax.experimental.xla_metadata import set_xla_metadata

    jnp, lax = jax.numpy, jax.lax

    @jax.jit
    def layer(x: Array, w: Array) -> Array:
        result: Array = jnp.sort(jnp.tanh(x @ w), axis=0)
        return result

    def program(x: Array, w: Array) -> Array:
        # XLA inlines calls that do not forbid it.
        with jax.named_scope("opening"), set_xla_metadata(inlineable="false"):
            y = layer(x, w)
        with jax.named_scope("repeated"):
            y = lax.fori_loop(0, 3, lambda _, y: jnp.tanh(y @ w) + jnp.sin(y), y)
        with jax.named_scope("ending"):
            result: Array = lax.cond(y[0, 0] < 2, lambda y: (y @ w) @ w, lambda y: y, y)
        return result

    arguments = jnp.ones((SIZE, SIZE)), jnp.ones((SIZE, SIZE)) / SIZE
    compiled = jax.jit(program).lower(*arguments).compile()
    jax.block_until_ready(compiled(*arguments))
    folder = tmp_path_factory.mktemp("trace")
    with jax.profiler.trace(str(folder)):
        jax.block_until_ready(compiled(*arguments))
    text = compiled.as_text()
    assert text is not None
    return HloModule.parse(text), folder


def test_the_program_has_all_kinds_of_control_flow(traced: tuple[HloModule, Path]) -> None:
    program, folder = traced
    operations = trace_of(read_events(folder)).operations
    ran = {program.instructions[one.name].opcode for one in operations}
    assert {"call", "conditional", "fusion", "while"} <= ran


def test_the_parts_of_a_traced_pass_add_up_and_have_their_own_products(
    traced: tuple[HloModule, Path],
) -> None:
    program, folder = traced
    trace = trace_of(read_events(folder))
    spans = attribute(trace, program, _part_of, "rest")
    parts = tallied(spans, lambda span: span.owner)
    assert set(parts) == {"rest", *PARTS} or set(parts) == set(PARTS)
    whole_us = trace.end_us(trace.operations[-1]) - trace.operations[0].begin_us
    assert sum(part.seconds for part in parts.values()) == pytest.approx(whole_us * 1e-6)
    # One product in the call, three in the loop, two in the branch that is taken. The elements of
    # fused tanh, sine and sums are few against the multiply-adds.
    products = {name: parts[name].product_flops["f32"] / PRODUCT_FLOPS for name in PARTS}
    assert products == pytest.approx({"opening": 1, "repeated": 3, "ending": 2}, rel=0.02)
