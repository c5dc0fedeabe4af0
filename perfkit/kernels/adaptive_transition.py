"""The conditioned transition of AlphaFold 3's diffusion, for all samples together."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from perfkit.kernels.adaptive import Conditioning, adaptive_norm, of_layer, wide_product, zero_gate
from perfkit.kernels.primitive import call_kernel

TARGET = "perfkit.AdaptiveTransition"


def adaptive_transition(
    x: jax.Array,
    layer: jax.Array,
    gate_value_weights: jax.Array,
    out_weights: jax.Array,
    by: Conditioning,
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

    Returns
    -------
    jax.Array
        The update of ``x``, with its shape and dtype.
    """
    [result] = call_kernel(
        TARGET,
        adaptive_transition_form,
        x[None],
        layer,
        gate_value_weights,
        out_weights,
        *by,
        results=[jax.ShapeDtypeStruct((1, *x.shape), x.dtype)],
        batched=(0,),
    )
    return result[0]


def adaptive_transition_form(
    x: jax.Array,
    layer: jax.Array,
    gate_value_weights: jax.Array,
    out_weights: jax.Array,
    *conditioning: jax.Array,
) -> jax.Array:
    """The JAX form of the kernel; parameters as above, ``x`` with an axis of samples in front."""
    by = Conditioning(*conditioning).of_layer(layer)
    products = wide_product(adaptive_norm(x, by), of_layer(gate_value_weights, layer))
    gate, value = jnp.split(products, 2, axis=-1)
    hidden = (jax.nn.swish(gate) * value).astype(x.dtype)
    update = wide_product(hidden, of_layer(out_weights, layer))
    return (zero_gate(by) * update).astype(x.dtype)
