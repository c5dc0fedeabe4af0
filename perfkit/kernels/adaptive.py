"""What the kernels of the diffusion transformer share: conditions, and parameters of all layers.

The layers of a network are a loop whose parameters have an axis of layers. XLA copies the
parameters of a layer before it calls a kernel with them. The kernels here take those of all layers
and the number of the layer instead.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from perfkit.kernels.forms import layer_norm
from perfkit.kernels.packed_weights import unpacked


class Conditioning(NamedTuple):
    """The condition of the tokens and the parameters that make use of it.

    Attributes
    ----------
    condition
        Shape ``(tokens, depth)``.
    norm_scale
        Scale of the condition's layer norm, float32, shape ``(layers, depth)``.
    scale_weights, scale_bias
        Projection to the scale of the activations before the sigmoid, shapes ``(layers, depth,
        channels)`` and ``(layers, channels)``.
    shift_weights
        Projection to the offset of the activations, ``(layers, depth, channels)``.
    gate_weights, gate_bias
        Projection of the condition, without layer norm, to the gate of the result before the
        sigmoid; shapes as of the scale.
    """

    condition: jax.Array
    norm_scale: jax.Array
    scale_weights: jax.Array
    scale_bias: jax.Array
    shift_weights: jax.Array
    gate_weights: jax.Array
    gate_bias: jax.Array

    def of_layer(self, layer: jax.Array, packed: bool = False) -> Conditioning:
        """Return the condition with the parameters of one layer, whose weights may be packed."""
        return Conditioning(
            self.condition,
            of_layer(self.norm_scale, layer),
            weights_of_layer(self.scale_weights, layer, packed),
            of_layer(self.scale_bias, layer),
            weights_of_layer(self.shift_weights, layer, packed),
            weights_of_layer(self.gate_weights, layer, packed),
            of_layer(self.gate_bias, layer),
        )


def of_layer(parameter: jax.Array, layer: jax.Array) -> jax.Array:
    """Return the parameter of one layer from that of all layers."""
    found: jax.Array = jax.lax.dynamic_index_in_dim(parameter, layer, keepdims=False)
    return found


def weights_of_layer(weights: jax.Array, layer: jax.Array, packed: bool) -> jax.Array:
    """Return the weights of one layer from those of all, row after row even if they are packed."""
    found = of_layer(weights, layer)
    return unpacked(found) if packed else found


def wide_product(x: jax.Array, weights: jax.Array) -> jax.Array:
    """Return the product over the last axis of ``x`` in float32."""
    return jnp.matmul(x, weights, preferred_element_type=jnp.float32)


def adaptive_norm(x: jax.Array, by: Conditioning) -> jax.Array:
    """Return the adaptive layer norm of ``x``, shape ``(..., tokens, channels)``.

    Parameters
    ----------
    x
        Activations.
    by
        The condition, with the parameters of one layer.
    """
    condition = layer_norm(by.condition, by.norm_scale, jnp.zeros_like(by.norm_scale))
    scale = jax.nn.sigmoid(wide_product(condition, by.scale_weights) + by.scale_bias)
    shift = wide_product(condition, by.shift_weights)
    ones = jnp.ones(x.shape[-1], jnp.float32)
    normed = layer_norm(x, ones, jnp.zeros_like(ones)).astype(jnp.float32)
    return (scale * normed + shift).astype(x.dtype)


def zero_gate(by: Conditioning) -> jax.Array:
    """Return the gate of the result, float32, shape ``(tokens, channels)``."""
    return jax.nn.sigmoid(wide_product(by.condition, by.gate_weights) + by.gate_bias)
