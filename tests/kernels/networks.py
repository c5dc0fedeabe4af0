"""Operands and parameters of upstream's networks for tests that compare kernels with them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def normal(dtype: str, *shape: int) -> jax.Array:
    """Normal numbers that depend on the shape only."""
    return jnp.asarray(np.random.default_rng(shape).normal(size=shape), dtype)


def parameters_of(network: Any, *operands: Any) -> Any:
    """Random parameters: the network begins with zeros for gates and outputs."""
    random = np.random.default_rng(3)
    return jax.tree.map(
        lambda leaf: jnp.asarray(
            random.normal(size=leaf.shape) * (leaf.shape[-2] if leaf.ndim > 1 else 4) ** -0.5,
            leaf.dtype,
        ),
        jax.eval_shape(network.init, jax.random.key(0), *operands),
    )
