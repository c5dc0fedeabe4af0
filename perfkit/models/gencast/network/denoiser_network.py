"""GenCast's network, laid out for CPUs: encode to the mesh, transform, decode to the grid.

The numbers are those of the published network to rounding; the flow differs where that saves
work. What depends on geometry and weights alone is computed once (:func:`build_constants`), what
depends on the inputs alone once a sampled step (:func:`embed_context`), and the first layer of an
edge MLP is multiplied per node before the gather instead of per edge after a concatenation.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from perfkit.models.gencast.network.attention import AttentionMask, attend
from perfkit.models.gencast.network.layers import (
    Weights,
    block,
    block_tail,
    layer_norm,
    linear,
    mlp,
    mlp_tail,
    modulation,
    noise_encoding,
)
from perfkit.models.gencast.network.row_blocks import by_blocks, even_size

ENCODER = "grid2mesh_gnn/~_networks_builder"
DECODER = "mesh2grid_gnn/~_networks_builder"
TRANSFORMER = "mesh_transformer/~/transformer"
MESSAGE_TO_MESH = f"{ENCODER}/processor_edges_0_grid2mesh"
MESSAGE_TO_GRID = f"{DECODER}/processor_edges_0_mesh2grid"


@dataclass(frozen=True)
class NetworkSettings:
    """What is fixed before the network is compiled.

    Attributes
    ----------
    layers, heads
        Of the transformer on the mesh.
    base_period, apply_log_first
        Of the noise encoding.
    aggregate_normalization
        Divisor of the sums over grid-to-mesh edges; ``None`` for none.
    context_rows, target_rows
        Input channels of a grid node that hold inputs and forcings, and those that hold the
        noisy targets.
    grid_block
        Grid nodes (and three times as many edges) that are processed together, so that what lies
        between two products stays in cache; ``None`` for all at once. Exact.
    """

    layers: int
    heads: int
    base_period: float
    apply_log_first: bool
    aggregate_normalization: float | None
    context_rows: tuple[int, ...]
    target_rows: tuple[int, ...]
    grid_block: int | None


class EdgeTerms(NamedTuple):
    """Encoded edges before their modulation, as ``basis @ coefficients``.

    Attributes
    ----------
    basis
        ``[edges, rank]``, or ``[grid nodes, 3, rank]`` for the edges into grid nodes.
    coefficients
        ``[rank, channels]``.
    """

    basis: jax.Array
    coefficients: jax.Array


class NetworkConstants(NamedTuple):
    """All arrays that stay the same from call to call.

    Attributes
    ----------
    weights
        The parameters in the dtype of the products.
    grid_features
        ``[grid nodes, 3]``.
    mesh_nodes
        Encoded mesh nodes before their modulation, ``[mesh nodes, channels]``.
    to_mesh_edges, to_grid_edges
        Encoded edges before their modulation.
    to_mesh_senders, to_mesh_receivers
        Node numbers of the grid-to-mesh edges sorted by receiver, int32 ``[edges]``.
    to_grid_senders
        The three mesh nodes that feed a grid node, int32 ``[grid nodes, 3]``.
    mask
        Who may attend to whom.
    """

    weights: Weights
    grid_features: jax.Array
    mesh_nodes: jax.Array
    to_mesh_edges: EdgeTerms
    to_grid_edges: EdgeTerms
    to_mesh_senders: jax.Array
    to_mesh_receivers: jax.Array
    to_grid_senders: jax.Array
    mask: AttentionMask


def encode_once(weights: Weights, name: str, features: jax.Array) -> jax.Array:
    """An encoder up to its layer norm: what a noise level only scales and shifts afterwards.

    ``features`` are the last inputs of the first layer; those before them are zero, as they are
    for mesh nodes.
    """
    first = weights[f"{name}_mlp/~/linear_0"]
    rows = first["w"][-features.shape[-1] :].astype(features.dtype)
    x = features @ rows + first["b"].astype(features.dtype)
    return layer_norm(mlp_tail(weights, f"{name}_mlp", x))


def embed_context(
    constants: NetworkConstants, settings: NetworkSettings, context: jax.Array
) -> jax.Array:
    """The grid encoder's first layer over everything but the noisy targets.

    Parameters
    ----------
    context
        Stacked inputs and forcings, ``[grid nodes, batch, channels]`` in the order of
        ``settings.context_rows``.

    Returns
    -------
    ``[grid nodes, batch, latent]``: the pre-activation to which the targets' share is added.
    """
    first = constants.weights[f"{ENCODER}/encoder_nodes_grid_nodes_mlp/~/linear_0"]
    rows = first["w"].astype(context.dtype)
    structural = constants.grid_features.astype(context.dtype)
    static = structural @ rows[-structural.shape[-1] :] + first["b"].astype(context.dtype)
    return context @ rows[jnp.array(settings.context_rows)] + static[:, None]


def run_network(
    constants: NetworkConstants,
    settings: NetworkSettings,
    embedded: jax.Array,
    targets: jax.Array,
    noise_levels: jax.Array,
) -> jax.Array:
    """One pass through the network.

    Parameters
    ----------
    embedded
        From :func:`embed_context`, ``[grid nodes, batch, latent]``; its dtype is that of the pass.
    targets
        Scaled noisy targets, ``[grid nodes, batch, outputs]``.
    noise_levels
        ``[batch]``.

    Returns
    -------
    ``[grid nodes, batch, outputs]`` in the dtype of ``embedded``.
    """
    encoded_noise = noise_encoding(
        constants.weights, noise_levels, settings.base_period, settings.apply_log_first
    )
    conditioning = encoded_noise.astype(embedded.dtype)
    targets = targets.astype(embedded.dtype)
    with jax.named_scope("grid2mesh"):
        grid, mesh = encode(constants, settings, embedded, targets, conditioning)
    with jax.named_scope("mesh_transformer"):
        mesh = transform(constants, settings, mesh, conditioning)
    with jax.named_scope("mesh2grid"):
        return decode(constants, settings, grid, mesh, conditioning)


def encode(
    constants: NetworkConstants,
    settings: NetworkSettings,
    embedded: jax.Array,
    targets: jax.Array,
    conditioning: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Grid latent before its residual update, and mesh latent after the messages.

    The residual update of the grid latent is left to :func:`decode`, its only reader.
    """
    weights = constants.weights
    grid_encoder = f"{ENCODER}/encoder_nodes_grid_nodes"
    first = weights[f"{grid_encoder}_mlp/~/linear_0"]["w"]
    target_weights = first[jnp.array(settings.target_rows)].astype(embedded.dtype)
    edge_weights, sender_weights, receiver_weights = _split_rows(
        weights, MESSAGE_TO_MESH, 3, embedded.dtype
    )

    def embed_grid(embedded: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = embedded + targets @ target_weights
        latent = block_tail(weights, grid_encoder, x, conditioning)
        return latent, latent @ sender_weights

    grid, sent = by_blocks(embed_grid, (embedded, targets), settings.grid_block)

    scale, offset = modulation(
        weights, f"{ENCODER}/encoder_nodes_mesh_nodes_norm_conditioning", conditioning
    )
    mesh = constants.mesh_nodes[:, None].astype(embedded.dtype) * scale + offset
    received = mesh @ receiver_weights
    edge_terms = _edge_terms(
        constants.to_mesh_edges,
        weights,
        f"{ENCODER}/encoder_edges_grid2mesh",
        MESSAGE_TO_MESH,
        edge_weights,
        conditioning,
    )
    aggregated = _aggregate_on_mesh(constants, settings, edge_terms, sent, received, conditioning)
    node_weights, aggregate_weights = _split_rows(
        weights, f"{ENCODER}/processor_nodes_0_mesh_nodes", 2, embedded.dtype
    )
    name = f"{ENCODER}/processor_nodes_0_mesh_nodes"
    bias = weights[f"{name}_mlp/~/linear_0"]["b"].astype(embedded.dtype)
    x = mesh @ node_weights + aggregated @ aggregate_weights + bias
    return grid, mesh + block_tail(weights, name, x, conditioning)


def _aggregate_on_mesh(
    constants: NetworkConstants,
    settings: NetworkSettings,
    edge_terms: Callable[[jax.Array], jax.Array],
    sent: jax.Array,
    received: jax.Array,
    conditioning: jax.Array,
) -> jax.Array:
    """Sum of the messages into every mesh node, in float32 at least."""
    edges = constants.to_mesh_senders.shape[0]
    size = even_size(edges, None if settings.grid_block is None else 3 * settings.grid_block)
    wide = jnp.promote_types(sent.dtype, jnp.float32)

    def add_block(index: int | jax.Array, sums: jax.Array) -> jax.Array:
        start = jnp.minimum(index * size, edges - size)
        senders, receivers, basis = (
            jax.lax.dynamic_slice_in_dim(array, start, size)
            for array in (
                constants.to_mesh_senders,
                constants.to_mesh_receivers,
                constants.to_mesh_edges.basis,
            )
        )
        x = edge_terms(basis) + sent[senders] + received[receivers]
        messages = block_tail(constants.weights, MESSAGE_TO_MESH, x, conditioning).astype(wide)
        # The last block reaches back to stay full: what an earlier one has added counts once.
        fresh = start + jnp.arange(size) >= index * size
        messages = jnp.where(fresh[:, None, None], messages, 0)
        return sums + jax.ops.segment_sum(
            messages, receivers, num_segments=sums.shape[0], indices_are_sorted=True
        )

    start_sums = jnp.zeros(received.shape, wide)
    sums: jax.Array = jax.lax.fori_loop(0, -(-edges // size), add_block, start_sums)
    if settings.aggregate_normalization is not None:
        sums = sums / settings.aggregate_normalization
    return sums.astype(sent.dtype)


def transform(
    constants: NetworkConstants,
    settings: NetworkSettings,
    mesh: jax.Array,
    conditioning: jax.Array,
) -> jax.Array:
    """The transformer on the mesh: ``[mesh nodes, batch, latent]`` to the same."""
    weights = constants.weights
    x = mesh.swapaxes(0, 1)

    def modulated(name: str, x: jax.Array) -> jax.Array:
        scale, offset = modulation(weights, name, conditioning)
        return layer_norm(x) * scale[:, None] + offset[:, None]

    for layer in range(settings.layers):
        prefix = f"{TRANSFORMER}/block_{layer:02d}"
        norm = f"{prefix}/block_{layer:02d}_norm_conditioning"
        normed = modulated(norm, x)
        queries, keys, values = (
            linear(weights, f"{prefix}/mha_proj_{part}", normed).reshape(
                *x.shape[:2], settings.heads, -1
            )
            for part in ("q", "k", "v")
        )
        with jax.named_scope("attend"):
            mixed = attend(queries, keys, values, constants.mask).reshape(x.shape)
        x = x + linear(weights, f"{prefix}/mha_final", mixed)
        wide = linear(weights, f"{prefix}/ffw_up", modulated(f"{norm}_1", x))
        x = x + linear(weights, f"{prefix}/ffw_down", jax.nn.gelu(wide, approximate=True))
    x = modulated(f"{TRANSFORMER}/transformer_final_norm_conditioning", x)
    return x.swapaxes(0, 1)


def decode(
    constants: NetworkConstants,
    settings: NetworkSettings,
    grid: jax.Array,
    mesh: jax.Array,
    conditioning: jax.Array,
) -> jax.Array:
    """Messages to the grid, its last update, and the outputs ``[grid nodes, batch, outputs]``."""
    weights = constants.weights
    edge_weights, sender_weights, receiver_weights = _split_rows(
        weights, MESSAGE_TO_GRID, 3, grid.dtype
    )
    name = f"{DECODER}/processor_nodes_0_grid_nodes"
    node_weights, aggregate_weights = _split_rows(weights, name, 2, grid.dtype)
    bias = weights[f"{name}_mlp/~/linear_0"]["b"].astype(grid.dtype)
    sent = mesh @ sender_weights
    edge_terms = _edge_terms(
        constants.to_grid_edges,
        weights,
        f"{DECODER}/encoder_edges_mesh2grid",
        MESSAGE_TO_GRID,
        edge_weights,
        conditioning,
    )

    def decode_block(grid: jax.Array, senders: jax.Array, basis: jax.Array) -> tuple[jax.Array]:
        updated = grid + block(
            weights, f"{ENCODER}/processor_nodes_0_grid_nodes", grid, conditioning
        )
        received = updated @ receiver_weights
        # Corner by corner: XLA fuses matrices of rows well, and arrays of one more rank badly.
        aggregated = functools.reduce(
            operator.add,
            (
                block_tail(
                    weights,
                    MESSAGE_TO_GRID,
                    edge_terms(basis[:, corner]) + sent[senders[:, corner]] + received,
                    conditioning,
                )
                for corner in range(3)
            ),
        )
        x = updated @ node_weights + aggregated @ aggregate_weights + bias
        updated = updated + block_tail(weights, name, x, conditioning)
        return (mlp(weights, f"{DECODER}/decoder_nodes_grid_nodes_mlp", updated),)

    arrays = (grid, constants.to_grid_senders, constants.to_grid_edges.basis)
    return by_blocks(decode_block, arrays, settings.grid_block)[0]


def _split_rows(weights: Weights, name: str, parts: int, dtype: jnp.dtype) -> list[jax.Array]:
    """The first layer of an MLP over a concatenation, as one matrix for each of its parts."""
    return jnp.split(weights[f"{name}_mlp/~/linear_0"]["w"].astype(dtype), parts)


def _edge_terms(
    edges: EdgeTerms,
    weights: Weights,
    encoder: str,
    message: str,
    edge_weights: jax.Array,
    conditioning: jax.Array,
) -> Callable[[jax.Array], jax.Array]:
    """Share of the edges in the messages' first layer, bias included.

    Modulation is linear, so it goes into the weights: ``(basis @ c * scale + offset) @ w`` is
    ``basis @ (c * scale @ w) + offset @ w``.

    Returns
    -------
    A function of rows of the basis, ``[..., rank]``, to ``[..., batch, channels]``.
    """
    scale, offset = modulation(weights, f"{encoder}_norm_conditioning", conditioning)
    coefficients = edges.coefficients.astype(scale.dtype)
    folded = (coefficients * scale[:, None]) @ edge_weights
    bias = weights[f"{message}_mlp/~/linear_0"]["b"].astype(scale.dtype)
    shift = offset @ edge_weights + bias
    rank = coefficients.shape[0]
    matrix = folded.swapaxes(0, 1).reshape(rank, -1)

    def terms(basis: jax.Array) -> jax.Array:
        product = basis.astype(scale.dtype) @ matrix
        return product.reshape(*basis.shape[:-1], *shift.shape) + shift

    return terms
