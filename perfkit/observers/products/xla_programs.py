"""Child process that times products in XLA, see :mod:`perfkit.observers.products.timing`.

As it runs in a process of its own, it may import JAX. XLA may run the products of a call side by
side.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from perfkit.observers.products.product import Product
from perfkit.observers.products.timing import serve

if TYPE_CHECKING:
    import jax

BLOCK = 1 << 16
"""Number of random values; larger operands repeat them, because drawing takes longer than the
products."""


def main() -> int:
    """Time the products that standard input describes."""
    return serve(lambda: prepared)


def prepared(product: Product) -> Callable[[], object]:
    """A call of several such products in one compiled program.

    The results replace those of the call before, whose buffers are donated: their pages exist
    already. The page faults of new buffers are a matter of the allocator, not of the product.
    """
    import jax
    import jax.numpy as jnp
    from jax import lax

    def together(
        left: jax.Array, rights: Sequence[jax.Array], before: Sequence[jax.Array]
    ) -> list[jax.Array]:
        return [
            lax.dot_general(
                left,
                right,
                (product.contracted, product.batched),
                preferred_element_type=jnp.dtype(product.result_type),
            )
            for right in rights
        ]

    left = _values(product.left, product.left_type, 0)
    rights = [
        _values(product.right, product.right_type, place + 1) for place in range(product.together)
    ]
    held = [[jnp.zeros(product.result, product.result_type) for _ in rights]]
    program = jax.jit(together, donate_argnums=2, keep_unused=True)
    compiled = program.lower(left, rights, held[0]).compile()

    def call() -> None:
        (before,) = held
        held[:] = [jax.block_until_ready(compiled(left, rights, before))]

    return call


def _values(shape: tuple[int, ...], dtype: str, seed: int) -> Any:
    import jax.numpy as jnp
    import numpy as np

    block = np.random.default_rng(seed).standard_normal(BLOCK, np.float32)
    return jnp.asarray(np.resize(block, shape)).astype(dtype)


if __name__ == "__main__":
    sys.exit(main())
