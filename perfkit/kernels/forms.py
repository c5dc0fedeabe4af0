"""What the JAX forms of the kernels share."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

SERVED_DTYPES = (np.dtype(jnp.float32), np.dtype(jnp.bfloat16))
"""Dtypes of activations and weights that the kernels serve."""

LAYER_NORM_EPSILON = 1e-5
"""Added to the variance in a layer norm, as in ``haiku.LayerNorm``."""


def is_served(dtype: npt.DTypeLike) -> bool:
    """Whether the kernels serve a dtype."""
    return np.dtype(dtype) in SERVED_DTYPES


def layer_norm(x: jax.Array, scale: jax.Array, offset: jax.Array) -> jax.Array:
    """Layer norm over the last axis in float32, rounded to the dtype of ``x``.

    The variance is the mean of squared differences, which is never negative, so that it needs no
    guard.

    Parameters
    ----------
    x
        Shape ``(..., channels)``.
    scale, offset
        Float32, shape ``(channels,)``.
    """
    wide = x.astype(jnp.float32)
    centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    factor = scale * jax.lax.rsqrt(variance + LAYER_NORM_EPSILON)
    return (centred * factor + offset).astype(x.dtype)
