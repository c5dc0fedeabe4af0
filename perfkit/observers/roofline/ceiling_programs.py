"""The child that measures ceilings: one large matrix product a precision and one large copy.

Prints a line of JSON. Like the worker it is the room's child side, and may import JAX.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

PRODUCT_SIZE = 2048
"""Rows and columns of the multiplied matrices: large enough to hide dispatch (tens of
microseconds) behind tens of milliseconds of work, small enough for any machine's memory."""

COPY_BYTES = 1 << 28
"""Bytes of the copied array: several times any last-level cache that a machine gives one process,
twice over for reading and writing."""

LEAST_REPEATS = 5
BUDGET_S = 2.0
"""Repeats of each program, at least so many, until so many seconds are spent."""


def main() -> int:
    """Measure all three and print them."""
    figures = {
        "float32_flops_per_s": _product_flops_per_s("float32"),
        "bfloat16_flops_per_s": _product_flops_per_s("bfloat16"),
        "copy_bytes_per_s": _copy_bytes_per_s(),
    }
    print(json.dumps(figures))
    return 0


def _product_flops_per_s(dtype: str) -> float:
    """FLOP/s of ``a @ b`` at its best; a product of n by n matrices takes 2 n^3."""
    a = jax.random.normal(jax.random.PRNGKey(0), (PRODUCT_SIZE, PRODUCT_SIZE)).astype(dtype)
    product = jax.jit(lambda a: a @ a)
    return 2 * PRODUCT_SIZE**3 / _best_s(lambda: product(a))


def _copy_bytes_per_s() -> float:
    """Bytes read and written a second by an update in place of a large array, at its best.

    The array is donated, so that its pages are there already: what a fresh result costs in page
    faults is a matter of the allocator, not of the memory.
    """
    array = jnp.ones(COPY_BYTES // 4, jnp.float32)
    update = jax.jit(lambda x: x + 1, donate_argnums=0)
    held = [jax.block_until_ready(update(array))]

    def run() -> jax.Array:
        (before,) = held
        after: jax.Array = update(before)
        held[:] = [after]
        return after

    return 2 * COPY_BYTES / _best_s(run)


def _best_s(run: Callable[[], jax.Array]) -> float:
    """Seconds of the fastest repeat: a ceiling is what the machine can do undisturbed."""
    jax.block_until_ready(run())
    times: list[float] = []
    begin_s = time.perf_counter()
    while len(times) < LEAST_REPEATS or time.perf_counter() - begin_s < BUDGET_S:
        before_s = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - before_s)
    return min(times)


if __name__ == "__main__":
    sys.exit(main())
