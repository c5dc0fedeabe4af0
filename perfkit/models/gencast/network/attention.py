"""Attention among mesh nodes, in three implementations that agree to rounding.

Which implementation is cheapest depends on the mesh. *Dense* computes ``nodes ** 2`` logits.
*Banded* computes ``3 * block * nodes``, where the block grows with the number of hops. *Patches*
computes the logits between compact groups of nodes and their surroundings; products and softmax
of a group also stay in cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from perfkit.kernels.patch_attention import MASKED_LOGIT, patch_attention
from perfkit.kernels.patch_attention import Patches as KernelPatches
from perfkit.models.gencast.memory import PATCH_NODES
from perfkit.models.gencast.sphere.mesh import (
    TriangularMesh,
    band_block_size,
    compact_patches,
    neighbourhood,
)

AttentionKind = Literal["dense", "patches", "banded"]
ATTENTION_KINDS: tuple[AttentionKind, ...] = ("dense", "patches", "banded")


class Patches(NamedTuple):
    """Groups of nodes whose attention is computed together.

    Attributes
    ----------
    queries, keys
        Node numbers, int32 ``[patches, queries]`` and ``[patches, keys]``. Short rows are filled
        with node 0, which is masked there.
    places
        Position of each node in the flattened ``queries``, int32 ``[nodes]``.
    """

    queries: NDArray[np.int32] | jax.Array
    keys: NDArray[np.int32] | jax.Array
    places: NDArray[np.int32] | jax.Array


class AttentionMask(NamedTuple):
    """The pairs of nodes that may attend to each other, in the layout of an implementation.

    Attributes
    ----------
    allowed
        Dense: bool ``[nodes, nodes]``. Patches: bool ``[patches, queries, keys]``. Banded: bool
        ``[blocks, block, 3 * block]``, where the keys are the nodes of the previous, the same and
        the next block.
    patches
        Groups of nodes for patches; None for the other implementations.
    """

    allowed: NDArray[np.bool_] | jax.Array
    patches: Patches | None = None


def attention_mask(mesh: TriangularMesh, hops: int, kind: AttentionKind) -> AttentionMask:
    """Build the mask of nodes at most ``hops`` edges apart, in the layout of ``kind``."""
    allowed = neighbourhood(mesh, hops)
    if kind == "dense":
        return AttentionMask(allowed.toarray())
    return _patch_mask(mesh, allowed) if kind == "patches" else _band_mask(allowed)


def _band_mask(allowed: sparse.csr_matrix) -> AttentionMask:
    size = band_block_size(allowed)
    blocks = -(-allowed.shape[0] // size)
    banded = np.zeros((blocks, size, 3 * size), np.bool_)
    rows, columns = allowed.nonzero()
    block = rows // size
    banded[block, rows % size, columns - (block - 1) * size] = True
    return AttentionMask(banded)


def _patch_mask(mesh: TriangularMesh, allowed: sparse.csr_matrix) -> AttentionMask:
    members = compact_patches(mesh, PATCH_NODES)
    reached = [np.unique(allowed[patch].indices) for patch in members]
    most_queries, most_keys = (max(map(len, rows)) for rows in (members, reached))
    queries = np.zeros((len(members), most_queries), np.int32)
    keys = np.zeros((len(members), most_keys), np.int32)
    mask = np.zeros((len(members), most_queries, most_keys), np.bool_)
    places = np.empty(allowed.shape[0], np.int32)
    for index, (patch, near) in enumerate(zip(members, reached, strict=True)):
        queries[index, : len(patch)] = patch
        keys[index, : len(near)] = near
        mask[index, : len(patch), : len(near)] = allowed[patch][:, near].toarray()
        places[patch] = index * most_queries + np.arange(len(patch))
    return AttentionMask(mask, Patches(queries, keys, places))


def choose_attention(
    mesh: TriangularMesh, hops: int, kinds: Sequence[AttentionKind] = ATTENTION_KINDS
) -> AttentionKind:
    """Return the implementation that computes the fewest logits; the first one if several do."""
    allowed = neighbourhood(mesh, hops)
    return min(kinds, key=lambda kind: _logits(mesh, allowed, kind))


def _logits(mesh: TriangularMesh, allowed: sparse.csr_matrix, kind: AttentionKind) -> int:
    """Count the logits per head without building the mask, which takes gigabytes on fine meshes."""
    nodes: int = allowed.shape[0]
    if kind == "dense":
        return nodes**2
    if kind == "banded":
        size = band_block_size(allowed)
        return -(-nodes // size) * 3 * size**2
    members = compact_patches(mesh, PATCH_NODES)
    keys = max(len(np.unique(allowed[patch].indices)) for patch in members)
    return len(members) * max(map(len, members)) * keys


def attend(
    queries: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    mask: AttentionMask,
    native: bool = False,
) -> jax.Array:
    """Compute scaled dot-product attention over the allowed pairs.

    Parameters
    ----------
    queries, keys, values
        Arrays ``[batch, nodes, heads, size]``.
    mask
        Allowed pairs. The layout of the mask selects the implementation.
    native
        Whether a native kernel computes the attention of patches.

    Returns
    -------
    Array
        Shape ``[batch, nodes, heads, size]``. The softmax is computed in at least float32.
    """
    allowed = jnp.asarray(mask.allowed)
    if native and mask.patches is not None:
        nodes, around, places = (jnp.asarray(each) for each in mask.patches)
        patches = KernelPatches(nodes, around, places, allowed)
        members = jax.vmap(patch_attention, in_axes=(0, 0, 0, None))
        found: jax.Array = members(queries, keys, values, patches)
        return found
    scale = jnp.asarray(queries.shape[-1] ** -0.5, queries.dtype)
    # With heads before nodes, the products are plain matrix products that need no copy.
    q, k, v = (x.swapaxes(1, 2) for x in (queries * scale, keys, values))
    if mask.patches is not None:
        mixed = _attend_patches(q, k, v, allowed, mask.patches)
    elif allowed.ndim == 2:
        mixed = _mix(q, k, v, allowed)
    else:
        mixed = _attend_banded(q, k, v, allowed)
    return mixed.swapaxes(1, 2)


def _mix(queries: jax.Array, keys: jax.Array, values: jax.Array, allowed: jax.Array) -> jax.Array:
    """Compute the attention of ``[..., queries, size]`` to ``[..., keys, size]``."""
    logits = jnp.einsum("...qd,...kd->...qk", queries, keys)
    wide = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    weights = jax.nn.softmax(jnp.where(allowed, wide, MASKED_LOGIT), axis=-1)
    return jnp.einsum("...qk,...kd->...qd", weights.astype(values.dtype), values)


def _attend_patches(
    queries: jax.Array, keys: jax.Array, values: jax.Array, allowed: jax.Array, patches: Patches
) -> jax.Array:
    def attend_patch(patch: tuple[jax.Array, ...]) -> jax.Array:
        query_nodes, key_nodes, allowed = patch
        return _mix(
            queries[:, :, query_nodes], keys[:, :, key_nodes], values[:, :, key_nodes], allowed
        )

    rows = tuple(map(jnp.asarray, (patches.queries, patches.keys, allowed)))
    mixed = jnp.moveaxis(jax.lax.map(attend_patch, rows), 0, 2)
    flat = mixed.reshape(*mixed.shape[:2], -1, mixed.shape[-1])
    return flat[:, :, jnp.asarray(patches.places)]


def _attend_banded(
    queries: jax.Array, keys: jax.Array, values: jax.Array, allowed: jax.Array
) -> jax.Array:
    blocks, block, _ = allowed.shape
    batch, heads, nodes, size = queries.shape

    def cut(x: jax.Array) -> jax.Array:
        padded = jnp.pad(x, ((0, 0), (0, 0), (0, blocks * block - nodes), (0, 0)))
        return padded.reshape(batch, heads, blocks, block, size)

    def with_neighbours(x: jax.Array) -> jax.Array:
        around = jnp.pad(cut(x), ((0, 0), (0, 0), (1, 1), (0, 0), (0, 0)))
        return jnp.concatenate([around[:, :, :-2], around[:, :, 1:-1], around[:, :, 2:]], axis=3)

    mixed = _mix(cut(queries), with_neighbours(keys), with_neighbours(values), allowed)
    return mixed.reshape(batch, heads, blocks * block, size)[:, :, :nodes]
