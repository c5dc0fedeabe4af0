"""The least time that the matrix products of a pass take in XLA, each shape measured by itself.

    perfkit exec --preset preset.toml -- \\
        python -m benchmarks.scripts.product_floor --model af3 --preset preset.toml

The first ``--preset`` sets XLA's flags, CPUs and allocator, the second the model's own knobs.
Every product of the traced program is counted, loops expanded. Each shape is then compiled alone:
several products with one left operand and with right operands of their own in one program, which
XLA may run side by side, nothing before them and nothing after them. The best of several calls,
times how often a pass runs such a product, is what a pass spends on it at the least while XLA
computes it. Beside the sum stands the time of the whole program.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import JaxprEqn

from perfkit.guard.analysis.structure import Program, as_program, held_programs
from perfkit.knobs.configuration import STOCK
from perfkit.models import get_model
from perfkit.models.prepared import Prepared
from perfkit.stats.exact import median_interval
from perfkit.tuning.preset import load_preset
from perfkit.units import seconds_interval_text

TOGETHER_FLOP = 4e9
"""As many products go into one program as have this work, so that a call's own cost vanishes."""

MOST_TOGETHER = 64
CALLS = 12
PASSES = 5


@dataclass(frozen=True)
class Product:
    """One shape of ``dot_general``.

    Attributes
    ----------
    left, right
        Shape and type of the operands.
    dimensions
        Contracting and batch dimensions, as ``lax.dot_general`` takes them.
    result
        Type of the result.
    precision
        Precision that the program requests.
    """

    left: jax.ShapeDtypeStruct
    right: jax.ShapeDtypeStruct
    dimensions: Any
    result: Any
    precision: Any

    @property
    def flop(self) -> int:
        """Multiplications and additions."""
        (contracted, _), (batched, _) = self.dimensions
        inner = math.prod(self.left.shape[axis] for axis in contracted)
        batch = math.prod(self.left.shape[axis] for axis in batched)
        size = math.prod(self.left.shape) * math.prod(self.right.shape)
        return int(2 * size // (inner * batch))

    @property
    def label(self) -> str:
        """E.g. ``bfloat16[5776,128] x [128,512]``."""
        shapes = [",".join(map(str, operand.shape)) for operand in (self.left, self.right)]
        return f"{self.left.dtype}[{shapes[0]}] x [{shapes[1]}]"


def products(program: Program, times: int = 1) -> Iterator[tuple[Product, int]]:
    """Products of a program, and how often one run computes each of them.

    All branches of a ``cond`` count. The body of a ``while`` loop counts once, because the program
    does not state its number of iterations.
    """
    for equation in program.jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield _product(equation), times
        runs = equation.params["length"] if equation.primitive.name == "scan" else 1
        for inner in held_programs(equation):
            yield from products(inner, times * runs)


def _product(equation: JaxprEqn) -> Product:
    left, right = (_shape(operand) for operand in equation.invars)
    given = equation.params
    contracted_batched = given["dimension_numbers"]
    result = _shape(equation.outvars[0]).dtype
    return Product(left, right, contracted_batched, result, given["precision"])


def _shape(variable: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(variable.aval.shape, variable.aval.dtype)


def least_s(product: Product) -> float:
    """Shortest wall seconds per product when several of them run together."""
    count = min(max(2, round(TOGETHER_FLOP / product.flop)), MOST_TOGETHER)

    def together(left: jax.Array, rights: Sequence[jax.Array]) -> list[jax.Array]:
        return [
            lax.dot_general(
                left,
                right,
                product.dimensions,
                precision=product.precision,
                preferred_element_type=product.result,
            )
            for right in rights
        ]

    keys = jax.random.split(jax.random.key(0), count + 1)
    left = _values(keys[0], product.left)
    rights = [_values(key, product.right) for key in keys[1:]]
    compiled = jax.jit(together).lower(left, rights).compile()
    return min(_timed(lambda: compiled(left, rights)) for _ in range(CALLS)) / count


def _values(key: jax.Array, operand: jax.ShapeDtypeStruct) -> jax.Array:
    return jax.random.normal(key, operand.shape, jnp.float32).astype(operand.dtype)


def _timed(call: Callable[[], Any]) -> float:
    begin_s = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - begin_s


def pass_s(prepared: Prepared) -> list[float]:
    """Wall seconds of passes of the whole program, without the warm-up."""
    compiled = jax.jit(prepared.function).lower(*prepared.arguments).compile()
    return [_timed(lambda: prepared.drive(compiled)) for _ in range(PASSES + 1)][1:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="af3", choices=("af3", "gencast"))
    parser.add_argument("--size", help="residues or degrees (default: the model's own input)")
    parser.add_argument("--preset", type=Path, help="preset of the model knobs (default: stock)")
    given = parser.parse_args()
    model = get_model(given.model)
    model.load()
    workload = model.workload({}, {})
    if given.size:
        workload = model.resized(workload, given.size)
    configuration = load_preset(given.preset).configuration if given.preset else STOCK
    prepared = model.prepare(workload, configuration.overrides())

    passes_s = pass_s(prepared)
    counts: Counter[Product] = Counter()
    traced = as_program(jax.make_jaxpr(prepared.function)(*prepared.arguments))
    for product, times in products(traced):
        counts[product] += times
    rows = [(times * least_s(product), times, product) for product, times in counts.items()]
    rows.sort(key=lambda row: -row[0])
    print(f"{'seconds':>8} {'times':>6} {'GFLOP':>7} {'GFLOP/s':>8}")
    for seconds, times, product in rows[:25]:
        work = times * product.flop / 1e9
        print(f"{seconds:8.3f} {times:6} {work:7.1f} {work / seconds:8.0f}  {product.label}")
    floor_s = sum(seconds for seconds, _, _ in rows)
    work = sum(times * product.flop for _, times, product in rows) / 1e9
    whole = median_interval(passes_s)
    print(
        f"{len(rows)} shapes, {work:.0f} GFLOP: at least {floor_s:.2f} s, {work / floor_s:.0f} "
        f"GFLOP/s; a call of the whole program takes "
        f"{seconds_interval_text(whole)}, n = {len(passes_s)}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
