"""Attention of groups of nodes to the nodes around them, as on GenCast's mesh."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from perfkit.kernels.primitive import call_kernel

TARGET = "perfkit.PatchAttention"

MASKED_LOGIT = -1e30
"""Logit of a pair of nodes that is not allowed."""


class Patches(NamedTuple):
    """Groups of nodes and what they attend to.

    Attributes
    ----------
    queries, keys
        Node numbers, int32, shapes ``(patches, queries)`` and ``(patches, keys)``. Short rows are
        filled with any node.
    places
        Position of each node in the flattened ``queries``, int32, shape ``(nodes,)``.
    allowed
        Pairs of a patch that attend to each other, bool, shape ``(patches, queries, keys)``.
    """

    queries: jax.Array
    keys: jax.Array
    places: jax.Array
    allowed: jax.Array


def patch_attention(
    queries: jax.Array, keys: jax.Array, values: jax.Array, patches: Patches
) -> jax.Array:
    """Compute scaled dot-product attention over the allowed pairs with the native kernel.

    Parameters
    ----------
    queries, keys, values
        Float32 or bfloat16, shape ``(nodes, heads, size)``.
    patches
        The groups of nodes.

    Returns
    -------
    jax.Array
        Has the shape and dtype of ``queries``. The softmax is computed in float32.
    """
    scale = float(queries.shape[-1] ** -0.5)
    [result] = call_kernel(
        TARGET,
        functools.partial(patch_attention_form, softmax_scale=scale),
        queries,
        keys,
        values,
        *patches,
        results=[jax.ShapeDtypeStruct(queries.shape, queries.dtype)],
        softmax_scale=scale,
        masked_logit=MASKED_LOGIT,
    )
    return result


def patch_attention_form(
    queries: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    query_nodes: jax.Array,
    key_nodes: jax.Array,
    places: jax.Array,
    allowed: jax.Array,
    *,
    softmax_scale: float,
) -> jax.Array:
    """The JAX form of the kernel; parameters as above, ``softmax_scale`` multiplies the logits."""

    def attend(patch: tuple[jax.Array, ...]) -> jax.Array:
        query, key, pairs = patch
        near, far, mixed = (
            jnp.take(array, nodes, axis=0, mode="clip")
            for array, nodes in ((queries, query), (keys, key), (values, key))
        )
        logits = jnp.einsum("qhd,khd->hqk", near, far, preferred_element_type=jnp.float32)
        logits = jnp.where(pairs, logits * softmax_scale, MASKED_LOGIT)
        shares = jax.nn.softmax(logits, axis=-1).astype(values.dtype)
        found = jnp.einsum("hqk,khd->qhd", shares, mixed, preferred_element_type=jnp.float32)
        return found.astype(queries.dtype)

    by_patch = jax.lax.map(attend, (query_nodes, key_nodes, allowed))
    return jnp.take(by_patch.reshape(-1, *queries.shape[1:]), places, axis=0, mode="clip")
