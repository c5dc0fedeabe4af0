"""The published GenCast's data flow, written from its specification.

It serves as the baseline of perfkit's own layout, because the published code cannot be installed
everywhere. Edge features are encoded at every call, edge MLPs read a concatenation of edge, sender
and receiver, the whole grid is computed at once, and attention is dense. It is not the published
code and has none of the overhead of its libraries.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from perfkit.models.gencast.inputs.checkpoint import Checkpoint
from perfkit.models.gencast.network.attention import attention_mask
from perfkit.models.gencast.network.constants import parameters_in
from perfkit.models.gencast.network.definition import (
    DECODER,
    ENCODER,
    MESSAGE_TO_GRID,
    MESSAGE_TO_MESH,
    NetworkConstants,
    NetworkSettings,
)
from perfkit.models.gencast.network.denoiser_network import transform
from perfkit.models.gencast.network.layers import Weights, block, mlp, noise_encoding
from perfkit.models.gencast.sphere.geometry import Edges, Geometry


class EdgeArrays(NamedTuple):
    """Edges between two sets of nodes.

    Attributes
    ----------
    senders, receivers
        Indices of nodes, ``[edges]``.
    features
        ``[edges, 1, 4]``.
    """

    senders: jax.Array
    receivers: jax.Array
    features: jax.Array


class PublishedArrays(NamedTuple):
    """All parameters, the features of nodes and edges, and the dense attention mask."""

    constants: NetworkConstants
    grid_features: jax.Array
    mesh_features: jax.Array
    to_mesh: EdgeArrays
    to_grid: EdgeArrays


def published_arrays(
    checkpoint: Checkpoint,
    geometry: Geometry,
    constants: NetworkConstants,
    dtype: np.dtype[Any],
) -> PublishedArrays:
    """Arrays that a call takes in addition to its state.

    Floats have ``dtype``, except the network of the noise level, which stays in float32.
    """

    def edges(given: Edges) -> EdgeArrays:
        return EdgeArrays(
            jnp.asarray(given.senders),
            jnp.asarray(given.receivers),
            jnp.asarray(given.features[:, None].astype(dtype)),
        )

    hops = checkpoint.denoiser_architecture_config.sparse_transformer_config.attention_k_hop
    weights = parameters_in(checkpoint.params, dtype)
    mask = jax.tree.map(jnp.asarray, attention_mask(geometry.mesh, hops, "dense"))
    return PublishedArrays(
        constants=constants._replace(weights=weights, mask=mask),
        grid_features=jnp.asarray(geometry.grid_features.astype(dtype)),
        mesh_features=jnp.asarray(geometry.mesh_features.astype(dtype)),
        to_mesh=edges(geometry.grid_to_mesh),
        to_grid=edges(geometry.mesh_to_grid),
    )


def published_denoiser(
    settings: NetworkSettings,
    arrays: PublishedArrays,
    context: jax.Array,
    noisy: jax.Array,
    noise_levels: jax.Array,
) -> jax.Array:
    """One preconditioned call, ``[grid nodes, batch, outputs]``.

    Parameters
    ----------
    context
        Stacked inputs and forcings, ``[grid nodes, batch, channels]``; the network runs in their
        dtype.
    noisy
        Normalised noisy targets, ``[grid nodes, batch, outputs]``.
    noise_levels
        ``[batch]``.
    """
    total = noise_levels**2 + 1
    constants = arrays.constants
    weights, (nodes, batch, outputs) = constants.weights, noisy.shape
    channels = jnp.zeros((nodes, batch, context.shape[-1] + outputs), context.dtype)
    channels = channels.at[..., jnp.array(settings.context_rows)].set(context)
    scaled = noisy * total[:, None] ** -0.5
    channels = channels.at[..., jnp.array(settings.target_rows)].set(scaled.astype(context.dtype))
    encoded = noise_encoding(weights, noise_levels, settings.base_period, settings.apply_log_first)
    encoded = encoded.astype(context.dtype)

    def structural(features: jax.Array, values: jax.Array) -> jax.Array:
        spread = jnp.broadcast_to(features[:, None], (len(features), batch, features.shape[-1]))
        return jnp.concatenate([values, spread], axis=-1)

    grid_inputs = structural(arrays.grid_features, channels)
    empty = jnp.zeros((len(arrays.mesh_features), batch, channels.shape[-1]), context.dtype)
    mesh_inputs = structural(arrays.mesh_features, empty)
    grid = block(weights, f"{ENCODER}/encoder_nodes_grid_nodes", grid_inputs, encoded)
    mesh = block(weights, f"{ENCODER}/encoder_nodes_mesh_nodes", mesh_inputs, encoded)

    edge = f"{ENCODER}/encoder_edges_grid2mesh"
    aggregated = _messages(weights, edge, MESSAGE_TO_MESH, arrays.to_mesh, (grid, mesh), encoded)
    joined = jnp.concatenate([mesh, aggregated], axis=-1)
    mesh = mesh + block(weights, f"{ENCODER}/processor_nodes_0_mesh_nodes", joined, encoded)
    grid = grid + block(weights, f"{ENCODER}/processor_nodes_0_grid_nodes", grid, encoded)

    mesh = transform(constants, settings, mesh, encoded)

    edge = f"{DECODER}/encoder_edges_mesh2grid"
    aggregated = _messages(weights, edge, MESSAGE_TO_GRID, arrays.to_grid, (mesh, grid), encoded)
    joined = jnp.concatenate([grid, aggregated], axis=-1)
    grid = grid + block(weights, f"{DECODER}/processor_nodes_0_grid_nodes", joined, encoded)
    raw = mlp(weights, f"{DECODER}/decoder_nodes_grid_nodes_mlp", grid)
    raw = raw.astype(noisy.dtype)
    return (noise_levels * total**-0.5)[:, None] * raw + noisy / total[:, None]


def _messages(
    weights: Weights,
    edge_encoder: str,
    message: str,
    edges: EdgeArrays,
    ends: tuple[jax.Array, jax.Array],
    encoded: jax.Array,
) -> jax.Array:
    """Sum of the messages into every receiver."""
    senders, receivers = ends
    batch = senders.shape[1]
    features = jnp.broadcast_to(edges.features, (len(edges.features), batch, 4))
    embedded = block(weights, edge_encoder, features, encoded)
    joined = jnp.concatenate(
        [embedded, senders[edges.senders], receivers[edges.receivers]], axis=-1
    )
    sent = block(weights, message, joined, encoded)
    return jax.ops.segment_sum(sent, edges.receivers, num_segments=len(receivers))
