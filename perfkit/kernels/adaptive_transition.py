"""The conditioned transition of AlphaFold 3's diffusion, for all samples together."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from perfkit.kernels.adaptive import (
    Conditioning,
    adaptive_norm,
    weights_of_layer,
    wide_product,
    zero_gate,
)
from perfkit.kernels.primitive import call_kernel

TARGET = "perfkit.AdaptiveTransition"


def adaptive_transition(
    x: jax.Array,
    layer: jax.Array,
    gate_value_weights: jax.Array,
    out_weights: jax.Array,
    by: Conditioning,
    packed: bool = False,
) -> jax.Array:
    """Compute the conditioned transition of a layer with the native kernel.

    Parameters
    ----------
    x
        Activations, float32 or bfloat16, shape ``(tokens, channels)``. Under ``vmap`` over ``x``
        alone, the kernel runs once for all samples.
    layer
        Number of the layer, int32.
    gate_value_weights
        Weights of the gate, which passes through swish, and of the value, one behind the other;
        shape ``(layers, channels, 2 * hidden)``.
    out_weights
        Shape ``(layers, hidden, channels)``.
    by
        The condition. Its arrays and the weights have the dtype of ``x``.
    packed
        Whether all weights are packed, see :mod:`perfkit.kernels.packed_weights`.

    Returns
    -------
    jax.Array
        The update of ``x``, with its shape and dtype.
    """
    [result] = call_kernel(
        TARGET,
        functools.partial(adaptive_transition_form, packed=packed),
        x[None],
        layer,
        gate_value_weights,
        out_weights,
        *by,
        results=[jax.ShapeDtypeStruct((1, *x.shape), x.dtype)],
        batched=(0,),
        packed=packed,
    )
    return result[0]


def adaptive_transition_form(
    x: jax.Array,
    layer: jax.Array,
    gate_value_weights: jax.Array,
    out_weights: jax.Array,
    *conditioning: jax.Array,
    packed: bool = False,
) -> jax.Array:
    """The JAX form of the kernel; parameters as above, ``x`` with an axis of samples in front."""
    by = Conditioning(*conditioning).of_layer(layer, packed)
    normed = adaptive_norm(x, by)
    products = wide_product(normed, weights_of_layer(gate_value_weights, layer, packed))
    gate, value = jnp.split(products, 2, axis=-1)
    hidden = (jax.nn.swish(gate) * value).astype(x.dtype)
    update = wide_product(hidden, weights_of_layer(out_weights, layer, packed))
    return (zero_gate(by) * update).astype(x.dtype)
