"""Messages along the edges between grid and mesh, summed over the edges into each receiver.

Arrays are ``[nodes, batch, channels]``.
"""

from __future__ import annotations

import functools
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from perfkit.kernels.edge_messages import Edges, MessageLayers, edge_messages
from perfkit.kernels.mlp_block import Modulation
from perfkit.models.gencast.network.definition import (
    MESSAGE_TO_GRID,
    MESSAGE_TO_MESH,
    EdgeTerms,
    NetworkConstants,
    NetworkSettings,
)
from perfkit.models.gencast.network.layers import Weights, block_tail, modulation
from perfkit.models.gencast.network.row_blocks import even_size


class FirstLayer(NamedTuple):
    """What edges contribute to the first layer of their messages: ``basis @ matrix + shift``.

    Attributes
    ----------
    matrix
        Array ``[rank, batch, channels]``.
    shift
        Contribution of all edges, the bias included, ``[batch, channels]``. Its users add it to
        the contribution of the mesh nodes, which are fewer than the edges.
    """

    matrix: jax.Array
    shift: jax.Array

    def product(self, basis: jax.Array) -> jax.Array:
        """Return ``basis @ matrix`` for a basis ``[..., rank]``: ``[..., batch, channels]``."""
        rank, *shape = self.matrix.shape
        product = basis.astype(self.matrix.dtype) @ self.matrix.reshape(rank, -1)
        return product.reshape(*basis.shape[:-1], *shape)


def first_layer(
    edges: EdgeTerms,
    weights: Weights,
    encoder: str,
    message: str,
    edge_weights: jax.Array,
    conditioning: jax.Array,
) -> FirstLayer:
    """Compute what edges contribute to the first layer of their messages.

    Modulation is linear and is folded into the weights: ``(basis @ c * scale + offset) @ w``
    equals ``basis @ (c * scale @ w) + offset @ w``.

    Parameters
    ----------
    edges
        Encoded edges.
    weights
        Parameters.
    encoder, message
        Names of the encoder of the edges, and of the block of their messages.
    edge_weights
        Rows of the first layer for the encoded edges, ``[channels, channels]``.
    conditioning
        Encoded noise levels, ``[batch, features]``.
    """
    scale, offset = modulation(weights, f"{encoder}_norm_conditioning", conditioning)
    coefficients = edges.coefficients.astype(scale.dtype)
    folded = (coefficients * scale[:, None]) @ edge_weights
    bias = weights[f"{message}_mlp/~/linear_0"]["b"].astype(scale.dtype)
    return FirstLayer(folded.swapaxes(0, 1), offset @ edge_weights + bias)


def sum_on_mesh(
    constants: NetworkConstants,
    settings: NetworkSettings,
    first: FirstLayer,
    sent: jax.Array,
    received: jax.Array,
    conditioning: jax.Array,
) -> jax.Array:
    """Sum the messages into every mesh node, in at least float32.

    Parameters
    ----------
    constants, settings
        The network.
    first
        Contribution of the edges to the first layer.
    sent, received
        Contributions of grid and mesh nodes; the shift of ``first`` is included.
    conditioning
        Encoded noise levels, ``[batch, features]``.
    """
    divisor = settings.aggregate_normalization
    if settings.native_kernels:
        edges = Edges(
            constants.to_mesh_edges.basis, constants.to_mesh_senders, constants.to_mesh_receivers
        )
        return _native_sum(
            constants.weights,
            MESSAGE_TO_MESH,
            edges,
            first,
            sent,
            received,
            conditioning,
            1.0 if divisor is None else divisor,
        )
    count = constants.to_mesh_senders.shape[0]
    size = even_size(count, None if settings.grid_block is None else 3 * settings.grid_block)
    wide = jnp.promote_types(sent.dtype, jnp.float32)

    def add_block(index: int | jax.Array, sums: jax.Array) -> jax.Array:
        start = jnp.minimum(index * size, count - size)
        senders, receivers, basis = (
            jax.lax.dynamic_slice_in_dim(array, start, size)
            for array in (
                constants.to_mesh_senders,
                constants.to_mesh_receivers,
                constants.to_mesh_edges.basis,
            )
        )
        x = first.product(basis) + sent[senders] + received[receivers]
        messages = block_tail(constants.weights, MESSAGE_TO_MESH, x, conditioning).astype(wide)
        # The last block starts early to be full; edges of earlier blocks must not count twice.
        fresh = start + jnp.arange(size) >= index * size
        messages = jnp.where(fresh[:, None, None], messages, 0)
        return sums + jax.ops.segment_sum(
            messages, receivers, num_segments=sums.shape[0], indices_are_sorted=True
        )

    with jax.named_scope("edges"):
        start_sums = jnp.zeros(received.shape, wide)
        sums: jax.Array = jax.lax.fori_loop(0, -(-count // size), add_block, start_sums)
        if divisor is not None:
            sums = sums / divisor
        return sums.astype(sent.dtype)


def sum_on_grid(
    weights: Weights,
    first: FirstLayer,
    sent: jax.Array,
    received: jax.Array,
    senders: jax.Array,
    basis: jax.Array,
    conditioning: jax.Array,
    *,
    native: bool,
) -> jax.Array:
    """Sum the messages into grid nodes, each of which has as many senders.

    Parameters
    ----------
    weights
        Parameters.
    first
        Contribution of the edges to the first layer.
    sent, received
        Contributions of mesh and grid nodes; the shift of ``first`` is included.
    senders
        Mesh nodes that send to each grid node, int32 ``[grid nodes, senders]``.
    basis
        Basis of the encoded edges, ``[grid nodes, senders, rank]``.
    conditioning
        Encoded noise levels, ``[batch, features]``.
    native
        Whether a native kernel computes it.
    """
    rows, corners = senders.shape
    if native:
        receivers = jnp.asarray(np.repeat(np.arange(rows, dtype=np.int32), corners))
        edges = Edges(basis.reshape(rows * corners, -1), senders.reshape(-1), receivers)
        return _native_sum(weights, MESSAGE_TO_GRID, edges, first, sent, received, conditioning)

    def message(corner: int) -> jax.Array:
        x = first.product(basis[:, corner]) + sent[senders[:, corner]] + received
        return block_tail(weights, MESSAGE_TO_GRID, x, conditioning)

    with jax.named_scope("edges"):
        # One corner at a time: XLA fuses matrices well, but arrays with one more dimension badly.
        return functools.reduce(operator.add, map(message, range(corners)))


def _native_sum(
    weights: Weights,
    name: str,
    edges: Edges,
    first: FirstLayer,
    sent: jax.Array,
    received: jax.Array,
    conditioning: jax.Array,
    divisor: float = 1.0,
) -> jax.Array:
    second = weights[f"{name}_mlp/~/linear_1"]
    scale, offset = modulation(weights, f"{name}_norm_conditioning", conditioning)
    edges = edges._replace(features=edges.features.astype(sent.dtype))

    def send(
        matrix: jax.Array,
        sent: jax.Array,
        received: jax.Array,
        scale: jax.Array,
        offset: jax.Array,
    ) -> jax.Array:
        norm = Modulation(scale, offset)
        layers = MessageLayers(matrix, second["w"].astype(sent.dtype), second["b"], norm)
        return edge_messages(edges, sent, received, layers, divisor)

    with jax.named_scope("edges"):
        members = jax.vmap(send, in_axes=(1, 1, 1, 0, 0), out_axes=1)
        result: jax.Array = members(first.matrix, sent, received, scale, offset)
        return result
