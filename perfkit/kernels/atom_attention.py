"""Attention of atoms to windows of atoms in AlphaFold 3's diffusion, for all samples together."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from perfkit.kernels.adaptive import Conditioning, adaptive_norm, of_layer, wide_product, zero_gate
from perfkit.kernels.adaptive_attention import MASKED, Projections
from perfkit.kernels.primitive import call_kernel

TARGET = "perfkit.AtomAttention"


class Windows(NamedTuple):
    """Which atoms the queries of each subset attend to.

    Attributes
    ----------
    query_mask
        1 for atoms that exist and 0 for others, float32, shape ``(atoms,)``: the queries of the
        subsets one after another.
    key_mask
        The same for the keys, float32, shape ``(subsets, keys)``.
    atoms
        Atom of each key, int32, shape ``(subsets, keys)``.
    exist
        Whether a key is an atom; otherwise its activations and its condition are zeros. Bool,
        shape ``(subsets, keys)``.
    """

    query_mask: jax.Array
    key_mask: jax.Array
    atoms: jax.Array
    exist: jax.Array


class KeyNorm(NamedTuple):
    """Parameters of the adaptive layer norm of the keys, as in :class:`Conditioning`."""

    norm_scale: jax.Array
    scale_weights: jax.Array
    scale_bias: jax.Array
    shift_weights: jax.Array


def is_served(queries: int, keys: int, head_dim: int) -> bool:
    """Whether the kernel serves subsets of so many queries and keys."""
    return queries % 16 == 0 and keys % 32 == 0 and head_dim % 16 == 0


def atom_attention(
    x: jax.Array,
    layer: jax.Array,
    windows: Windows,
    pair_logits: jax.Array,
    projections: Projections,
    by: Conditioning,
    key_norm: KeyNorm,
) -> jax.Array:
    """Compute the attention of a layer with the native kernel.

    Parameters
    ----------
    x
        Activations, float32, shape ``(atoms, channels)``. Under ``vmap`` over ``x`` alone, the
        kernel runs once for all samples.
    layer
        Number of the layer, int32.
    windows
        The windows of the subsets.
    pair_logits
        Added to the logits, shape ``(atoms, group, heads, keys)``: those of a group of consecutive
        layers, whose first layer is a multiple of ``group``.
    projections
        Parameters of the projections; those of keys and values apply to the keys.
    by
        The condition of the atoms and the parameters for the queries.
    key_norm
        Parameters for the keys, whose condition is that of their atoms.

    Returns
    -------
    jax.Array
        The update of ``x``, with its shape.
    """
    heads = pair_logits.shape[2]
    scale = float((projections.query_weights.shape[-1] // heads) ** -0.5)
    [result] = call_kernel(
        TARGET,
        functools.partial(atom_attention_form, softmax_scale=scale),
        x[None],
        layer,
        *windows,
        pair_logits,
        *projections,
        *by,
        *key_norm,
        results=[jax.ShapeDtypeStruct((1, *x.shape), x.dtype)],
        batched=(0,),
        softmax_scale=scale,
    )
    return result[0]


def atom_attention_form(
    x: jax.Array,
    layer: jax.Array,
    query_mask: jax.Array,
    key_mask: jax.Array,
    atoms: jax.Array,
    exist: jax.Array,
    pair_logits: jax.Array,
    *parameters: jax.Array,
    softmax_scale: float,
) -> jax.Array:
    """The JAX form of the kernel.

    Parameters
    ----------
    x
        Shape ``(samples, atoms, channels)``.
    layer, query_mask, key_mask, atoms, exist, pair_logits
        As in :func:`atom_attention`.
    *parameters
        Those of :class:`Projections`, :class:`Conditioning` and :class:`KeyNorm`.
    softmax_scale
        Factor of the products of queries and keys.
    """
    first, second = len(Projections._fields), len(Projections._fields) + len(Conditioning._fields)
    weights = Projections(*(of_layer(each, layer) for each in parameters[:first]))
    by = Conditioning(*parameters[first:second]).of_layer(layer)
    of_keys = by._replace(
        **KeyNorm(*(of_layer(each, layer) for each in parameters[second:]))._asdict()
    )
    subsets, keys = atoms.shape
    pair = of_layer(jnp.moveaxis(pair_logits, 0, 2), layer % pair_logits.shape[1])
    pair = pair.reshape(-1, subsets, x.shape[1] // subsets, keys)
    heads = pair.shape[0]

    def gathered(array: jax.Array) -> jax.Array:
        return jnp.where(exist[..., None], jnp.take(array, atoms, axis=-2, mode="clip"), 0)

    def split(products: jax.Array) -> jax.Array:
        return products.reshape(products.shape[0], subsets, -1, heads, products.shape[-1] // heads)

    normed = adaptive_norm(x, by)
    key_normed = adaptive_norm(gathered(x), of_keys._replace(condition=gathered(by.condition)))
    query = split(wide_product(normed, weights.query_weights) + weights.query_bias)
    key = split(wide_product(key_normed, weights.key_weights))
    value = split(wide_product(key_normed, weights.value_weights))
    opened = jax.nn.sigmoid(wide_product(normed, weights.gate_weights))
    masked = (query_mask.reshape(subsets, -1)[:, :, None] - 1) * (key_mask[:, None, :] - 1)
    logits = jnp.einsum("bsqhc,bskhc->bhsqk", query, key) * softmax_scale + MASKED * masked + pair
    shares = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
    shares = shares / jnp.sum(shares, axis=-1, keepdims=True)
    mixed = jnp.einsum("bhsqk,bskhc->bsqhc", shares, value).reshape(opened.shape)
    return zero_gate(by) * wide_product(mixed * opened, weights.out_weights)
