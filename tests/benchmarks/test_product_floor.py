"""Products of a program are counted with their repetitions and their work."""

from __future__ import annotations

from collections import Counter

import jax
import jax.numpy as jnp

from benchmarks.scripts.product_floor import least_s, products
from perfkit.guard.analysis.structure import as_program

STEPS = 5


@jax.jit
def _gated(x: jax.Array, weights: jax.Array) -> jax.Array:
    return jnp.einsum("xk,kjn->xjn", x, weights).sum(1)


def _network(x: jax.Array, weights: jax.Array, pairs: jax.Array) -> jax.Array:
    x, _ = jax.lax.scan(lambda carry, one: (_gated(carry, one), None), x, weights)
    return jnp.einsum("bik,bjk->bij", pairs, pairs).sum() * x


def test_products_inside_calls_and_scans_are_counted_once_per_iteration() -> None:
    x, weights = jnp.ones((7, 4)), jnp.ones((STEPS, 4, 2, 4))
    pairs = jnp.ones((3, 6, 8), jnp.bfloat16)
    counts = Counter[str]()
    work = 0
    for product, times in products(as_program(jax.make_jaxpr(_network)(x, weights, pairs))):
        counts[product.label] += times
        work += times * product.flop
        assert 0 < least_s(product) < float("inf")
    assert counts == {
        "float32[7,4] x [4,2,4]": STEPS,
        "bfloat16[3,6,8] x [3,6,8]": 1,
    }
    assert work == STEPS * 2 * 7 * 4 * 8 + 2 * 3 * 6 * 6 * 8
