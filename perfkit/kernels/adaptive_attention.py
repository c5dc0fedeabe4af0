"""Self-attention of tokens in AlphaFold 3's diffusion and trunk, for all samples together."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from perfkit.kernels.adaptive import (
    Conditioning,
    adaptive_norm,
    of_layer,
    weights_of_layer,
    wide_product,
    zero_gate,
)
from perfkit.kernels.forms import layer_norm
from perfkit.kernels.primitive import call_kernel

TARGET = "perfkit.SelfAttention"

MASKED = 1e9
"""Subtracted from the logits of masked keys, as in ``self_attention`` of the network."""


class Projections(NamedTuple):
    """Parameters of the projections of attention, where ``width`` is heads times channels of each.

    Attributes
    ----------
    query_weights, query_bias
        Shapes ``(layers, channels, width)`` and ``(layers, width)``.
    key_weights, value_weights, gate_weights
        Shape ``(layers, channels, width)``.
    out_weights
        Shape ``(layers, width, channels)``.
    """

    query_weights: jax.Array
    query_bias: jax.Array
    key_weights: jax.Array
    value_weights: jax.Array
    gate_weights: jax.Array
    out_weights: jax.Array

    def of_layer(self, layer: jax.Array, packed: bool) -> Projections:
        """Return the parameters of one layer; the weights may be packed."""
        return Projections(
            weights_of_layer(self.query_weights, layer, packed),
            of_layer(self.query_bias, layer),
            *(weights_of_layer(each, layer, packed) for each in self[2:]),
        )


class AffineNorm(NamedTuple):
    """Scale and offset of a layer norm, float32, shape ``(layers, channels)``."""

    scale: jax.Array
    offset: jax.Array


def self_attention(
    x: jax.Array,
    layer: jax.Array,
    mask: jax.Array,
    pair_logits: jax.Array,
    projections: Projections,
    by: Conditioning | AffineNorm,
    packed: bool = False,
) -> jax.Array:
    """Compute self-attention of a layer with the native kernel.

    Parameters
    ----------
    x
        Activations, float32 or bfloat16, shape ``(tokens, channels)``. Under ``vmap`` over ``x``
        alone, the kernel runs once for all samples.
    layer
        Number of the layer, int32.
    mask
        1 for keys that count and 0 for others, shape ``(tokens,)``.
    pair_logits
        Added to the logits, shape ``(tokens, group, heads, tokens)`` with queries first and keys
        last: those of a group of consecutive layers, whose first layer is a multiple of ``group``.
    projections
        Parameters of the projections.
    by
        The condition, or the parameters of a layer norm without one. Arrays have the dtype of
        ``x`` where nothing else is said.
    packed
        Whether all weights are packed, see :mod:`perfkit.kernels.packed_weights`. The channels of a
        head must then be a multiple of 16.

    Returns
    -------
    jax.Array
        The update of ``x``, with its shape and dtype.
    """
    heads = pair_logits.shape[2]
    head_dim = projections.query_weights.shape[-1] // heads
    conditioned, scale = isinstance(by, Conditioning), float(head_dim**-0.5)
    form = functools.partial(
        self_attention_form, conditioned=conditioned, softmax_scale=scale, packed=packed
    )
    [result] = call_kernel(
        TARGET,
        form,
        x[None],
        layer,
        mask.astype(jnp.float32),
        pair_logits,
        *projections,
        *by,
        results=[jax.ShapeDtypeStruct((1, *x.shape), x.dtype)],
        batched=(0,),
        conditioned=conditioned,
        packed=packed,
        softmax_scale=scale,
    )
    return result[0]


def self_attention_form(
    x: jax.Array,
    layer: jax.Array,
    mask: jax.Array,
    pair_logits: jax.Array,
    *parameters: jax.Array,
    conditioned: bool,
    softmax_scale: float,
    packed: bool = False,
) -> jax.Array:
    """The JAX form of the kernel.

    Parameters
    ----------
    x
        Shape ``(samples, tokens, channels)``.
    layer, mask, pair_logits
        As in :func:`self_attention`.
    *parameters
        Those of :class:`Projections`, then those of :class:`Conditioning` or :class:`AffineNorm`.
    conditioned
        Whether there is a condition.
    softmax_scale
        Factor of the products of queries and keys.
    packed
        As in :func:`self_attention`.
    """
    count = len(Projections._fields)
    weights = Projections(*parameters[:count]).of_layer(layer, packed)
    if conditioned:
        by = Conditioning(*parameters[count:]).of_layer(layer, packed)
        normed, gate = adaptive_norm(x, by), zero_gate(by)
    else:
        norm = AffineNorm(*(of_layer(each, layer) for each in parameters[count:]))
        normed, gate = layer_norm(x, *norm), None
    pair = of_layer(jnp.moveaxis(pair_logits, 0, 2), layer % pair_logits.shape[1])
    heads = pair.shape[0]

    def by_head(products: jax.Array) -> jax.Array:
        return products.reshape(*products.shape[:-1], heads, -1)

    query = by_head(wide_product(normed, weights.query_weights) + weights.query_bias)
    key = by_head(wide_product(normed, weights.key_weights))
    value = by_head(wide_product(normed, weights.value_weights))
    opened = jax.nn.sigmoid(wide_product(normed, weights.gate_weights))
    query, key, value = (each.astype(x.dtype) for each in (query, key, value))
    logits = jnp.einsum("bqhc,bkhc->bhqk", query, key, preferred_element_type=jnp.float32)
    logits = logits * softmax_scale + MASKED * (mask - 1) + pair
    shares = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
    shares = (shares / jnp.sum(shares, axis=-1, keepdims=True)).astype(x.dtype)
    mixed = jnp.einsum("bhqk,bkhc->bqhc", shares, value, preferred_element_type=jnp.float32)
    gated = (mixed.reshape(opened.shape) * opened).astype(x.dtype)
    update = wide_product(gated, weights.out_weights)
    return (update if gate is None else gate * update).astype(x.dtype)
