"""Attention among mesh nodes: one function, two ways of computing it.

Both agree to rounding. Which is cheaper depends on the mesh: dense computes ``nodes ** 2``
logits, banded ``3 * block * nodes``, where the block grows with the number of hops.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from perfkit.models.gencast.mesh import TriangularMesh, band_block_size, neighbourhood

AttentionKind = Literal["dense", "banded"]

_MASKED_LOGIT = -1e30


class AttentionMask(NamedTuple):
    """Which node may attend to which.

    Attributes
    ----------
    allowed
        Dense: bool ``[nodes, nodes]``. Banded: bool ``[blocks, block, 3 * block]``, the keys
        being those of the block before, the same and the next.
    """

    allowed: NDArray[np.bool_] | jax.Array


def attention_mask(mesh: TriangularMesh, hops: int, kind: AttentionKind) -> AttentionMask:
    """The mask of nodes at most ``hops`` steps apart, in the layout ``kind`` wants."""
    allowed = neighbourhood(mesh, hops)
    if kind == "dense":
        return AttentionMask(allowed.toarray())
    size = band_block_size(allowed)
    nodes = len(mesh.vertices)
    blocks = -(-nodes // size)
    banded = np.zeros((blocks, size, 3 * size), np.bool_)
    rows, columns = allowed.nonzero()
    block = rows // size
    banded[block, rows % size, columns - (block - 1) * size] = True
    return AttentionMask(banded)


def choose_attention(mesh: TriangularMesh, hops: int) -> AttentionKind:
    """The kind that computes fewer logits."""
    nodes = len(mesh.vertices)
    size = band_block_size(neighbourhood(mesh, hops))
    blocks = -(-nodes // size)
    return "banded" if blocks * size * 3 * size < nodes**2 else "dense"


def attend(
    queries: jax.Array, keys: jax.Array, values: jax.Array, mask: AttentionMask
) -> jax.Array:
    """Scaled dot-product attention over the allowed pairs.

    Parameters
    ----------
    queries, keys, values
        ``[batch, nodes, heads, size]``.
    mask
        Dense or banded; its rank says which.

    Returns
    -------
    ``[batch, nodes, heads, size]``. The softmax is computed in float32 at least.
    """
    allowed = jnp.asarray(mask.allowed)
    if allowed.ndim == 2:
        return _attend_dense(queries, keys, values, allowed)
    return _attend_banded(queries, keys, values, allowed)


def _softmax(logits: jax.Array, allowed: jax.Array, size: int) -> jax.Array:
    scaled = logits * jnp.asarray(size**-0.5, logits.dtype)
    wide = scaled.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return jax.nn.softmax(jnp.where(allowed, wide, _MASKED_LOGIT), axis=-1).astype(logits.dtype)


def _attend_dense(
    queries: jax.Array, keys: jax.Array, values: jax.Array, allowed: jax.Array
) -> jax.Array:
    logits = jnp.einsum("bqhd,bkhd->bhqk", queries, keys)
    weights = _softmax(logits, allowed, queries.shape[-1])
    return jnp.einsum("bhqk,bkhd->bqhd", weights, values)


def _attend_banded(
    queries: jax.Array, keys: jax.Array, values: jax.Array, allowed: jax.Array
) -> jax.Array:
    blocks, block, _ = allowed.shape
    batch, nodes, heads, size = queries.shape

    def cut(x: jax.Array) -> jax.Array:
        padded = jnp.pad(x, ((0, 0), (0, blocks * block - nodes), (0, 0), (0, 0)))
        return padded.reshape(batch, blocks, block, heads, size)

    def with_neighbours(x: jax.Array) -> jax.Array:
        around = jnp.pad(cut(x), ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
        return jnp.concatenate([around[:, :-2], around[:, 1:-1], around[:, 2:]], axis=2)

    logits = jnp.einsum("bnqhd,bnkhd->bnhqk", cut(queries), with_neighbours(keys))
    weights = _softmax(logits, allowed[:, None], size)
    mixed = jnp.einsum("bnhqk,bnkhd->bnqhd", weights, with_neighbours(values))
    return mixed.reshape(batch, blocks * block, heads, size)[:, :nodes]
