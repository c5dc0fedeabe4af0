"""A kernel for tests: ``scale * sum(x ** power)`` of each row of a matrix, or minus that."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp

from perfkit.kernels.kernel import Kernel
from perfkit.kernels.primitive import call_kernel

SOURCES = Path(__file__).parent / "source"

ROW_SUM = Kernel("row sum", "row_sum.cc", ("RowSum",))


def row_sum(x: jax.Array, power: int = 1, scale: float = 1.0, negate: bool = False) -> jax.Array:
    """Sum the rows of ``x`` [rows, columns], float32."""

    def form(x: jax.Array) -> jax.Array:
        return (-scale if negate else scale) * jnp.sum(x**power, axis=1)

    result = jax.ShapeDtypeStruct(x.shape[:1], jnp.float32)
    return call_kernel(
        "perfkit.RowSum", form, x, results=[result], power=power, scale=scale, negate=negate
    )[0]
