"""The building blocks of the network, as pure JAX functions.

Activations are ``[nodes, batch, channels]``. The weights of a module are ``{"w": [in, out],
"b": [out]}``. They are cast to the dtype of the activations where they are used.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

Weights = Mapping[str, Mapping[str, jax.Array]]
"""Module path -> ``w`` or ``b`` -> values."""

_LAYER_NORM_EPSILON = 1e-5
"""Added to the variance, as in the published network."""


def linear(weights: Weights, name: str, x: jax.Array) -> jax.Array:
    """Compute ``x @ w + b``, or ``x @ w`` if the module has no bias."""
    module = weights[name]
    product = x @ module["w"].astype(x.dtype)
    return product + module["b"].astype(x.dtype) if "b" in module else product


def layer_norm(x: jax.Array) -> jax.Array:
    """Normalise the channels to zero mean and unit (biased) variance, without parameters."""
    mean = x.mean(axis=-1, keepdims=True)
    centred = x - mean
    variance = jnp.square(centred).mean(axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + jnp.asarray(_LAYER_NORM_EPSILON, x.dtype))


def modulation(weights: Weights, name: str, conditioning: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Compute scale and offset ``[batch, width]`` from a noise encoding ``[batch, features]``."""
    scale, offset = jnp.split(linear(weights, f"{name}/linear", conditioning), 2, axis=-1)
    return scale + jnp.asarray(1, scale.dtype), offset


def mlp_depth(weights: Weights, name: str) -> int:
    """Return the number of linear layers of the MLP ``name``."""
    depth = 0
    while f"{name}/~/linear_{depth}" in weights:
        depth += 1
    return depth


def mlp_tail(weights: Weights, name: str, x: jax.Array) -> jax.Array:
    """Apply an MLP without its first layer to the pre-activation of that layer."""
    for layer in range(1, mlp_depth(weights, name)):
        x = linear(weights, f"{name}/~/linear_{layer}", jax.nn.silu(x))
    return x


def mlp(weights: Weights, name: str, x: jax.Array) -> jax.Array:
    """Apply an MLP: linear layers with swish between them."""
    return mlp_tail(weights, name, linear(weights, f"{name}/~/linear_0", x))


def block_tail(weights: Weights, name: str, x: jax.Array, conditioning: jax.Array) -> jax.Array:
    """Apply a block without its first layer to the pre-activation of that layer."""
    scale, offset = modulation(weights, f"{name}_norm_conditioning", conditioning)
    return layer_norm(mlp_tail(weights, f"{name}_mlp", x)) * scale + offset


def block(weights: Weights, name: str, x: jax.Array, conditioning: jax.Array) -> jax.Array:
    """Apply a block: an MLP, layer norm and modulation."""
    first = linear(weights, f"{name}_mlp/~/linear_0", x)
    return block_tail(weights, name, first, conditioning)


def noise_encoding(
    weights: Weights, noise_levels: jax.Array, base_period: float, apply_log_first: bool
) -> jax.Array:
    """Encode noise levels as Fourier features that pass through a small network.

    Parameters
    ----------
    weights
        Parameters that include ``fourier_features_mlp/~/mlp``.
    noise_levels
        Positive noise levels, ``[batch]``.
    base_period
        Period of the lowest frequency, in units of the noise level or of its logarithm.
    apply_log_first
        Whether the features are computed from the logarithm.

    Returns
    -------
    Array
        Shape ``[batch, features]`` in the dtype of ``noise_levels``.
    """
    name = "fourier_features_mlp/~/mlp"
    frequencies = weights[f"{name}/~/linear_0"]["w"].shape[0] // 2
    position = jnp.log(noise_levels) if apply_log_first else noise_levels
    order = jnp.arange(1, frequencies + 1, dtype=jnp.float32)
    angular = (2 * jnp.pi * order / base_period).astype(position.dtype)
    angles = position[:, None] * angular
    x = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)
    x = linear(weights, f"{name}/~/linear_0", x)
    for layer in range(1, mlp_depth(weights, name)):
        x = linear(weights, f"{name}/~/linear_{layer}", jax.nn.gelu(x, approximate=True))
    return x
