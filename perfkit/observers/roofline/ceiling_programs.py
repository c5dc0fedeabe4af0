"""Child process that measures the ceilings: a large matrix product per precision, a large copy.

It prints one line of JSON. As it runs in a process of its own, it may import JAX.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

PRODUCT_SIZE = 2048
"""Rows and columns of the matrices: tens of milliseconds of work hide the dispatch, which takes
tens of microseconds, and the matrices fit into the memory of any machine."""

COPY_BYTES = 1 << 28
"""Size of the copied array in bytes: several times larger than the last-level cache that one
process can use."""

LEAST_REPEATS = 5
BUDGET_S = 2.0
"""Each program runs at least ``LEAST_REPEATS`` times, and until ``BUDGET_S`` seconds are spent."""


def main() -> int:
    """Measure all ceilings and print them."""
    figures = {
        "float32_flops_per_s": _product_flops_per_s("float32"),
        "bfloat16_flops_per_s": _product_flops_per_s("bfloat16"),
        "copy_bytes_per_s": _copy_bytes_per_s(),
    }
    print(json.dumps(figures))
    return 0


def _product_flops_per_s(dtype: str) -> float:
    """Highest FLOP/s of a product of n by n matrices, which takes 2 n^3 FLOPs."""
    a = jax.random.normal(jax.random.PRNGKey(0), (PRODUCT_SIZE, PRODUCT_SIZE)).astype(dtype)
    product = jax.jit(lambda a: a @ a)
    return 2 * PRODUCT_SIZE**3 / _best_s(lambda: product(a))


def _copy_bytes_per_s() -> float:
    """Highest rate of an update in place of a large array, in bytes read and written per second.

    The array is donated, so that its pages exist already: the page faults of a new array are a
    matter of the allocator, not of the memory.
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
    """Seconds of the fastest repeat, which is the least disturbed."""
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
